"""What cannot be written as ONNX: the operator and its node are named, and why."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support import exporting

from ssdreg.errors import ExportError
from ssdreg.mx import mx

sym = mx.sym


def of_all_images(x):
    """Return (3,), computed from all images of a batch."""
    together = sym.Reshape(x, shape=(1, -1, 14))
    products = sym.batch_dot(together, together, transpose_a=True)
    return sym.Reshape(sym.slice(products, begin=(0, 0, 0), end=(1, 1, 3)), shape=(3,))


REFUSED = {
    "there is no translation of this operator": lambda x: sym.topk(x, k=2, name="it"),
    "pools by 'lp'": lambda x: sym.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=2, name="it"),
    "count the padding as zeros": lambda x: sym.Pooling_v1(x, kernel=(3, 3), pad=(1, 1),
                                                           name="it"),
    "lies in the padding alone": lambda x: sym.Pooling(
        x, kernel=(1, 1), stride=(5, 1), pooling_convention="full", name="it"),
    "its layout is NHWC": lambda x: sym.Convolution(x, num_filter=2, kernel=(1, 1), layout="NHWC",
                                                    name="it"),
    "its moments are outputs too": lambda x: sym.BatchNorm(x, output_mean_var=True, name="it")[0],
    "its parameters are computed from the image": lambda x: sym.BatchNorm(
        x, of_all_images(x), name="it"),
    "its slopes are computed": lambda x: sym.LeakyReLU(
        x, of_all_images(x), act_type="prelu", name="it"),
    "drops values at random": lambda x: sym.Dropout(x, mode="always", name="it"),
    "makes bfloat16 of its input, which": lambda x: sym.Cast(x, dtype="bfloat16", name="it"),
    "it makes int32 of its input": lambda x: sym.Cast(x, dtype="int32", name="it"),
    "it cuts along the batch": lambda x: sym.slice_axis(x, axis=0, begin=0, end=1, name="it"),
    "makes a shape that does not grow with the batch evenly": lambda x: sym.slice_axis(
        x, axis=0, begin=1, end=None, name="it"),
    "puts the images of a batch together": lambda x: sym.mean(x, name="it"),
    "it puts the images": lambda x: sym.argmax(x, name="it"),
    "a batch together": lambda x: sym.cumsum(x, name="it"),
    "use_length": lambda x: sym.softmax(x, sym.mean(x, axis=3), use_length=True, name="it"),
    "it joins several maps": lambda x: sym.UpSampling(
        x, x, scale=2, sample_type="nearest", num_args=2, name="it"),
    "it has no axis": lambda x: sym.repeat(x, repeats=2, name="it"),
    "is fixed to a number of images": lambda x: sym.Reshape(x, shape=(2, 3, 9, 14), name="it"),
    "more than one dimension of its result grows": lambda x: sym.Reshape(
        sym.batch_dot(sym.Reshape(x, shape=(1, -1, 14)), sym.Reshape(x, shape=(1, -1, 14)),
                      transpose_b=True), shape=(0, 0, 0), name="it"),
    "repeats a value for every image": lambda x: sym.broadcast_like(
        sym.Variable("token", shape=(1, 3)), x, lhs_axes=(0,), rhs_axes=(0,), name="it"),
    "its second factor is no matrix": lambda x: sym.dot(x, sym.Variable("w", shape=(14, 3, 2)),
                                                        name="it"),
    "its matrices do not lie": lambda x: sym.linalg.gemm2(x, x, axis=1, transpose_a=True,
                                                          name="it"),
    "it draws at random": lambda x: sym.broadcast_add(x, sym.random.uniform(
        shape=(1, 3, 1, 1), name="it")),
    "it reads output 1": lambda x: sym.identity(
        sym.LeakyReLU(x, act_type="rrelu")[1], name="it"),
    "does not follow from the network": lambda x: sym.broadcast_add(
        x, sym.zeros((0, 3, 1, 1), name="it")),
}
"""What cannot be written, by the reason that is given; the operator is called ``it``."""


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_written_is_named(reason):
    with mx.name.NameManager():
        symbol = REFUSED[reason](sym.Variable("data"))
    arrays = {name: np.ones(3, "float32") for name in symbol.list_inputs()}
    with pytest.raises(ExportError, match=reason) as caught:
        exporting.Case(symbol, arrays).export()
    sentence = str(caught.value)
    node = next(node for node in json.loads(symbol.tojson())["nodes"] if node["name"] == "it")
    assert sentence.startswith(f"{node['op']} at node 'it' ")
    assert "\n" not in sentence


def test_a_batch_that_is_fixed_can_have_two_dimensions_of_it():
    made = exporting.case(REFUSED["more than one dimension of its result grows"])
    found = exporting.run(made.export(batch=2), exporting.images(2))
    assert exporting.apart(found, made.run(exporting.images(2))) <= 1e-5


def test_weights_beyond_half_precision():
    made = exporting.case(lambda x: sym.broadcast_mul(x, sym.Variable("w", shape=(1, 3, 1, 1))),
                          w=np.array([1, 7e4, 2], "float32").reshape(1, 3, 1, 1))
    made.export()
    with pytest.raises(ExportError, match=r"'w' has values up to 7e\+04, which float16 cannot"):
        made.export(dtype="float16")
