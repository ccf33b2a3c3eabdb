"""Which installed plug-ins may be loaded.

The first of these that says something decides:

1. ``ssdreg --no-plugins``: none
2. ``SSDREG_DISABLE_PLUGINS``: ``all``, or those named are not
3. ``SSDREG_PLUGINS``: those named, and no other
4. otherwise all are loaded

Names are of distributions (``ssdreg-gluon``), or of one plug-in of them (``ssdreg-gluon:gluon``),
separated by commas. What may not be loaded is not imported. Plug-ins that come with ssdreg, and
those registered by `ssdreg.plugins.register`, are not asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ssdreg.plugin_sources import Source

DISABLE, ALLOW = "SSDREG_DISABLE_PLUGINS", "SSDREG_PLUGINS"
ALL = "all"
NO_PLUGINS = "--no-plugins"


def forbidden(source: Source) -> str:
    """Say why a plug-in may not be loaded; empty when it may."""
    if _none_by_option:
        return f"disabled by {NO_PLUGINS}"
    disabled, allowed = os.environ.get(DISABLE, ""), os.environ.get(ALLOW)
    if ALL in _listed(disabled) or _names(source) & _listed(disabled):
        return f"disabled by {DISABLE}={disabled}"
    if allowed is not None and not _names(source) & _listed(allowed):
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
    return {_folded(part) for part in text.split(",") if part.strip()}


def _names(source: Source) -> set[str]:
    return {_folded(source.distribution), _folded(source.title)}


def _folded(name: str) -> str:
    """Fold the spellings of a distribution's name, as PyPI does."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
