"""A detector of twelve operators, so that tests of the runtime need neither MXNet nor a training.

It looks at the four quarters of an image: the brightest channel on average is a quarter's class
(red, green or blue), its mean is the score, and the box is the quarter. Rows come best first, with
an empty one behind the first; a quarter that is black is empty too.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("red", "green", "blue")
DATA_SHAPE = (8, 12)
#: Of the quarters from the top left, row by row: left, top, right, bottom as shares.
QUARTERS = ((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1))
#: Rows that it gives for an image.
ROWS = len(QUARTERS) + 1


def metadata(**changes):
    """Return the metadata of the file, without the prefix; a value of None leaves a key out."""
    facts = {"format": 1, "version": "0.1.0", "classes": list(CLASSES),
             "data_shape": list(DATA_SHAPE), "backbone": "quarters", "head": "mean",
             "threshold": 0.01, "nms_threshold": 0.45, "nms_topk": 400, "force_suppress": False,
             "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "precision": "float32", **changes}
    return {key: json.dumps(value) for key, value in facts.items() if value is not None}


def tiny_model(batch=1, inputs="images", outputs=("detection",), **changes):
    """Make the model; `batch` None leaves it open, `changes` are those of the metadata."""
    height, width = DATA_SHAPE

    def constant(name, values, dtype=np.float32):
        return numpy_helper.from_array(np.array(values, dtype), name)

    nodes = [
        helper.make_node("Cast", [inputs], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "split"], ["quartered"]),
        helper.make_node("ReduceMean", ["quartered"], ["means"], axes=[2, 4], keepdims=0),
        helper.make_node("Reshape", ["means", "listed"], ["channels"]),
        helper.make_node("ArgMax", ["channels"], ["brightest"], axis=2),
        helper.make_node("Cast", ["brightest"], ["numbered"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["channels"], ["brightness"], axes=[2]),
        helper.make_node("Div", ["brightness", "white"], ["shares"]),
        helper.make_node("Greater", ["shares", "least"], ["seen"]),
        helper.make_node("Where", ["seen", "numbered", "nothing"], ["kept"]),
        # of the scores' shape, and added to the boxes so that each image of a batch has them
        helper.make_node("Mul", ["shares", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "quarters"], ["moved"]),
        helper.make_node("Concat", ["kept", "shares", "moved"], ["rows"], axis=2),
        helper.make_node("Squeeze", ["shares", "last"], ["flat"]),
        helper.make_node("TopK", ["flat", "four"], ["best", "order"], axis=1),
        helper.make_node("Unsqueeze", ["order", "last"], ["places"]),
        helper.make_node("GatherND", ["rows", "places"], ["sorted"], batch_dims=1),
        helper.make_node("Split", ["sorted", "parts"], ["first", "others"], axis=1),
        helper.make_node("Mul", ["first", "zero"], ["blank"]),
        helper.make_node("Add", ["blank", "nothing"], ["empty"]),
        helper.make_node("Concat", ["first", "empty", "others"], [outputs[0]], axis=1)]
    given = [
        constant("split", [0, 2, height // 2, 2, width // 2, 3], np.int64),
        constant("listed", [0, 4, 3], np.int64), constant("white", 255), constant("least", 0.01),
        constant("nothing", -1), constant("zero", 0), constant("quarters", [QUARTERS]),
        constant("last", [2], np.int64), constant("four", [4], np.int64),
        constant("parts", [1, 3], np.int64)]
    batch = "batch" if batch is None else batch
    results = [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [batch, ROWS, 6])]
    for name in outputs[1:]:
        nodes.append(helper.make_node("Identity", ["channels"], [name]))
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 4, 3]))
    graph = helper.make_graph(
        nodes, "quarters",
        [helper.make_tensor_value_info(inputs, TensorProto.UINT8, [batch, height, width, 3])],
        results, given)
    # an old version of the format, so that old runtimes read it
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {f"ssdreg_{key}": value
                                   for key, value in metadata(**changes).items()})
    onnx.checker.check_model(model, full_check=True)
    return model


def picture(colors, size=(40, 20)):
    """Make an image (h, w, 3) of `size`, (width, height), whose quarters have these colours."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    for color, (left, top, right, bottom) in zip(colors, QUARTERS):
        image[int(top * height):int(bottom * height), int(left * width):int(right * width)] = color
    return image
