"""Installed plug-ins: the entry points of distributions, and which of them may be loaded.

Nothing is imported here. Names in `PRECEDENCE` are of distributions (``ssdreg-gluon``), or of one
plug-in of them (``ssdreg-gluon:gluon``), separated by commas. To disable a plug-in its own name
(``gluon``) is enough; to allow it that is not, because anybody may call a plug-in so. Plug-ins that
come with ssdreg, and those registered by `ssdreg.registry.host.register`, are not asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from attrs import frozen

from ssdreg._version import __version__
from ssdreg.registry.issues import describe_error

#: The group of entry points, and the name of the hooks' project.
GROUP = "ssdreg"

DISABLE, ALLOW = "SSDREG_DISABLE_PLUGINS", "SSDREG_PLUGINS"
ALL = "all"
NO_PLUGINS = "--no-plugins"

#: What `ssdreg --help` says of it.
PRECEDENCE = f"""\
Which installed plug-ins are loaded is decided by the first of these that says something:

1. ssdreg {NO_PLUGINS}: none
2. {DISABLE}: {ALL}, or those named are not
3. {ALLOW}: those named, and no other
4. otherwise all are loaded
"""

#: A requirement of ssdreg; the second part is empty where it says no more than its name.
_REQUIREMENT = re.compile(rf"{GROUP}(?![\w.-])\s*(.*)", re.IGNORECASE | re.DOTALL)


@frozen(eq=False)
class EntryPoint:
    """One plug-in of an installed distribution.

    `name` and `value` are those of its entry point; `requires` are the distribution's requirements
    of ssdreg that say more than its name. `damage` tells why its metadata cannot be read, and is
    empty when they can.
    """

    distribution: str
    version: str
    name: str
    value: str
    requires: tuple[str, ...] = ()
    damage: str = ""

    @property
    def title(self) -> str:
        """Distribution and entry point: what the plug-in is called in reports."""
        return f"{self.distribution}:{self.name}"

    def load(self) -> Any:
        """Import what the entry point names."""
        return metadata.EntryPoint(self.name, self.value, GROUP).load()

    def unmet(self) -> str:
        """Return the requirement on ssdreg that this version does not meet; empty when met."""
        if not self.requires:
            return ""
        # imported only here: most plug-ins ask for nothing
        from packaging.requirements import InvalidRequirement, Requirement
        for text in self.requires:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue  # pip would not have installed it; there is nothing to compare with
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            if not wanted.specifier.contains(__version__, prereleases=True):
                return (f"needs ssdreg {wanted.specifier}, and this is {__version__}: upgrade "
                        f"ssdreg, or take a {self.distribution} that goes with it")
        return ""


def installed_entry_points() -> tuple[EntryPoint, ...]:
    """Return the plug-ins that are installed, in the order of their distributions' names.

    A distribution found twice (installed, and its sources in the working folder) counts once, as
    Python would import the first. They are asked one by one, because one with damaged metadata
    makes `importlib.metadata.entry_points` raise for all. A plug-in costs 0.3 to 0.8 ms, half of
    which its metadata take.
    """
    plugins: dict[str, list[EntryPoint]] = {}
    for distribution in metadata.distributions():
        entry_points = list(_entry_points(distribution))
        if entry_points:
            plugins.setdefault(folded(entry_points[0].distribution), entry_points)
    return tuple(entry_point for name in sorted(plugins) for entry_point in plugins[name])


def folded(name: str) -> str:
    """Fold the spellings of a distribution's name, as PyPI does."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _entry_points(distribution: metadata.Distribution) -> Iterator[EntryPoint]:
    """Yield the plug-ins of one distribution; a single one, damaged, when it cannot be read."""
    # files may hold anything, and reading them raises whatever that leads to
    try:
        if GROUP not in (distribution.read_text("entry_points.txt") or ""):
            return
    except Exception as error:
        if _asks_for_ssdreg(distribution):  # other packages' files are no concern of ssdreg's
            yield _damaged(distribution, error)
        return
    try:
        points = [point for point in distribution.entry_points if point.group == GROUP]
        headers = distribution.metadata  # parsed anew at each access
        name, version = (next(iter(headers.get_all(key) or ()), "") for key in ("Name", "Version"))
        if points and not name:
            raise ValueError("the distribution has no name")
        requires = tuple(text for text in headers.get_all("Requires-Dist") or ()
                         if (requirement := _REQUIREMENT.match(text)) and requirement[1])
    except Exception as error:
        yield _damaged(distribution, error)
        return
    for point in points:
        yield EntryPoint(name, version, point.name, point.value, requires)


def _asks_for_ssdreg(distribution: metadata.Distribution) -> bool:
    try:
        return any(map(_REQUIREMENT.match, distribution.requires or ()))
    except Exception:  # nothing is known of it
        return False


def _damaged(distribution: metadata.Distribution, error: Exception) -> EntryPoint:
    # what pip calls the folder, NAME-VERSION.dist-info, is all that is left to go by
    name, _, version = Path(str(getattr(distribution, "_path", "?"))).stem.partition("-")
    return EntryPoint(name, version, "?", "",
                      damage=f"has metadata that cannot be read: {describe_error(error)}")


def forbidden(entry_point: EntryPoint) -> str:
    """Say why a plug-in may not be loaded; empty when it may."""
    if _none_by_option:
        return f"disabled by {NO_PLUGINS}"
    disabled, allowed = os.environ.get(DISABLE, ""), os.environ.get(ALLOW)
    if _listed(disabled) & {ALL, folded(entry_point.name), *_names(entry_point)}:
        return f"disabled by {DISABLE}={disabled}"
    if allowed is not None and not _names(entry_point) & _listed(allowed):
        return f"not among those allowed by {ALLOW}={allowed}"
    return ""


@contextmanager
def no_plugins() -> Iterator[None]:
    """Forbid all installed plug-ins inside this context."""
    _none_by_option.append(True)
    try:
        yield
    finally:
        _none_by_option.pop()


_none_by_option: list[bool] = []


def _listed(text: str) -> set[str]:
    return {folded(part) for part in text.split(",") if part.strip()}


def _names(entry_point: EntryPoint) -> set[str]:
    return {folded(entry_point.distribution), folded(entry_point.title)}
