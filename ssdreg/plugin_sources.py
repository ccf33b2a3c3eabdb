"""Installed plug-ins: the entry points of distributions, read without importing any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any

from attrs import frozen

from ssdreg._version import __version__

#: The group of entry points, and the name of the hooks' project.
GROUP = "ssdreg"

_FIELD = re.compile(r"^(Name|Version|Requires-Dist):(.*)$", re.MULTILINE)
#: The lines below ``[ssdreg]``, and each of them.
_SECTION = re.compile(rf"^\[\s*{GROUP}\s*\]([^\[]*)", re.MULTILINE)
_LINE = re.compile(r"^\s*([^=#;\s][^=]*?)\s*=\s*(.+?)\s*$", re.MULTILINE)


@frozen(eq=False)
class Source:
    """One plug-in of an installed distribution.

    `name` and `value` are those of its entry point; `requires` is the range of ssdreg's versions
    that the distribution asks for, empty where it asks for none.
    """

    distribution: str
    version: str
    name: str
    value: str
    requires: str

    @property
    def title(self) -> str:
        """Distribution and entry point: what the plug-in is called in reports."""
        return f"{self.distribution}:{self.name}"

    def load(self) -> Any:
        """Import what the entry point names."""
        return metadata.EntryPoint(self.name, self.value, GROUP).load()

    def unmet(self) -> str:
        """Say what is asked of ssdreg that this version is not; empty when all is well."""
        if not self.requires:
            return ""
        # imported only here: most plug-ins ask for nothing
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
        try:
            wanted = SpecifierSet(self.requires)
        except InvalidSpecifier:
            return ""  # pip would not have installed it; there is nothing to compare with
        if wanted.contains(__version__, prereleases=True):
            return ""
        return (f"needs ssdreg {self.requires}, and this is {__version__}: "
                f"upgrade with `pip install -U ssdreg`")


def installed_sources() -> Iterator[Source]:
    """Yield the plug-ins that are installed, in the order in which Python finds them.

    A distribution found twice (installed, and its sources in the working folder) counts once, as
    Python would import the first. Metadata are read of distributions with a plug-in only, and
    each file once: `importlib.metadata` parses them anew whenever something is asked.
    """
    seen = set()
    for distribution in metadata.distributions():
        section = _SECTION.search(distribution.read_text("entry_points.txt") or "")
        if section is None:
            continue
        headers = _headers(distribution)
        name, version = headers.get("Name", ["?"])[0], headers.get("Version", [""])[0]
        if name in seen:
            continue
        seen.add(name)
        required = _required(headers.get("Requires-Dist", []))
        for point, value in _LINE.findall(section.group(1)):
            yield Source(name, version, point, value, required)


def _headers(distribution: metadata.Distribution) -> dict[str, list[str]]:
    """Read a distribution's headers: each time they are asked for, `metadata` parses the page."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    found: dict[str, list[str]] = {}
    for key, value in _FIELD.findall(text.partition("\n\n")[0]):
        found.setdefault(key, []).append(value.strip())
    return found


def _required(requirements: Iterable[str]) -> str:
    """Return the range of ssdreg that a distribution requires, of its own and not of an extra."""
    for requirement in requirements:
        needed, _, marker = requirement.partition(";")
        found = re.fullmatch(r"\s*ssdreg\s*(?:\[[^]]*\])?\s*\(?([^)]*)\)?\s*", needed,
                             re.IGNORECASE)
        if found and "extra" not in marker:
            return found.group(1).strip()
    return ""
