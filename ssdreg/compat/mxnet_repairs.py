"""Repairs of MXNet's functions whose behaviour changes under NumPy 2.

Missing names are given to MXNet's modules by `ssdreg.compat.mxnet_modules`. Four incompatibilities
are no missing names, and are repaired in their module as soon as it is imported:

- `mxnet.recordio` calls ``ndarray.tostring``, which NumPy 2.3 removed from a type that cannot be
  extended. ``tobytes`` is the same.
- Metrics add float32 scalars to a Python float. The sum was float64 and is float32 now, which
  loses digits over many batches.
- `mx.nd.array` and sparse arrays use ``scipy.sparse.csr``, which SciPy warns of at every call and
  SciPy 2 removes.
- Attributes of operators are written as text, and a tuple of NumPy's scalars as ``(np.int64(3),
  3)``, which MXNet's library cannot parse. `Orthogonal`, an initialiser, makes such tuples itself.

One is slow: `mxnet.base` has a thousand functions written that few programs call, see
`ssdreg.compat.mxnet_operators`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from ssdreg.compat.mxnet_operators import defer_operators


def plain(value: Any) -> Any:
    """Return a value with Python's numbers instead of NumPy's scalars, in tuples and lists too."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value))
    if isinstance(value, np.floating):
        # by its shortest decimal form: float32 of 0.1 is 0.1, not 0.10000000149
        return float(str(value))
    return value.item() if isinstance(value, (np.integer, np.bool_)) else value


def text(value: Any) -> str:
    """Return ``str(value)``, with numbers in tuples and lists written as numbers."""
    representation = str(value)
    if "np." in representation and isinstance(value, (tuple, list)):
        return str(plain(value))
    return representation


def name_csr_matrix(module: ModuleType) -> None:
    """Let a module find ``scipy.sparse.csr.csr_matrix`` at its current place, without a warning.

    Nothing is done where SciPy is not installed.
    """
    if module.spsp is not None:
        module_with_csr = ModuleType(module.spsp.__name__)
        vars(module_with_csr).update(csr=module.spsp,
                                     __getattr__=functools.partial(getattr, module.spsp))
        vars(module)["spsp"] = module_with_csr


def rename_lookups(function: FunctionType, **new_names: str) -> None:
    """Replace names that a function looks up, as attributes or globals: ``old="new"``."""
    code = function.__code__
    function.__code__ = code.replace(
        co_names=tuple(new_names.get(name, name) for name in code.co_names))


def call_tobytes(recordio: ModuleType) -> None:
    """Let the functions that call ``tostring`` call ``tobytes``."""
    for function in (recordio.pack, recordio.pack_img):
        rename_lookups(function, tostring="tobytes")


def write_plainly(module: ModuleType) -> None:
    """Let a module write attributes by `text`; it uses ``str`` for nothing else."""
    vars(module)["str"] = text


def declare_plainly(symbol: ModuleType) -> None:
    """Let ``mx.sym.var`` write the attributes of a variable by `text`."""
    vars(symbol)["_text"] = text
    rename_lookups(symbol.var, str="_text")


def sum_in_float64(metric: ModuleType) -> None:
    """Let every metric keep its sums in float64, whatever is added to them."""
    for name in ("sum_metric", "global_sum_metric"):
        setattr(metric.EvalMetric, name, property(
            functools.partial(_sum, name), functools.partial(_set_sum, name)))


def _sum(name: str, metric: Any) -> Any:
    return vars(metric)[name]


def _set_sum(name: str, metric: Any, value: Any) -> None:
    # in the instance's own dictionary, as in MXNet: metrics are pickled
    vars(metric)[name] = (np.float64(value) if isinstance(value, (np.float32, np.float16))
                          else value)


#: The repair by the name of its module.
REPAIRS: dict[str, Callable[[ModuleType], None]] = {
    "mxnet.base": defer_operators,
    "mxnet.recordio": call_tobytes,
    "mxnet.ndarray.utils": name_csr_matrix,
    "mxnet.ndarray.sparse": name_csr_matrix,
    "mxnet.metric": sum_in_float64,
    "mxnet._ctypes.ndarray": write_plainly,
    "mxnet._ctypes.symbol": write_plainly,
    "mxnet.io.io": write_plainly,
    "mxnet.symbol.symbol": declare_plainly,
}


def repair(module: ModuleType) -> None:
    """Repair a module that has just been imported, if it is one of these."""
    if module.__name__ in REPAIRS:
        REPAIRS[module.__name__](module)
