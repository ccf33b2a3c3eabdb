"""A detector's ONNX model that takes a picture of any size as it is: ``--input image``.

Two parts are put around a model that is there already, of whatever precision: before it what
`ssdreg_runtime.io.images.resize` does, to the bit, and behind it what
`ssdreg_runtime.boxes.detections.from_rows` does. ONNX's own Resize is not used: it interpolates in
floating point and rounds once, where OpenCV has weights of 11 bits and rounds three times.

All numbers of the resize are whole and below 2**24, so that float32 holds them exactly, in any
order of operations and on any runtime; integers are not used, because some runtimes divide those
in floating point too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from ssdreg_runtime.backends.model_file import IMAGE, IMAGE_OUTPUTS, INPUT, OUTPUT

from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import ExportError
from ssdreg.exporting.openvino_model import stated_facts
from ssdreg.exporting.reading import Shape
from ssdreg.exporting.writer import Value, Writer

if TYPE_CHECKING:
    import onnx

_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)
_TWO = (Shape((), ()),) * 2


def with_image_input(model: onnx.ModelProto, name: str = "the model") -> onnx.ModelProto:
    """Return a detector's model that takes one picture, and gives its objects in pixels.

    `model` is what `ssdreg.exporting.to_onnx` makes or `ssdreg quantize` makes of that, for one
    image at a time or for any number. The input ``image`` is (h, w, 3) uint8, RGB, of any size;
    the outputs, best first, are ``boxes`` (N, 4) float32, left, top, right and bottom in pixels
    of the picture, inside it; ``scores`` (N,) float32; and ``labels`` (N,) int32.

    Pixels that the network sees equal those of `ssdreg_runtime.io.images.resize`, as long as a
    side times twice the network's is below 2**24: 27,962 pixels for a network of 300.

    Raises ExportError for a model of several images at a time, for one without suppression, and
    for what is no detector; `name` is its name in the messages.
    """
    import onnx
    from onnx import TensorProto, helper
    height, width = _network_size(model, name)
    writer = Writer(next(each.version for each in model.opset_import if not each.domain), 1,
                    _FLOAT32)
    for taken in _names(model) - {INPUT}:
        writer.reserve(taken)
    for wanted in (IMAGE, *IMAGE_OUTPUTS):
        if writer.reserve(wanted) != wanted:
            raise ExportError(f"{name} has a value called {wanted!r} inside, a name that its new "
                              f"inputs and outputs need: export it from the run")
    sides = _sides(writer)
    _write_resize(height, width, sides, writer)
    before, writer.nodes = writer.nodes, []
    _write_objects(_rules(model), sides, writer)
    graph = helper.make_graph(
        [*before, *model.graph.node, *writer.nodes], model.graph.name,
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["height", "width", 3])],
        [helper.make_tensor_value_info(output, kind, ["objects", *rest]) for output, kind, rest in
         zip(IMAGE_OUTPUTS, (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT32),
             ([4], [], []))])
    wrapped = helper.make_model(graph, producer_name=model.producer_name,
                                producer_version=model.producer_version,
                                opset_imports=model.opset_import, ir_version=model.ir_version)
    wrapped.metadata_props.extend(model.metadata_props)
    # only now, because making a model copies its graph
    wrapped.graph.initializer.extend(model.graph.initializer)
    wrapped.graph.initializer.extend(writer.constants.values())
    onnx.checker.check_model(wrapped, full_check=True)
    return wrapped


def _network_size(model: onnx.ModelProto, name: str) -> tuple[int, int]:
    """Return the height and width of the network's input; raise ExportError for others."""
    inputs = [port.name for port in model.graph.input]
    outputs = [port.name for port in model.graph.output]
    if inputs == [IMAGE] and tuple(outputs) == IMAGE_OUTPUTS:
        raise ExportError(f"{name} takes a picture as it is already: use it as it is")
    if inputs != [INPUT] or outputs != [OUTPUT]:
        raise ExportError(f"{name} is no detector with suppression: it has the inputs "
                          f"{', '.join(inputs)} and the outputs {', '.join(outputs)}, where "
                          f"{INPUT} and {OUTPUT} are needed")
    batch, height, width, _ = model.graph.input[0].type.tensor_type.shape.dim
    if batch.HasField("dim_value") and batch.dim_value != 1:
        raise ExportError(f"{name} takes {batch.dim_value} images at a time, and --input image is "
                          f"one picture: export it for one, or for any number")
    return height.dim_value, width.dim_value


def _names(model: onnx.ModelProto) -> set[str]:
    """Return all names in a graph: of nodes, of values and of constants."""
    graph = model.graph
    return {name for node in graph.node for name in (node.name, *node.input, *node.output)} | {
        tensor.name for tensor in graph.initializer}


def _rules(model: onnx.ModelProto) -> PostProcessing:
    return PostProcessing(nms_threshold=json.loads(stated_facts(model)["nms_threshold"]))


@frozen
class _Sides:
    """The picture's height and width, each (1,) int64."""

    height: Value
    width: Value


def _sides(writer: Writer) -> _Sides:
    return _Sides(*(writer.node("Shape", [IMAGE], f"picture_{name}", start=axis, end=axis + 1)
                    for axis, name in enumerate(("height", "width"))))


def _write_resize(height: int, width: int, sides: _Sides, writer: Writer) -> None:
    """Write the picture (h, w, 3) uint8 resized, as `images` (1, height, width, 3)."""
    rows = _write_axis(height, sides.height, "row", writer)
    columns = _write_axis(width, sides.width, "column", writer)
    # beyond the first and the last column there is only that column; rows are weighed there with
    # themselves, which rounds differently
    columns = _alone_at_ends(columns, sides.width, writer)
    one_by_one = [_write_across(row, columns, side, writer)
                  for row, side in ((rows.first, "upper"), (rows.second, "lower"))]
    parts = [_write_down(across, weight, side, writer) for across, weight, side in zip(
        one_by_one, (rows.first_weight, rows.second_weight), ("upper", "lower"))]
    total = writer.node("Add", [writer.node("Add", parts, "both_rows"),
                                writer.floats(2.0, "half_of_four")], "four_times")
    pixels = _floor_of(total, 1 / 4, "resized", writer)
    pixels = writer.cast(pixels, np.dtype(np.uint8), "resized_pixels")
    first = writer.integers([0], "batch_axis")
    written = writer.node("Unsqueeze", [pixels, first], INPUT)
    assert written.name == INPUT


@frozen
class _Axis:
    """For each output index of an axis: two input indices, int64, and their weights, float32.

    `before` is the first index before it is clipped to the picture, float32; `share` the weight
    of the second as a share.
    """

    before: Value
    share: Value
    first: Value
    second: Value
    first_weight: Value
    second_weight: Value


def _write_axis(size: int, side: Value, name: str, writer: Writer) -> _Axis:
    """Write where the pixels of an axis come from, which `size` pixels are made of."""
    # (i + 1/2) * side / size - 1/2 as one division of whole numbers, which rounds once
    odd = writer.constant(np.arange(1, 2 * size, 2, dtype=np.int64), f"{name}_odd")
    dividend = writer.node("Sub", [writer.node("Mul", [odd, side], f"{name}_scaled"),
                                   writer.integers([size], f"{name}_count")], f"{name}_dividend")
    position = writer.node("Div", [writer.cast(dividend, _FLOAT32, f"{name}_dividend_float"),
                                   writer.floats(2.0 * size, f"{name}_divisor")],
                           f"{name}_position")
    before = writer.node("Floor", [position], f"{name}_before")
    share = writer.node("Sub", [position, before], f"{name}_share")
    last = writer.cast(writer.node("Sub", [side, writer.integers([1], f"{name}_one")],
                                   f"{name}_last_whole"), _FLOAT32, f"{name}_last")
    after = writer.node("Add", [before, writer.floats(1.0, f"{name}_next")], f"{name}_after")
    first, second = (
        writer.cast(writer.node("Min", [writer.node("Max", [
            place, writer.floats(0.0, f"{name}_{which}_least")], f"{name}_{which}_from"), last],
            f"{name}_{which}_inside"), _INT64, f"{name}_{which}")
        for place, which in ((before, "first"), (after, "second")))
    return _Axis(before, share, first, second, *_write_weights(share, name, writer))


def _write_weights(share: Value, name: str, writer: Writer) -> list[Value]:
    """Write the weights of two neighbours, in whole 2048ths, float32."""
    rest = writer.node("Sub", [writer.floats(1.0, f"{name}_whole"), share], f"{name}_rest")
    return [writer.node("Round", [writer.node("Mul", [
        part, writer.floats(2048.0, f"{name}_{which}_one")], f"{name}_{which}_exact")],
        f"{name}_{which}_weight") for part, which in ((rest, "first"), (share, "second"))]


def _alone_at_ends(columns: _Axis, side: Value, writer: Writer) -> _Axis:
    """Return columns of which those before the first and behind the last have no neighbour."""
    from attrs import evolve
    last = writer.cast(writer.node("Sub", [side, writer.integers([1], "column_step")],
                                   "column_end_whole"), _FLOAT32, "column_end")
    inside = writer.node("And", [
        writer.node("GreaterOrEqual", [columns.before, writer.floats(0.0, "column_begin")],
                    "column_begun"),
        writer.node("Less", [columns.before, last], "column_unended")], "column_inside")
    share = writer.node("Where", [inside, columns.share, writer.floats(0.0, "no_share")],
                        "column_share_inside")
    first, second = _write_weights(share, "column_inside", writer)
    return evolve(columns, first_weight=first, second_weight=second)


def _write_across(rows: Value, columns: _Axis, name: str, writer: Writer) -> Value:
    """Write some rows resized across, (height, width, 3), 7 bits behind the point."""
    taken = writer.node("Gather", [IMAGE, rows], f"{name}_rows", axis=0)
    by_column = writer.integers([-1, 1], f"{name}_by_column")
    weighed = [
        writer.node("Mul", [
            writer.cast(writer.node("Gather", [taken, index], f"{name}_{side}", axis=1), _FLOAT32,
                        f"{name}_{side}_float"),
            writer.node("Reshape", [weight, by_column], f"{name}_{side}_weight")],
            f"{name}_{side}_weighed")
        for index, weight, side in ((columns.first, columns.first_weight, "left"),
                                    (columns.second, columns.second_weight, "right"))]
    return _floor_of(writer.node("Add", weighed, f"{name}_sum"), 1 / 16, f"{name}_across", writer)


def _write_down(across: Value, weight: Value, name: str, writer: Writer) -> Value:
    """Write rows times their weights, 2 bits behind the point.

    A product has up to 26 bits, and float32 holds 24. So a weight is taken as 64 a + b:
    floor(x (64 a + b) / 2**16) = floor((x a + floor(x b / 64)) / 1024).
    """
    by_row = writer.integers([-1, 1, 1], f"{name}_by_row")
    weight = writer.node("Reshape", [weight, by_row], f"{name}_weight")
    high = _floor_of(weight, 1 / 64, f"{name}_weight_high", writer)
    low = writer.node("Sub", [weight, writer.node("Mul", [
        high, writer.floats(64.0, f"{name}_step")], f"{name}_weight_steps")], f"{name}_weight_low")
    small = _floor_of(writer.node("Mul", [across, low], f"{name}_low_product"), 1 / 64,
                      f"{name}_low", writer)
    large = writer.node("Mul", [across, high], f"{name}_high")
    return _floor_of(writer.node("Add", [large, small], f"{name}_product"), 1 / 1024,
                     f"{name}_down", writer)


def _floor_of(value: Value, factor: float, name: str, writer: Writer) -> Value:
    scaled = writer.node("Mul", [value, writer.floats(factor, f"{name}_factor")], f"{name}_scaled")
    return writer.node("Floor", [scaled], name)


def _write_objects(rules: PostProcessing, sides: _Sides, writer: Writer) -> None:
    """Write the outputs of the rows (1, K, 6) that the model gives."""
    first = writer.integers([0], "image_axis")
    rows = writer.node("Squeeze", [OUTPUT, first], "rows")
    column = writer.constant(np.array(0, np.int64), "label_column")
    is_object = writer.node("GreaterOrEqual", [
        writer.node("Gather", [rows, column], "row_labels", axis=1),
        writer.floats(0.0, "least_label")], "is_object")
    kept = writer.node("Compress", [rows, is_object], "objects", axis=0)
    if not rules.suppresses:
        kept = _sorted(kept, writer)
    labels, scores, shares = writer.node_of(
        "Split", [kept, writer.integers([1, 1, 4], "column_counts")], "columns", (*_TWO, _TWO[0]),
        axis=1)
    limits = writer.cast(writer.node("Concat", [sides.width, sides.height] * 2, "limits_whole",
                                     axis=0), _FLOAT32, "limits")
    pixels = writer.node("Mul", [shares, limits], "box_pixels")
    inside = writer.node("Max", [pixels, writer.floats(0.0, "picture_begin")], "boxes_begun")
    last_axis = writer.integers([1], "only_column")
    numbers = writer.node("Squeeze", [labels, last_axis], "label_numbers")
    outputs: Sequence[tuple[str, str, list[Value | str]]] = (
        ("boxes", "Min", [inside, limits]), ("scores", "Squeeze", [scores, last_axis]))
    for output, op, inputs in outputs:
        _write_output(op, inputs, output, writer)
    from onnx import TensorProto
    _write_output("Cast", [numbers], "labels", writer, to=TensorProto.INT32)


def _write_output(op: str, inputs: Sequence[Value | str], name: str, writer: Writer,
                  **attributes: Any) -> None:
    """Write a node whose output is one of the graph's, by a name that is reserved for it."""
    from onnx import helper
    writer.nodes.append(helper.make_node(op, [writer.named(value) for value in inputs], [name],
                                         name=writer.reserve(f"{name}_output"), **attributes))


def _sorted(rows: Value, writer: Writer) -> Value:
    """Write rows (N, 6) best first: without suppression nothing has sorted them yet."""
    column = writer.constant(np.array(1, np.int64), "score_column_number")
    scores = writer.node("Gather", [rows, column], "row_scores", axis=1)
    count = writer.node("Shape", [scores], "row_count")
    _, order = writer.node_of("TopK", [scores, count], "by_score", _TWO, axis=0, largest=1,
                              sorted=1)
    return writer.node("Gather", [rows, order], "sorted_rows", axis=0)
