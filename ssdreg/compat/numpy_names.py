"""NumPy as MXNet 1.9.1 and GluonCV 0.10 know it: what is installed, and the names it has lost.

NumPy removed names in 1.20, 1.24, 2.0 and later. They are not put back into NumPy: other packages
ask it what it has (``hasattr(np, "in1d")``) and would be misled. `namespace` makes a module that
stands for NumPy, with these names added; `ssdreg.compat.mxnet_modules` hands it to MXNet alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

#: Once aliases of builtins. NumPy 2 has a ``bool`` again, its own scalar; MXNet means Python's.
BUILTINS = {"bool": bool, "int": int, "float": float}

CONSTANTS = {"Inf": np.inf, "NaN": np.nan, "NAN": np.nan, "PINF": np.inf, "NINF": -np.inf,
             "PZERO": 0.0, "NZERO": -0.0}

#: Functions that are there by another name.
RENAMED = {"alltrue": "all", "sometrue": "any", "product": "prod", "round_": "round",
           "trapz": "trapezoid"}

#: Functions that went to the package numpy-financial; ``mxnet.numpy`` wants them to be there.
FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")


def _renamed(name: str) -> Callable[..., Any]:
    """Return the function under its older name, as a function of its own.

    A mere alias would do in all but one place: MXNet notes, by function, which of its own stands
    for one of NumPy, and would note another one for ``np.prod`` when it comes to ``np.product``.
    """
    function = getattr(np, RENAMED[name])

    @functools.wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)
    called.__name__ = called.__qualname__ = name
    return called


def _financial(name: str) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        """Raise RuntimeError, as NumPy has done since 1.20."""
        raise RuntimeError(f"NumPy has no {name} since 1.20: use the package numpy-financial")
    called.__name__ = called.__qualname__ = name
    return called


def in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False) -> np.ndarray:
    """Tell of each element of `ar1`, flattened to (n,), whether it is in `ar2`; bool."""
    return np.isin(np.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)


def msort(a: Any) -> np.ndarray:
    """Return `a` sorted along its first axis, in its shape and dtype."""
    return np.sort(a, axis=0)


def build_err_msg(arrays: Sequence[Any], err_msg: str, header: str = "Items are not equal:",
                  names: Sequence[str] = ("ACTUAL", "DESIRED"), **_: Any) -> str:
    """Say what is compared, as MXNet's own test helpers show it when two arrays differ."""
    return "\n".join([f"\n{header} {err_msg}",
                      *(f" {name}: {array!r}" for name, array in zip(names, arrays))])


def lost_names() -> dict[str, Any]:
    """Return what each name stood for that MXNet looks up and the installed NumPy lacks."""
    # vars(), not hasattr(): NumPy answers hasattr with a deprecation warning for some of them
    there = vars(np)
    known: dict[str, Any] = {
        **BUILTINS, **CONSTANTS,
        **{name: _renamed(name) for name in RENAMED if name not in there},
        **{name: _financial(name) for name in FINANCIAL},
        "in1d": in1d, "msort": msort,
        # of it, MXNet reads the type of texts only
        "compat": SimpleNamespace(basestring=str),
    }
    return {name: value for name, value in known.items() if name not in there}


def _standing_for(module: ModuleType, added: dict[str, Any]) -> ModuleType:
    """Return a module with the attributes of `module`, later ones too, and those added."""
    made = ModuleType(module.__name__, module.__doc__)
    # a copy, so that a lookup costs what it costs in the module itself
    vars(made).update(vars(module))
    vars(made).update(added, __getattr__=functools.partial(getattr, module))
    return made


def namespace() -> ModuleType:
    """Return a module that stands for NumPy and has every name that MXNet looks up in it."""
    import numpy.testing
    added = lost_names()
    if not hasattr(numpy.testing, "build_err_msg"):
        added["testing"] = _standing_for(numpy.testing, {"build_err_msg": build_err_msg})
    return _standing_for(np, {**added, **BUILTINS})
