"""What MXNet's own functions do under NumPy 2 as they did under NumPy 1."""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
import json
import pickle
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.parsing import parse

from ssdreg.compat.mxnet_repairs import plain, text
from ssdreg.mx import mx

MXNET = Path(importlib.util.find_spec("mxnet").origin).parent


def test_records_are_packed_with_several_labels(tmp_path):
    packed = mx.recordio.pack(mx.recordio.IRHeader(0, [1, 2.5], 7, 0), b"abc")
    header, rest = mx.recordio.unpack(packed)
    assert header.label.tolist() == [1, 2.5]
    assert (header.flag, header.id, rest) == (2, 7, b"abc")
    assert struct.pack("ff", 1, 2.5) in packed


def test_pictures_are_packed():
    cv2 = pytest.importorskip("cv2", reason="mx.recordio packs pictures by OpenCV only")
    packed = mx.recordio.pack_img(mx.recordio.IRHeader(0, [1, 2], 7, 0),
                                  np.zeros((4, 5, 3), "uint8"), img_fmt=".png")
    assert cv2.imdecode(np.frombuffer(mx.recordio.unpack(packed)[1], "uint8"), 1).shape == (4, 5, 3)


def test_no_other_function_of_mxnet_calls_tostring():
    calls = {(str(file.relative_to(MXNET)), function.name) for file in MXNET.rglob("*.py")
             for function in ast.walk(parse(file))
             if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
             if isinstance(node, ast.Attribute) and node.attr == "tostring"}
    assert calls == {("recordio.py", "pack"), ("recordio.py", "pack_img")}


@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "ce", "nll_loss", "loss", "perplexity"])
def test_metrics_sum_in_float64(name):
    options = {"ignore_label": None} if name == "perplexity" else {}
    metric = mx.metric.create(name, **options)
    draw = np.random.RandomState(1)
    for _ in range(3):
        prediction = mx.nd.softmax(mx.nd.array(draw.rand(7, 2)))
        metric.update([mx.nd.array(draw.randint(0, 2, 7))],
                      [prediction[:, 1] if name in ("mae", "mse", "rmse") else prediction])
    assert np.asarray(metric.sum_metric).dtype == np.float64
    assert np.asarray(metric.get()[1]).dtype == np.float64


def test_a_long_sum_keeps_its_digits():
    metric = mx.metric.Loss()
    metric.sum_metric, metric.num_inst = np.float32(2**24), 2**24
    metric.sum_metric += np.float32(1)
    assert metric.sum_metric == 2**24 + 1


def test_metrics_are_pickled_reset_and_of_pythons_numbers():
    metric = mx.metric.CustomMetric(lambda label, prediction: 0.5)
    metric.update([mx.nd.ones((1,))], [mx.nd.ones((1,))])
    assert type(metric.sum_metric) is float
    again = pickle.loads(pickle.dumps(mx.metric.Accuracy()))
    assert (again.sum_metric, again.global_sum_metric) == (0, 0)
    metric.reset()
    assert metric.sum_metric == 0


def test_the_orthogonal_initialiser_draws():
    weight = mx.nd.zeros((8, 4, 3, 3))
    mx.init.Orthogonal()(mx.init.InitDesc("net_weight"), weight)
    rows = weight.asnumpy().reshape(8, -1) / np.sqrt(2)
    assert np.allclose(rows @ rows.T, np.eye(8) * (rows @ rows.T)[0, 0], atol=1e-5)


def test_attributes_may_be_numpys_scalars():
    two = np.int64(2)
    assert mx.nd.zeros((two, np.int32(3))).shape == (2, 3)
    pooled = mx.nd.Pooling(mx.nd.ones((1, 1, 4, 4)), kernel=(two, two), pool_type="max")
    assert pooled.shape == (1, 1, 3, 3)
    priors = mx.nd.contrib.MultiBoxPrior(mx.nd.ones((1, 1, 2, 2)), ratios=[np.float64(1), 2],
                                         sizes=(np.float32(0.1), np.float64(0.2)))
    assert priors.shape == (1, 12, 4)


def test_attributes_of_symbols_are_written_as_numbers():
    data = mx.sym.Variable("data", shape=(np.int64(2), 3, 8, 8), lr_mult=np.float64(0.3))
    symbol = mx.sym.Convolution(data, kernel=(np.int64(2), 2), num_filter=np.int64(3), name="conv")
    nodes = {node["name"]: node.get("attrs", {}) for node in json.loads(symbol.tojson())["nodes"]}
    assert nodes["conv"]["kernel"] == "(2, 2)"
    assert nodes["data"]["__shape__"] == "(2, 3, 8, 8)"
    assert nodes["data"]["__lr_mult__"] == "0.3"


def test_rates_may_be_numpys_scalars():
    weight = mx.nd.ones((2,))
    rule = mx.optimizer.SGD(learning_rate=np.float32(0.1), momentum=np.float64(0.9))
    mx.optimizer.get_updater(rule)(0, mx.nd.ones((2,)), weight)
    assert weight.asnumpy().tolist() == [np.float32(1) - np.float32(0.1)] * 2


def test_texts():
    assert text((np.int64(3), [np.float32(0.1), np.bool_(True)], None)) == "(3, [0.1, True], None)"
    assert text("np.int64(3)") == "np.int64(3)"
    assert text(np.float64(0.1)) == "0.1"
    assert plain(np.float16(0.1)) == 0.1
    assert plain((1, "np.")) == (1, "np.")


@pytest.mark.parametrize("make", [mx.nd.array, mx.nd.sparse.csr_matrix, mx.nd.sparse.array])
def test_scipys_matrices_are_known_without_a_warning(make):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    matrix = sparse.csr_matrix(np.array([[0, 1], [2, 0]], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = make(matrix)
        mx.nd.array(np.zeros(2))
    np.testing.assert_array_equal(made.asnumpy(), matrix.toarray())


def test_an_operators_function_is_written_when_it_is_needed_first():
    code = """
from ssdreg.mx import mx
operators = [value for module in (mx.nd.op, mx.sym.op, mx.np, mx.npx)
             for value in vars(module).values() if "_make" in getattr(value, "__dict__", ())]
written = lambda: sum("_function" in vars(operator) for operator in operators)
before = written()
assert mx.nd.relu(mx.nd.array([-1, 2])).asnumpy().tolist() == [0, 2]
assert mx.sym.relu(mx.sym.Variable("data")).list_arguments() == ["data"]
assert mx.np.sum(mx.np.array([[1, 2]])).tolist() == 3
assert mx.npx.relu(mx.np.array([-1, 2])).tolist() == [0, 2]
print(before, written())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert (before, after) == (0, 4)


@pytest.mark.parametrize("module", [mx.nd, mx.sym])
def test_operators_look_like_functions(module):
    operator = module.Convolution
    assert (operator.__name__, operator.__module__) == ("Convolution", module.__name__[6:])
    assert list(inspect.signature(operator).parameters)[:3] == ["data", "weight", "bias"]
    assert "convolution" in operator.__doc__
    assert "or float" in module.contrib.adamw_update.__doc__  # MXNet writes into it
    assert copy.deepcopy(operator) is operator


def test_numpys_operators_look_like_functions():
    """By a text and a signature that were written by hand, or by those of MXNet's operator."""
    by_hand, generated = mx.np.cumsum, mx.npx.batch_dot
    assert list(inspect.signature(by_hand).parameters) == ["a", "axis", "dtype", "out"]
    assert by_hand.__doc__.lstrip().startswith("Return the cumulative sum")
    assert "_function" not in vars(by_hand)
    assert list(inspect.signature(generated).parameters)[:3] == ["lhs", "rhs", "transpose_a"]
    assert "ndarray" in generated.__doc__
    assert "NDArray" not in generated.__doc__
    assert [each.__module__ for each in (by_hand, generated)] == ["mxnet.numpy",
                                                                  "mxnet.numpy_extension"]
