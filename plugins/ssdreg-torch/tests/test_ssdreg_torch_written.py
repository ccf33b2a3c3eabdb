"""Operators as they are written to an exported file: each computes what its translation does.

The translations are held against MXNet in test_ssdreg_torch_operators.py; here the same symbol is
written as lines, and these are run.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from ssdreg_torch import translate  # noqa: E402
from ssdreg_torch.export.body import Body, always, stands_inside  # noqa: E402
from ssdreg_torch.export.code import known  # noqa: E402
from ssdreg_torch.export.identifiers import Identifiers, common_prefix, identifier  # noqa: E402
from ssdreg_torch.export.layers import Layers  # noqa: E402
from ssdreg_torch.export.network import shapes_of  # noqa: E402
from ssdreg_torch.export.sources import definitions  # noqa: E402

from ssdreg.errors import ExportError  # noqa: E402
from ssdreg.exporting.reading import read_network  # noqa: E402
from ssdreg.graph.nodes import DATA, Net  # noqa: E402
from ssdreg.mx import mx  # noqa: E402
from ssdreg.runs.params import Params  # noqa: E402

sym = mx.sym
BATCH, SHAPE = 2, (7, 10)


def pool(x, **settings):
    return sym.Pooling(x, **{"kernel": (3, 3), **settings})


#: Symbols of a map (2, 3, 7, 10), by what they try.
SYMBOLS = {
    "hard_sigmoid": lambda x: sym.hard_sigmoid(x, alpha=.3, beta=.4),
    "clip": lambda x: sym.clip(x, -.5, .7),
    "leaky": lambda x: sym.LeakyReLU(x, act_type="leaky", slope=.1),
    "elu": lambda x: sym.LeakyReLU(x, act_type="elu", slope=.6),
    "gelu": lambda x: sym.LeakyReLU(x, act_type="gelu"),
    "activations": lambda x: sum((sym.Activation(x, act_type=kind) for kind in (
        "sigmoid", "tanh", "softrelu", "softsign")), sym.relu(x)),
    "signs": lambda x: 3 - (2 - x) - (x - (1 - x)) * (x + 1) / (x * x + 2),
    "negatives": lambda x: (-1 * x) * (x * -2) - (-3 + x),
    "numbers": lambda x: sym.exp(2 / (sym.square(x) + 1)) ** 2 + 1.5 ** x,
    "extremes": lambda x: sym.broadcast_maximum(sym.maximum(x, .1), sym.minimum(x * 2, .5)),
    "comparisons": lambda x: (x >= .2) + (x < -.3) * (x != 0) + sym.broadcast_greater(x, x * x),
    "roots": lambda x: sym.sqrt(sym.abs(x)) + sym.log(sym.abs(x) + 1) - sym.rsqrt(x * x + 1),
    "add_n": lambda x: sym.add_n(x, x * x, x * 2),
    "mean": lambda x: sym.broadcast_add(sym.mean(x, axis=(2, 3), keepdims=True),
                                        sym.max(x, axis=1, keepdims=True)),
    "sum": lambda x: sym.broadcast_mul(x, sym.min(x, axis=3, keepdims=True)).sum(axis=(1, 2)),
    "softmax": lambda x: sym.softmax(x, axis=1, temperature=2.) + sym.log_softmax(x, axis=-1),
    "softmax of channels": lambda x: sym.SoftmaxActivation(x, mode="channel"),
    "argsort": lambda x: sym.argsort(x, axis=2) + sym.argsort(x, axis=3, is_ascend=False),
    "one_hot": lambda x: sym.one_hot(sym.clip(sym.floor(x * 3), -2, 4), depth=3),
    "smooth_l1": lambda x: sym.smooth_l1(x, scalar=1.) + sym.smooth_l1(x * 3, scalar=2.),
    "l2": lambda x: sym.L2Normalization(x, mode="channel") + sym.L2Normalization(
        x, mode="spatial", eps=1e-3) + sym.L2Normalization(x),
    "lrn": lambda x: sym.LRN(x, nsize=3, alpha=.1, beta=.7, knorm=1.5),
    "maxima": lambda x: pool(x, pad=(1, 1), stride=(2, 2), pool_type="max"),
    "maxima, full": lambda x: pool(x, stride=(2, 2), pool_type="max", pooling_convention="full"),
    "maxima, full, padded": lambda x: pool(x, pad=(1, 1), stride=(3, 3), pool_type="max",
                                           pooling_convention="full"),
    "maxima, a window in the padding": lambda x: pool(
        x, kernel=(2, 2), pad=(1, 1), stride=(3, 3), pool_type="max", pooling_convention="full"),
    "maxima, padded beyond half": lambda x: pool(x, pad=(2, 2), pool_type="max"),
    "averages": lambda x: pool(x, pad=(1, 1), stride=(2, 2), pool_type="avg"),
    "averages of cells": lambda x: pool(x, pad=(1, 1), pool_type="avg", count_include_pad=False),
    "averages, full": lambda x: pool(x, kernel=(2, 2), stride=(2, 2), pool_type="avg",
                                     pooling_convention="full"),
    "averages of cells, full": lambda x: pool(
        x, kernel=(3, 2), pad=(1, 1), stride=(2, 2), pool_type="avg", pooling_convention="full",
        count_include_pad=False),
    "global": lambda x: pool(x, global_pool=True, pool_type="avg") + pool(
        x, global_pool=True, pool_type="max"),
    "adaptive": lambda x: sym.contrib.AdaptiveAvgPooling2D(x, output_size=(2, 3)),
    "upsampling": lambda x: sym.UpSampling(x, scale=2, sample_type="nearest"),
    "bilinear": lambda x: sym.contrib.BilinearResize2D(x, height=12, width=5, mode="size"),
    "bilinear to a cell": lambda x: sym.contrib.BilinearResize2D(
        x, height=1, width=5, mode="size", align_corners=False),
    "bilinear, like": lambda x: sym.contrib.BilinearResize2D(
        pool(x, stride=(2, 2)), x, mode="like", align_corners=False),
    "reshape": lambda x: sym.Reshape(x, shape=(0, -1, 5)),
    "reshape, merged": lambda x: sym.Reshape(x, shape=(-1, 10)),
    "reshape, divided": lambda x: sym.Reshape(x, shape=(0, 0, -4, -1, 1, -2)),
    "flatten": lambda x: sym.Flatten(x),
    "transpose": lambda x: sym.transpose(x, axes=(0, 2, 3, 1)),
    "cells": lambda x: sym.Flatten(sym.transpose(x, axes=(0, 2, 3, 1))),
    "swap": lambda x: sym.SwapAxis(x, dim1=1, dim2=3),
    "expand": lambda x: sym.squeeze(sym.expand_dims(x, axis=2) * 2, axis=2),
    "concat": lambda x: sym.Concat(x, x * 2, sym.relu(x), dim=1),
    "stack": lambda x: sym.stack(x, x * 2, axis=1),
    "pad": lambda x: sym.Pad(x, mode="constant", constant_value=.5,
                             pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "pad, edge": lambda x: sym.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "slice": lambda x: sym.slice(x, begin=(None, None, 1, 2), end=(None, None, None, 9),
                                 step=(1, 1, 1, 2)),
    "slice_axis": lambda x: sym.slice_axis(x, axis=1, begin=1, end=None),
    "slice_axis from behind": lambda x: sym.slice_axis(x, axis=-2, begin=-3, end=-1),
    "slice_like": lambda x: sym.slice_like(x, pool(x), axes=(2, 3)),
    "crop": lambda x: sym.Crop(x, pool(x), center_crop=True, num_args=2),
    "split": lambda x: sym.SliceChannel(x, num_outputs=2, axis=3)[1],
    "tile": lambda x: sym.tile(x, reps=(1, 2, 1, 1)),
    "batch_dot": lambda x: sym.batch_dot(sym.Reshape(x, shape=(0, 3, -1)),
                                         sym.Reshape(x, shape=(0, 3, -1)), transpose_b=True),
    "dropout": lambda x: sym.Dropout(x, p=.5),
    "shared": lambda x: (lambda y: y * sym.sigmoid(y) + y)(sym.relu(x) + 1),
}


def lines_of(symbol, inside):
    """Return a symbol as the lines of a function, and the names of the functions they call."""
    graph = read_network(symbol, SHAPE)
    net = Net.of(symbol)
    given = {(index, 0): "data" for index, node in enumerate(net.nodes) if node.name == DATA}
    body = Body(net, Layers(net, {}, Identifiers()), shapes_of(graph), set(), given,
                {net.heads[0]: "result"}, inside)
    body.write(list(range(len(net.nodes))), lambda index: "")
    return "\n".join(body.lines({}, "", ())), body.helpers


def run(text, helpers, data):
    """Run lines with copies of the functions that they call."""
    copies = "\n\n".join(definition.text for definition in definitions(helpers))
    names = {"data": data, "self": torch.nn.Module().eval()}
    exec("from __future__ import annotations\nimport torch\nimport torch.nn.functional as F\n"
         f"from torch import Tensor, nn\nfrom collections.abc import Sequence\n{copies}", names)
    exec(text, names)
    return names["result"]


@pytest.mark.parametrize("inside", [stands_inside, always], ids=["network", "loss"])
@pytest.mark.parametrize("name", SYMBOLS)
def test_an_operator_is_written(name, inside):
    with mx.name.NameManager():
        symbol = SYMBOLS[name](sym.Variable(DATA))
    data = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (BATCH, 3, *SHAPE)))
    (expected,), _ = translate(symbol, Params({}, {})).eval()(data=data)
    found = run(*lines_of(symbol, inside), data)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.double().numpy(), expected.double().numpy(), rtol=1e-6,
                               atol=1e-7)


def test_what_is_not_written_says_where():
    with mx.name.NameManager():
        symbol = pool(sym.Variable(DATA), pool_type="sum", name="total")
    with pytest.raises(ExportError, match="Pooling at node 'total' cannot be written"):
        lines_of(symbol, stands_inside)


def test_every_kind_of_operator_of_the_repository_is_known():
    assert {"Convolution", "BatchNorm", "Pooling", "hard_sigmoid", "_contrib_BilinearResize2D",
            "_contrib_MultiBoxPrior", "_contrib_MultiBoxTarget", "SoftmaxOutput",
            "MakeLoss"} <= set(known())


@pytest.mark.parametrize(("name", "written"), [
    ("conv0", "conv0"), ("_plus12", "plus12"), ("resnetv10_stage1_conv0_fwd", "stage1_conv0"),
    ("stem:conv/1", "stem_conv_1"), ("1x1", "n1x1"), ("class", "nclass"), ("___", "n")])
def test_a_name_becomes_an_identifier(name, written):
    assert identifier(name, {"resnetv10_": ""}) == written
    assert written.isidentifier()


def test_what_all_names_begin_with_is_left_out_unless_a_digit_follows():
    assert common_prefix(["net0_conv0_weight", "net0_stage1_conv0_weight"]) == "net0_"
    assert common_prefix(["conv_1_weight", "conv_2_weight"]) == ""
    assert common_prefix([]) == ""
