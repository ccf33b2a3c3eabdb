"""NumPy as MXNet 1.9.1 and GluonCV 0.10 expect it: the installed one, and the names it removed.

NumPy removed names in 1.20, 1.24, 2.0 and later. They are not added to NumPy itself: other packages
test for them (``hasattr(np, "in1d")``) and would be misled. `namespace` returns a module with
NumPy's attributes and these names, which `ssdreg.compat.mxnet_modules` gives to MXNet only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

#: Former aliases of builtins. NumPy 2 has its own scalar ``bool``; MXNet means Python's.
BUILTINS = {"bool": bool, "int": int, "float": float}

CONSTANTS = {"Inf": np.inf, "NaN": np.nan, "NAN": np.nan, "PINF": np.inf, "NINF": -np.inf,
             "PZERO": 0.0, "NZERO": -0.0}

#: Renamed functions: the old name and the new one.
RENAMED = {"alltrue": "all", "sometrue": "any", "product": "prod", "round_": "round",
           "trapz": "trapezoid"}

#: Functions moved to the package numpy-financial; ``mxnet.numpy`` looks them up on import.
FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")


def _renamed(name: str) -> Callable[..., Any]:
    """Return a function with the old name, which calls the renamed one.

    It is no alias, because MXNet keeps a table from NumPy's functions to its own: there
    ``np.product`` would overwrite the entry of ``np.prod``.
    """
    function = getattr(np, RENAMED[name])

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)
    wrapper.__name__ = wrapper.__qualname__ = name
    return wrapper


def _financial(name: str) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **options: Any) -> Any:
        """Raise RuntimeError, as NumPy does since 1.20."""
        raise RuntimeError(f"NumPy has no {name} since 1.20: use the package numpy-financial")
    wrapper.__name__ = wrapper.__qualname__ = name
    return wrapper


def in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False) -> np.ndarray:
    """Tell of each element of `ar1`, flattened to (n,), whether it is in `ar2`; bool."""
    return np.isin(np.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)


def msort(a: Any) -> np.ndarray:
    """Return `a` sorted along its first axis, in its shape and dtype."""
    return np.sort(a, axis=0)


def build_err_msg(arrays: Sequence[Any], err_msg: str, header: str = "Items are not equal:",
                  names: Sequence[str] = ("ACTUAL", "DESIRED"), **_: Any) -> str:
    """Return the text about differing arrays that MXNet's test helpers show."""
    return "\n".join([f"\n{header} {err_msg}",
                      *(f" {name}: {array!r}" for name, array in zip(names, arrays))])


def lost_names() -> dict[str, Any]:
    """Return the values of the names that MXNet looks up and the installed NumPy lacks."""
    # vars(), not hasattr(): NumPy answers hasattr with a deprecation warning for some of them
    present = vars(np)
    expected: dict[str, Any] = {
        **BUILTINS, **CONSTANTS,
        **{name: _renamed(name) for name in RENAMED if name not in present},
        **{name: _financial(name) for name in FINANCIAL},
        "in1d": in1d, "msort": msort,
        # MXNet only reads the type of text from it
        "compat": SimpleNamespace(basestring=str),
    }
    return {name: value for name, value in expected.items() if name not in present}


def _extended_module(module: ModuleType, added: dict[str, Any]) -> ModuleType:
    """Return a module with the attributes of `module`, later ones too, and those of `added`."""
    extended = ModuleType(module.__name__, module.__doc__)
    # a copy, so that a lookup is as fast as in the module itself
    vars(extended).update(vars(module))
    vars(extended).update(added, __getattr__=functools.partial(getattr, module))
    return extended


def namespace() -> ModuleType:
    """Return a module with NumPy's attributes and every name that MXNet looks up in it."""
    import numpy.testing
    added = lost_names()
    if not hasattr(numpy.testing, "build_err_msg"):
        added["testing"] = _extended_module(numpy.testing, {"build_err_msg": build_err_msg})
    return _extended_module(np, {**added, **BUILTINS})
