"""A plug-in to start from: a package with a small backbone, written where there is none."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen
from ssdreg_runtime.system.files import replacing_folder

from ssdreg._version import __version__
from ssdreg.errors import NewPluginError
from ssdreg.registry.names import list_backbones, same_name

PREFIX = "ssdreg-"
#: The name that stands in the templates for the new one.
STAND_IN = "plainnet"
#: The templates, in ``ssdreg/scaffold/templates/plugin``, and what each becomes. Files whose
#: name begins with a dot, or that pytest would collect, have another one there.
FILES = {
    "setup.cfg": "setup.cfg",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "workflow.yml": ".github/workflows/test.yml",
    "package/__init__.py": "ssdreg_plainnet/__init__.py",
    "package/py.typed": "ssdreg_plainnet/py.typed",
    "_conformance.py": "tests/test_ssdreg_plainnet.py",
}


@frozen
class PluginNames:
    """What a new plug-in is called: its backbone, and the package after it."""

    backbone: str

    @property
    def distribution(self) -> str:
        """What pip installs."""
        return PREFIX + self.backbone.replace("_", "-")

    @property
    def package(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    def fill(self, text: str) -> str:
        """Put the names into a template."""
        return (text.replace(f"ssdreg-{STAND_IN}", self.distribution)
                .replace(f"ssdreg_{STAND_IN}", self.package)
                .replace(STAND_IN, self.backbone)
                .replace("SSDREG_VERSION", __version__))


def names(name: str) -> PluginNames:
    """Take the name of a backbone, or of its package, apart.

    Raises NewPluginError when it cannot be one, or belongs to something that is installed.
    """
    backbone = name[len(PREFIX):] if name.startswith(PREFIX) else name
    if not re.fullmatch("[a-z][a-z0-9]*([-_][a-z0-9]+)*", backbone):
        raise NewPluginError(f"a plug-in cannot be called {name!r}: take small letters and digits, "
                             f"a letter first, with single hyphens or underscores in between, as "
                             f"in tiny-net")
    for registered in list_backbones():
        if any(same_name(backbone, other) for other in (registered.name, *registered.aliases)):
            raise NewPluginError(f"a plug-in cannot be called {name!r}: there is a backbone called "
                                 f"{registered.name} already; take another name")
    plugin = PluginNames(backbone)
    if find_spec(plugin.package) is not None:
        raise NewPluginError(f"a plug-in cannot be called {name!r}: there is a package called "
                             f"{plugin.package} already; take another name")
    return plugin


def write_plugin(called: PluginNames, out: Path) -> Path:
    """Write a new plug-in into a folder of its own in `out`; return that folder.

    It appears when it is complete. Raises NewPluginError when there is anything at its place.
    """
    target = out / called.distribution
    if target.exists() or target.is_symlink():
        raise NewPluginError(f"{target} is there already, and is left as it is: take another name "
                             f"or another --out")
    templates = files("ssdreg.scaffold") / "templates" / "plugin"
    with replacing_folder(target) as beside:
        for template, place in FILES.items():
            file = beside / called.fill(place)
            file.parent.mkdir(parents=True, exist_ok=True)
            text = (templates / template).read_text(encoding="utf-8")
            file.write_text(called.fill(text), encoding="utf-8")
    return target
