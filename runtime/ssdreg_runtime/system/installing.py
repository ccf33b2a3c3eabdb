"""The pip command that installs an extra, however this distribution was installed."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires

OWN = "ssdreg-runtime"

#: A line of the metadata: ``openvino>=2024.1; extra == "openvino"``.
_REQUIREMENT = re.compile(r"""(?P<what>[^;]+?)\s*;.*\bextra\s*==\s*['"](?P<extra>[\w-]+)['"]""")
#: ``ssdreg-runtime[openvino]``: an extra of another distribution of ours.
_EXTRA = re.compile(r"(?P<distribution>ssdreg[\w-]*)\[(?P<extra>[\w-]+)\]")


def install(extra: str, distribution: str = OWN) -> str:
    """Return the pip command that installs the requirements of an extra.

    It names the packages themselves: ``pip install 'ssdreg[openvino]'`` finds nothing, or another
    version, where ssdreg came from a folder or a file and not from an index.
    """
    return f"pip install {shlex.join(packages(extra, distribution) or [extra])}"


def packages(extra: str, distribution: str = OWN) -> list[str]:
    """Return the requirements of an extra by the distribution's own metadata.

    Extras of ssdreg's other distributions are resolved to their requirements. Empty where there
    are no metadata, or no such extra.
    """
    try:
        requirement_lines = requires(distribution) or []
    except PackageNotFoundError:
        return []
    specifiers: list[str] = []
    for line in requirement_lines:
        requirement = _REQUIREMENT.fullmatch(line.strip())
        if requirement is None or requirement["extra"] != extra:
            continue
        own_extra = _EXTRA.match(requirement["what"])
        specifiers += (packages(own_extra["extra"], own_extra["distribution"]) if own_extra
                       else [requirement["what"].replace(" ", "")])
    return specifiers
