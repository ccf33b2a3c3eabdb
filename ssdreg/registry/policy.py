"""Which installed plug-ins may be loaded: see `PRECEDENCE`.

Names are of distributions (``ssdreg-gluon``), or of one plug-in of them (``ssdreg-gluon:gluon``),
separated by commas. To disable a plug-in its own name (``gluon``) is enough; to allow it that is
not, because anybody may call a plug-in so. What may not be loaded is not imported. Plug-ins that
come with ssdreg, and those registered by `ssdreg.registry.host.register`, are not asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ssdreg.registry.entry_points import EntryPoint, folded

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
