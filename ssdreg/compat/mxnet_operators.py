"""MXNet's operators as functions that are written when they are needed first.

MXNet writes the source of two functions for each of its thousand operators and compiles it, which
is half of the time that its import takes. A program calls a few dozen of them.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: Writes a function from an operator's handle and name, and the function's name.
_Make = Callable[[Any, str, str], Callable[..., Any]]


class _DeferredOperator:
    # Stands for an operator's function, which MXNet's `make` writes from the operator's handle,
    # its name, and the function's. Has no docstring, since an instance's is the function's.

    def __init__(self, make: _Make, handle: Any, operator: str, name: str) -> None:
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


class _DeferredNumPyOperator(_DeferredOperator):
    # Of `mx.np` and `mx.npx`. While MXNet fills their modules, it takes each function's text to
    # write about ndarray for NDArray, or replaces it by one that was written by hand: meanwhile the
    # text is empty, and what is made of that is done when the text is read. Some get the signature
    # of what was written by hand, too.

    _is_filling, _text = True, ""
    _signature: inspect.Signature | None = None

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        if self._is_filling:
            return ""
        return self._text or re.sub("NDArray", "ndarray", self._function.__doc__ or "")

    @__doc__.setter
    def __doc__(self, text: str | None) -> None:
        self._text = text or ""

    @property
    def __signature__(self) -> inspect.Signature:
        return self._signature or super().__signature__

    @__signature__.setter
    def __signature__(self, signature: inspect.Signature) -> None:
        self._signature = signature


def defer_operators(base: ModuleType) -> None:
    """Let ``mxnet.base`` put these in the modules of operators."""
    fill, fill_numpy = base._init_op_module, base._init_np_op_module

    def fill_deferred(root_namespace: str, module_name: str, make_op_func: _Make) -> None:
        fill(root_namespace, module_name, functools.partial(_DeferredOperator, make_op_func))

    def fill_numpy_deferred(root_module_name: str, np_module_name: str, mx_module_name: str | None,
                            make_op_func: _Make) -> None:
        operators = []

        def make(handle: Any, operator: str, name: str) -> _DeferredNumPyOperator:
            operators.append(_DeferredNumPyOperator(make_op_func, handle, operator, name))
            return operators[-1]
        fill_numpy(root_module_name, np_module_name, mx_module_name, make)
        for operator in operators:
            operator._is_filling = False
    vars(base).update(_init_op_module=fill_deferred, _init_np_op_module=fill_numpy_deferred)
