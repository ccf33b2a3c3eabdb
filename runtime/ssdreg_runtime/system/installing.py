"""What to tell somebody to install: lines for pip that work however this was installed."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires

OWN = "ssdreg-runtime"

#: ``openvino>=2024.1; extra == "openvino"``, as metadata write it.
_REQUIREMENT = re.compile(r"""(?P<what>[^;]+?)\s*;.*\bextra\s*==\s*['"](?P<extra>[\w-]+)['"]""")
#: ``ssdreg-runtime[openvino]``: an extra of another distribution of ours.
_EXTRA = re.compile(r"(?P<distribution>ssdreg[\w-]*)\[(?P<extra>[\w-]+)\]")


def install(extra: str, distribution: str = OWN) -> str:
    """Return the line that installs what an extra of a distribution asks for.

    It names the packages themselves: ``pip install 'ssdreg[openvino]'`` finds nothing, or another
    version, where ssdreg came from a folder or a file and not from an index.
    """
    return f"pip install {shlex.join(packages(extra, distribution) or [extra])}"


def packages(extra: str, distribution: str = OWN) -> list[str]:
    """Return what an extra asks for, by the distribution's own metadata; what is ours, taken apart.

    Empty where there are no metadata, or no such extra.
    """
    try:
        asked = requires(distribution) or []
    except PackageNotFoundError:
        return []
    found: list[str] = []
    for text in asked:
        requirement = _REQUIREMENT.fullmatch(text.strip())
        if requirement is None or requirement["extra"] != extra:
            continue
        inner = _EXTRA.match(requirement["what"])
        found += (packages(inner["extra"], inner["distribution"]) if inner
                  else [requirement["what"].replace(" ", "")])
    return found
