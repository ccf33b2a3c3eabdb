"""Whether MXNet is installed, and the line that installs it; without importing it."""

from __future__ import annotations

import importlib.util

from ssdreg.errors import DependencyError

#: Without dependencies: its metadata refuse NumPy 2, and what it needs is installed with ssdreg.
INSTALL = "pip install --no-deps mxnet==1.9.1"
MISSING = f"MXNet is not installed: run `{INSTALL}`"


def installed() -> bool:
    """Tell whether there is an MXNet to import."""
    return importlib.util.find_spec("mxnet") is not None


def require() -> None:
    """Raise DependencyError, which says how to install MXNet, where it is missing."""
    if not installed():
        raise DependencyError(MISSING)
