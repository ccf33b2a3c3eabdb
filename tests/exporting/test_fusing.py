"""What is put into convolutions: the same numbers come out, of fewer operators."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from onnx import numpy_helper
from support import exporting
from support.exporting import case

from ssdreg.mx import mx

sym = mx.sym
TOLERANCE = 1e-5


def conv(x, name, channels=6, pad=(1, 1), **settings):
    return sym.Convolution(x, num_filter=channels, kernel=(3, 3), pad=pad, name=name, **settings)


def norm(x, name, **settings):
    return sym.BatchNorm(x, fix_gamma=False, name=name, **settings)


def cut(x, begin=(None, None, 1, 1), end=(None,) * 4, **settings):
    return sym.slice(x, begin=begin, end=end, **settings)


def shared(x):
    """Two convolutions of one weight, with a normalisation each."""
    weight = sym.Variable("weight")
    first = norm(conv(x, "one", weight=weight, no_bias=True), "one_bn")
    second = norm(conv(x * 2, "two", weight=weight, no_bias=True), "two_bn")
    return first + second


def read_twice(x):
    y = conv(x, "conv")
    return norm(y, "bn") + y


def read_twice_after_the_cut(x):
    y = cut(conv(x, "conv", pad=(2, 2), stride=(2, 2)))
    return norm(y, "bn") + y


def multiplied_by_itself(x):
    y = conv(x, "conv")
    return sym.elemwise_mul(y, y)


#: A symbol, and the operators that are left of it.
FUSED = {
    "no bias": (lambda x: norm(conv(x, "conv", no_bias=True), "bn"), {"Conv": 1}),
    "bias": (lambda x: norm(conv(x, "conv"), "bn"), {"Conv": 1}),
    "gamma fixed": (lambda x: sym.BatchNorm(conv(x, "conv"), eps=.1, name="bn"), {"Conv": 1}),
    "groups": (lambda x: norm(conv(x, "conv", num_group=3, dilate=(2, 1)), "bn"), {"Conv": 1}),
    "rows": (lambda x: norm(sym.Convolution(sym.Reshape(x, shape=(0, -3, 0)), num_filter=4,
                                            kernel=(3,), name="conv"), "bn"),
             {"Reshape": 1, "Conv": 1}),
    "over devices": (lambda x: sym.contrib.SyncBatchNorm(conv(x, "conv"), key="k", name="bn"),
                     {"Conv": 1}),
    "twice": (lambda x: norm(norm(conv(x, "conv"), "bn"), "again"),
              {"Conv": 1, "BatchNormalization": 1}),
    "cut": (lambda x: cut(conv(x, "conv", pad=(3, 3), stride=(2, 2))), {"Conv": 1}),
    "cut, one side": (lambda x: cut(conv(x, "conv", pad=(2, 2), stride=(1, 2)),
                                    (0, 0, 2, 1)), {"Conv": 1}),
    "cut, then normalised": (lambda x: norm(cut(conv(
        x, "conv", pad=(2, 2), stride=(2, 2), num_group=3, no_bias=True)), "bn"), {"Conv": 1}),
    "one weight": (shared, {"Mul": 1, "Conv": 2, "Add": 1}),
    "a weight computed": (lambda x: norm(conv(
        x, "conv", weight=sym.Variable("weight", shape=(6, 3, 3, 3)) * 2 - .5), "bn"),
        {"Conv": 1}),
    # and what stays
    "read by two": (read_twice, {"Conv": 1, "BatchNormalization": 1, "Add": 1}),
    "read by two after a cut": (read_twice_after_the_cut,
                                {"Conv": 1, "BatchNormalization": 1, "Add": 1}),
    "read by one twice": (multiplied_by_itself, {"Conv": 1, "Mul": 1}),
    "another axis": (lambda x: sym.BatchNorm(conv(x, "conv"), axis=3, fix_gamma=False),
                     {"Conv": 1, "Mul": 1, "Add": 1}),
    "cut beyond the padding": (lambda x: cut(conv(x, "conv", pad=(1, 1), stride=(2, 2))),
                               {"Conv": 1, "Slice": 1}),
    "cut behind": (lambda x: cut(conv(x, "conv"), end=(None, None, -1, None)),
                   {"Conv": 1, "Slice": 1}),
    "cut of channels": (lambda x: cut(conv(x, "conv"), (None, 1, 1, 1)), {"Conv": 1, "Slice": 1}),
    "cut in steps": (lambda x: cut(conv(x, "conv"), step=(None, None, 1, 2)),
                     {"Conv": 1, "Slice": 1}),
    "counted from behind": (lambda x: cut(conv(x, "conv"), (None, None, -4, 1)),
                            {"Conv": 1, "Slice": 1}),
}


@pytest.mark.parametrize("name", FUSED)
def test_fewer_operators_make_the_same(name):
    make, left = FUSED[name]
    made = case(make)
    model = made.export()
    operators = Counter(node.op_type for node in model.graph.node)
    operators.subtract(["Identity"])  # before the output
    assert +operators == left
    for batch in (1, 3):
        found = exporting.run(model, exporting.images(batch))
        assert exporting.apart(found, made.run(exporting.images(batch))) <= TOLERANCE


def test_a_weight_of_two_convolutions_is_written_once():
    weight = sym.Variable("weight")
    model = case(lambda x: conv(x, "one", weight=weight, no_bias=True)
                 + conv(x * 2, "two", weight=weight, no_bias=True)).export()
    assert [list(tensor.dims) for tensor in model.graph.initializer] == [[6, 3, 3, 3], []]


def test_what_is_folded_is_folded_in_double_precision():
    """A variance far from 1 costs no digits of the weights."""
    made = case(lambda x: norm(conv(x, "conv"), "bn", eps=1e-8),
                bn_moving_var=np.array([1e-7, 1e-4, 1, 1e3, 1e6, 3], "float32"))
    model = made.export()
    (weight,) = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer
                 if list(tensor.dims) == [6, 3, 3, 3])
    scale = made.params["bn_gamma"].astype("float64") / np.sqrt(
        made.params["bn_moving_var"].astype("float64") + 1e-8)
    exact = made.params["conv_weight"] * scale.reshape(-1, 1, 1, 1)
    assert (np.abs(weight - exact) <= np.abs(exact) * 2**-24).all()


def test_a_chain_is_called_as_its_end():
    """Quantisation and profiles speak of nodes by name."""
    model = case(lambda x: sym.Activation(norm(cut(conv(x, "conv", pad=(2, 2))), "bn"),
                                          act_type="relu", name="relu")).export()
    assert [node.name for node in model.graph.node[:2]] == ["bn", "relu"]
