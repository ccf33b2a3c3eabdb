"""The check whether MXNet is installed, and the command that installs it; imports nothing."""

from __future__ import annotations

import importlib.util

from ssdreg.errors import DependencyError

#: Without dependencies: its metadata exclude NumPy 2, and ssdreg installs what it needs.
INSTALL = "pip install --no-deps mxnet==1.9.1"
MISSING = f"MXNet is not installed: run `{INSTALL}`"


def installed() -> bool:
    """Tell whether MXNet is installed."""
    return importlib.util.find_spec("mxnet") is not None


def require() -> None:
    """Raise DependencyError with the install command where MXNet is missing."""
    if not installed():
        raise DependencyError(MISSING)
