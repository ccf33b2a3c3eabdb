"""MXNet's operators as functions that are written when they are needed first.

MXNet writes the source of two functions for each of its thousand operators and compiles it, which
is half of the time that its import takes. A program calls a few dozen of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _DeferredOperator:
    # Stands for an operator's function, which MXNet's `make` writes from the operator's handle,
    # its name, and the function's. Has no docstring, since an instance's is the function's.

    def __init__(self, make: Callable[[Any, str, str], Callable[..., Any]], handle: Any,
                 operator: str, name: str) -> None:
        self._make = functools.partial(make, handle, operator, name)
        self.__name__ = self.__qualname__ = name

    @functools.cached_property
    def _function(self) -> Callable[..., Any]:
        return self._make()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self._function.__doc__

    @__doc__.setter
    def __doc__(self, text: str | None) -> None:
        self._function.__doc__ = text

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function)

    def __reduce__(self) -> str:
        # pickled and copied as a function is: by its name in its module
        return self.__name__


def defer_operators(base: ModuleType) -> None:
    """Let ``mxnet.base`` put these in the modules of operators, for `mx.nd` and `mx.sym`."""
    fill = base._init_op_module

    def fill_deferred(root_namespace: str, module_name: str,
                      make_op_func: Callable[[Any, str, str], Callable[..., Any]]) -> None:
        fill(root_namespace, module_name, functools.partial(_DeferredOperator, make_op_func))
    vars(base)["_init_op_module"] = fill_deferred
