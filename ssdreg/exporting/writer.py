"""The ONNX graph while it is written: values, constants and nodes, with unique names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field, frozen

from ssdreg.errors import ExportError
from ssdreg.exporting.reading import Shape

if TYPE_CHECKING:
    import onnx


#: The shape of values inside one operator's translation, which is never read.
UNKNOWN = Shape((), ())


@frozen(eq=False)
class Value:
    """A tensor between operators: `name` in the ONNX graph, or a constant not yet written.

    `shape` is MXNet's; of a constant that of `array`, which is float32 or an integer type.
    """

    shape: Shape
    name: str = ""
    array: np.ndarray | None = field(default=None, repr=False)
    label: str = ""

    @classmethod
    def constant(cls, array: np.ndarray, label: str) -> Value:
        """Return a constant, called `label` if it is ever written."""
        return cls(Shape.fixed(array.shape), array=array, label=label)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Its sizes for a batch of one."""
        return self.shape.sizes


@define(eq=False)
class Writer:
    """Collects nodes and constants; `dtype` is what floating-point constants are written in."""

    opset: int
    batch: int | None
    dtype: np.dtype[Any]
    nodes: list[onnx.NodeProto] = field(factory=list)
    constants: dict[str, onnx.TensorProto] = field(factory=dict)
    _reserved: set[str] = field(factory=set)
    _written: dict[tuple[int, str], str] = field(factory=dict)
    _kept_arrays: list[np.ndarray] = field(factory=list)

    def reserve(self, name: str) -> str:
        """Reserve a name, numbered where it is already taken, and return it."""
        unique_name, number = name, 1
        while unique_name in self._reserved:
            number += 1
            unique_name = f"{name}_{number}"
        self._reserved.add(unique_name)
        return unique_name

    def node(self, op: str, inputs: Sequence[Value | str], name: str, shape: Shape | None = None,
             **attributes: Any) -> Value:
        """Add a node with one output of the same name, and return the output."""
        return self.node_of(op, inputs, name, (shape or UNKNOWN,), **attributes)[0]

    def node_of(self, op: str, inputs: Sequence[Value | str], name: str,
                shapes: Sequence[Shape], **attributes: Any) -> list[Value]:
        """Add a node with an output for each shape."""
        from onnx import helper
        own = self.reserve(name)
        outputs = [own if len(shapes) == 1 else self.reserve(f"{own}_{index}")
                   for index in range(len(shapes))]
        self.nodes.append(helper.make_node(op, [self.named(value) for value in inputs], outputs,
                                           name=own, **attributes))
        return [Value(shape, output) for shape, output in zip(shapes, outputs)]

    def named(self, value: Value | str) -> str:
        """Return the name of a value; a constant is written on first use."""
        if isinstance(value, str):
            return value
        if value.array is None:
            return value.name
        array = value.array
        dtype = self.dtype if array.dtype.kind == "f" else array.dtype
        key = (id(array), str(dtype))
        if key not in self._written:
            # kept alive, so that no other array gets its id
            self._kept_arrays.append(array)
            self._written[key] = self.constant(_converted(array, dtype, value.label), value.label)
        return self._written[key]

    def constant(self, array: np.ndarray, label: str) -> str:
        """Write a constant in its own type and return its name."""
        from onnx import numpy_helper
        name = self.reserve(label)
        self.constants[name] = numpy_helper.from_array(
            np.asarray(array, order="C"), name)
        return name

    def integers(self, values: Sequence[int], label: str) -> str:
        """Write a list of int64, as shapes and axes are, and return its name."""
        return self.constant(np.array(values, np.int64), label)

    def floats(self, values: float | Sequence[float], label: str) -> str:
        """Write a number or a list in the current floating-point type; return its name."""
        return self.constant(_converted(np.array(values, np.float64), self.dtype, label), label)

    def reduce(self, op: str, value: Value, axes: Sequence[int], keep: bool, name: str,
               shape: Shape | None = None) -> Value:
        """Add a ReduceMax, ReduceMean, ...: from opset 18 on their axes are an input."""
        if self.opset >= 18 or op == "ReduceSum":  # whose axes are an input since opset 13
            return self.node(op, [value, self.integers(axes, f"{name}_axes")], name, shape,
                             keepdims=int(keep))
        return self.node(op, [value], name, shape, axes=list(axes), keepdims=int(keep))

    def cast(self, value: Value, dtype: np.dtype[Any], name: str) -> Value:
        """Add a Cast."""
        from onnx import helper
        return self.node("Cast", [value], name, value.shape,
                         to=helper.np_dtype_to_tensor_dtype(dtype))


def _converted(array: np.ndarray, dtype: np.dtype[Any], label: str) -> np.ndarray:
    """Return a constant in another type; raise ExportError where that cannot hold its values."""
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if array.dtype.kind == "f" and (np.isinf(converted) & np.isfinite(array)).any():
        raise ExportError(f"{label!r} has values up to {np.abs(array).max():.3g}, which {dtype} "
                          f"cannot hold: export in float32")
    return converted
