from __future__ import annotations

import pytest
from support.nets import NETS, conv, dense, padded, residual, two_branch_stem

import ssdreg
from ssdreg.errors import InputShapeError, TapError
from ssdreg.graph.symbol import read_graph
from ssdreg.mx import mx


def strides(graph, *names):
    return [graph.find(name).stride for name in names]


def test_nodes_know_their_shape_stride_and_channels():
    graph = read_graph(residual(), (64, 96))
    node = graph.find("s2u1_a")
    assert (node.op, node.shape, node.stride, node.channels, node.kernel) == \
        ("Convolution", (1, 16, 16, 24), (4, 4), 16, 3)
    assert graph.find("s2u1_a_output") is node
    assert graph.find("s2u1_a_weight").shape == (16, 8, 3, 3)
    assert graph.find("s2u1_a_weight").from_data is False
    assert graph.find("data").from_data is True


@pytest.mark.parametrize("shape", [(75, 75), (299, 299), (300, 451)])
def test_strides_come_from_settings_not_from_sizes(shape):
    # unpadded convolutions leave Inception v3 maps well below shape / stride
    graph = read_graph(ssdreg.get_backbone("inceptionv3").symbol(), shape)
    for tap in ssdreg.get_backbone("inceptionv3").taps:
        assert graph.find(tap.node).stride == (tap.stride, tap.stride)


def test_the_picture_ends_at_the_global_pooling():
    graph = read_graph(residual(), (64, 64))
    assert strides(graph, "s3u2_out", "pool", "flat", "fc") == [(8, 8), None, None, None]


def test_a_map_of_one_cell_is_still_a_picture():
    graph = read_graph(residual(), (8, 8))
    assert graph.find("s3u2_out").shape == (1, 32, 1, 1)
    assert strides(graph, "s3u2_out", "pool") == [(8, 8), None]


def test_strides_may_differ_down_and_across():
    x = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(3, 3), stride=(2, 1),
                           pad=(1, 1), name="tall")
    assert strides(read_graph(x, (32, 32)), "tall") == [(2, 1)]


def test_upsampling_makes_the_stride_finer():
    x = conv(mx.sym.Variable("data"), "c", 4, stride=4)
    x = mx.sym.UpSampling(x, scale=2, sample_type="nearest", name="up")
    assert strides(read_graph(x, (32, 32)), "c", "up") == [(4, 4), (2, 2)]


def test_explicit_padding_does_not_end_the_picture():
    assert strides(read_graph(padded(), (64, 64)), "pad", "c2", "c2_relu") == \
        [(2, 2), (4, 4), (4, 4)]


def trunk(graph):
    return [graph.nodes[index].name for index in graph.trunk]


def test_the_trunk_leaves_out_what_paths_go_around():
    names = trunk(read_graph(residual(), (64, 64)))
    assert names == ["data", "stem", "stem_bn", "stem_relu", "s2u1_sum", "s2u1_out", "s2u2_sum",
                     "s2u2_out", "s3u1_sum", "s3u1_out", "s3u2_sum", "s3u2_out", "pool", "flat",
                     "fc"]
    assert trunk(read_graph(two_branch_stem(), (64, 64)))[:3] == ["data", "stem", "c2"]


def test_the_trunk_of_hundreds_of_units_is_found():
    # 2 ** 89 paths: floats would lose count
    graph = read_graph(ssdreg.get_backbone("resnet269").symbol(), (64, 64))
    assert sum(name.startswith("_plus") for name in trunk(graph)) == 3 + 30 + 48 + 8


def test_merges_gates_and_activations_are_told_apart():
    swish = read_graph(NETS["residual with h-swish"][0](), (64, 64))
    assert swish.merges(swish.find("s2u2_sum"))
    assert not swish.merges(swish.find("s2u2_out_mul"))
    assert not swish.gates(swish.find("s2u2_out_mul"))
    gated = read_graph(NETS["gated"][0](), (64, 64))
    assert gated.gates(gated.find("se1"))
    assert not gated.merges(gated.find("se1"))
    concatenated = read_graph(dense(), (64, 64))
    assert concatenated.merges(concatenated.find("b1l1_cat"))


def test_weights_upstream():
    graph = read_graph(residual(), (64, 64))
    assert graph.weights(graph.upstream(["stem"])) == 8 * 3 * 9
    assert graph.weights(graph.upstream(["stem_bn"])) == 8 * 3 * 9 + 4 * 8


@pytest.mark.parametrize(("name", "hint"), [
    ("s2u2_ot", "did you mean 's2u2_out'"),
    ("???", "the last ones are 'pool', 'flat', 'fc'."),
])
def test_suggestions(name, hint):
    assert read_graph(residual(), (64, 64)).suggest(name).startswith(hint)


def test_a_symbol_without_data():
    with pytest.raises(TapError, match="no input called 'data': it has image"):
        read_graph(conv(mx.sym.Variable("image"), "c", 4), (32, 32))


def test_an_input_too_small_names_the_node_and_the_reason_only():
    with pytest.raises(InputShapeError) as caught:
        read_graph(ssdreg.get_backbone("vgg16_reduced").symbol(), (8, 8))
    assert caught.value.node == "pool4"
    assert str(caught.value) == (
        "the backbone does not accept an input of 8x8 pixels, at node 'pool4': "
        "kernel size (2) exceeds input (1 padded to 1)")


def test_a_shape_that_cannot_be_inferred_is_no_picture():
    x = conv(mx.sym.Variable("data"), "c", 4)
    x = mx.sym.broadcast_add(x, mx.sym.Variable("free"), name="open")
    graph = read_graph(mx.sym.Activation(x, act_type="relu", name="out"), (32, 32))
    assert strides(graph, "c", "open", "out") == [(1, 1), None, None]
