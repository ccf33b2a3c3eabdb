"""A symbol's nodes: read from what MXNet writes, of any age, followed, changed, written back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from attrs import evolve
from support import checkpoints as files
from support.checkpoints import SIDE
from support.nets import dense, residual, separable

import ssdreg
from ssdreg.deploy.model import random_deploy_model
from ssdreg.deploy.random_params import random_params
from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import VARIABLE, Net, Node
from ssdreg.graph.stretches import outside_network, weighted
from ssdreg.graph.symbol import read_graph
from ssdreg.graph.symbol_file import parse
from ssdreg.mx import mx
from ssdreg.quantization import bfloat16_mxnet, quantize_mxnet


@pytest.fixture(scope="module")
def source():
    return random_deploy_model("resnet18", 3, SIDE)


@pytest.fixture(scope="module")
def images():
    random = np.random.RandomState(0)
    return [random.randint(0, 256, (1, SIDE, SIDE, 3)).astype("uint8") for _ in range(2)]


def text(symbol):
    return symbol.tojson(remove_amp_cast=False)


def same_when_written_back(symbol):
    return text(Net.of(symbol).symbol()) == text(symbol)


def ran(symbol, batch=1):
    """Run a symbol on noise, with parameters by the rule."""
    params = random_params(symbol, (SIDE, SIDE))
    return files.outputs(symbol, params, files.picture(SIDE, batch))


def names(net, indices):
    return [net.name(index) for index in sorted(indices)]


# Read and written back

@pytest.mark.parametrize("mode", ["train", "deploy"])
@pytest.mark.parametrize("backbone", ["resnet18", "vgg16_reduced", "inceptionv3"])
def test_detectors_are_the_same_when_they_are_written_back(backbone, mode):
    assert same_when_written_back(ssdreg.build(backbone, 3, 300, mode=mode))


@pytest.mark.parametrize("network", ["resnet18_v2", "mobilenetv2_0.25", "squeezenet1.0",
                                     "densenet121", "alexnet"])
def test_networks_of_gluon_are_the_same_when_they_are_written_back(network):
    with mx.name.NameManager():
        symbol = mx.gluon.model_zoo.vision.get_model(network)(mx.sym.Variable("data"))
    assert same_when_written_back(symbol)


def test_conversions_of_mixed_precision_stay(source):
    from ssdreg.mx import mixed_precision
    symbol = mixed_precision().convert_symbol(
        source.symbol, target_dtype="bfloat16",
        excluded_sym_names=list(outside_network(Net.of(source.symbol))))
    assert Net.of(symbol).find("amp_cast")
    assert same_when_written_back(symbol)
    assert same_when_written_back(bfloat16_mxnet(source).symbol)


def test_what_mxnet_has_joined_stays_and_tells_its_parts(source, images):
    quantized = quantize_mxnet(source, images)
    symbol, params = quantized.symbol, quantized.params
    net = Net.of(symbol)
    joined = [node for node in net.nodes if node.subgraphs]
    assert "Convolution" in {part.op for node in joined for part in node.parts}
    assert same_when_written_back(symbol)
    data = files.picture(SIDE)
    for one, other in zip(files.outputs(symbol, params, data),
                          files.outputs(net.symbol(), params, data)):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("mode", sorted(files.MODES))
@pytest.mark.parametrize("spelling", [files.today, files.version_0_9, files.version_0_8])
def test_symbols_of_any_age_compute_the_same_when_they_are_written_back(mode, spelling):
    symbol = files.example_symbol("resnet18", files.taps_of("resnet18", 8, 16), 3, mode, scale=128)
    net = parse(spelling(symbol.tojson()), "net-symbol.json")
    again = net.symbol()
    assert again.list_arguments() == symbol.list_arguments()
    assert again.list_auxiliary_states() == symbol.list_auxiliary_states()
    params, data = files.by_rule(symbol, SIDE), files.picture(SIDE)
    for one, other in zip(files.outputs(symbol, params, data),
                          files.outputs(again, params, data)):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("spelling", [files.today, files.version_0_9])
def test_settings_are_found_under_every_name_they_had(spelling):
    document = json.loads(spelling(residual().tojson()))
    net = Net(document["nodes"], document["heads"])
    stem = net.nodes[net.find("Convolution")[0]]
    assert (stem.name, stem.kernel, stem.attrs.pair("stride", 1)) == ("stem", 3, (2, 2))
    assert text(net.symbol()) == text(residual())


def test_the_oldest_symbols_have_settings_of_two_kinds():
    document = json.loads(files.version_0_8(residual().tojson()))
    net = Net(document["nodes"], document["heads"])
    (stem, *_), (data, *_) = net.find("Convolution"), net.find(VARIABLE)
    assert net.attrs(stem)["kernel"] == "(3L, 3L)"
    assert net.nodes[stem].kernel == 3
    assert net.inputs(stem)[0] == (data, 0)
    # the user's settings stand beside the operator's own, and win
    entry = {"op": "Pooling", "name": "p", "inputs": [], "param": {"kernel": "(2,2)", "pad": "()"},
             "attr": {"__layer__": "1", "pad": "(1,1)"}}
    assert Net([entry], [[0, 0]]).attrs(0).texts == {"kernel": "(2,2)", "pad": "(1,1)",
                                                     "__layer__": "1"}


def test_running_moments_that_are_shared_keep_their_versions():
    moments = [mx.sym.Variable(name) for name in ("gamma", "beta", "mean", "var")]
    x = mx.sym.BatchNorm(mx.sym.Variable("data"), *moments, name="one")
    symbol = mx.sym.BatchNorm(x, *moments, name="two")
    net = Net.of(symbol)
    assert [net.nodes[index].versions[3:] for index in net.find("BatchNorm")] == [(1, 1), (2, 2)]
    assert same_when_written_back(symbol)


def test_groups_have_all_their_outputs():
    split = mx.sym.SliceChannel(mx.sym.Variable("data"), num_outputs=3, name="split")
    symbol = mx.sym.Group([split[2], split[0] + split[1]])
    net = Net.of(symbol)
    assert net.heads[0] == (net.find("SliceChannel")[0], 2)
    assert net.inputs(net.heads[1][0]) == ((net.heads[0][0], 0), (net.heads[0][0], 1))
    assert same_when_written_back(symbol)


# Followed

def test_up_and_down_a_network():
    net = Net.of(residual())
    place = {node.name: index for index, node in enumerate(net.nodes)}
    assert names(net, net.upstream(place["stem_relu"])) == [
        "data", "stem_weight", "stem", "stem_bn_gamma", "stem_bn_beta", "stem_bn_moving_mean",
        "stem_bn_moving_var", "stem_bn", "stem_relu"]
    assert names(net, net.downstream(place["pool"])) == ["pool", "flat", "fc"]
    assert net.upstream(place["stem"], place["s2u1_sc"]) == (
        net.upstream(place["stem"]) | net.upstream(place["s2u1_sc"]))
    assert net.upstream() == net.downstream() == frozenset()
    assert names(net, net.main_line(place["stem_relu"])) == ["data", "stem", "stem_bn", "stem_relu"]
    assert net.last.name == "fc"


def test_readers_know_as_which_input():
    net = Net.of(residual())
    place = {node.name: index for index, node in enumerate(net.nodes)}
    assert net.readers()[place["s2u1_b"]] == ((place["s2u1_sum"], 0),)
    assert net.readers()[place["s2u1_sc"]] == ((place["s2u1_sum"], 1),)
    assert net.readers()[place["stem_weight"]] == ((place["stem"], 1),)
    assert net.readers()[place["fc"]] == ()


def test_the_graph_of_shapes_stands_on_the_same_nodes():
    for symbol in (residual(), dense(), separable()):
        net, graph = Net.of(symbol), read_graph(symbol, (SIDE, SIDE))
        assert [(node.op, node.name, node.inputs, node.attrs) for node in net.nodes] == [
            (node.op, node.name, node.inputs, node.attrs) for node in graph.nodes]
        assert graph.upstream([net.last.name]) == net.upstream(net.heads[0][0])


def test_a_detector_is_its_network_and_what_stands_around_it(source):
    net = Net.of(source.symbol)
    outside = outside_network(net)
    assert {"bn_data", "cls_prob", "multibox_loc_pred", "detection"} <= set(outside)
    inside = {node.name for node in net.nodes if node.op != VARIABLE} - set(outside)
    assert {name for node in net.nodes for name in weighted(node)} <= inside
    assert "stage1_unit1_bn2" in inside


# Changed

def test_a_cut_needs_what_leads_to_it_alone():
    net = Net.of(residual())
    place = {node.name: index for index, node in enumerate(net.nodes)}
    symbol = net.cut((place["s2u1_out"], 0), (place["stem_relu"], 0))
    assert symbol.list_outputs() == ["s2u1_out_output", "stem_relu_output"]
    assert symbol.list_arguments() == [
        name for name in residual().list_arguments() if name.startswith(("data", "stem", "s2u1"))]
    whole = residual().get_internals()
    for one, other in zip(ran(symbol), ran(mx.sym.Group([whole["s2u1_out_output"],
                                                         whole["stem_relu_output"]]))):
        assert np.array_equal(one, other)


def test_a_node_that_is_put_in_may_stand_anywhere():
    net = Net.of(residual())
    (relu, *_) = (index for index in net.find("Activation") if net.name(index) == "stem_relu")
    new = len(net.nodes)
    rewired = net.rewired({(relu, 0): (new, 0)})
    doubled = Node("_mul_scalar", "doubled", Attributes({"scalar": "2"}), ((relu, 0),))
    changed = evolve(rewired, nodes=(*rewired.nodes, doubled))
    symbol = changed.symbol()
    order = [node.name for node in Net.of(symbol).nodes]
    assert order[order.index("stem_relu") + 1] == "doubled"
    assert text(changed.ordered(*changed.heads).symbol()) == text(symbol)
    inside = mx.sym.Group([symbol.get_internals()[f"{name}_output"]
                           for name in ("stem_relu", "doubled")])
    before, after = ran(inside)
    assert np.array_equal(before * 2, after)
    assert symbol.list_arguments() == residual().list_arguments()


def test_what_is_left_out_takes_its_parameters_along():
    net = Net.of(residual())
    fc, flat = net.find("FullyConnected")[0], net.find("Flatten")[0]
    symbol = net.rewired({(fc, 0): (flat, 0)}).symbol()
    assert symbol.list_outputs() == ["flat_output"]
    assert not {"fc_weight", "fc_bias"} & set(symbol.list_arguments())
    # and the net itself has not changed
    assert text(net.symbol()) == text(residual())


def test_settings_are_written_to_one_node_alone():
    net = Net.of(residual())
    norms = net.find("BatchNorm")
    changed = net.replaced({norms[0]: net.nodes[norms[0]].with_attrs({"use_global_stats": "True"})})
    assert [changed.attrs(index).flag("use_global_stats") for index in norms] == [
        True, *[False] * (len(norms) - 1)]
    assert changed.symbol().attr_dict()["stem_bn"]["use_global_stats"] == "True"
    shaped = net.with_attrs({"fc_bias": {"__shape__": "(10,)"}, "nobody": {"__shape__": "(1,)"}})
    assert shaped.symbol().attr_dict()["fc_bias"]["__shape__"] == "(10,)"
    assert "__shape__" not in text(net.symbol())


def test_a_deep_network_is_put_in_order_without_recursion():
    chain = [Node(VARIABLE, "data"), *(Node("relu", f"r{index}", inputs=((index, 0),))
                                       for index in range(5_000))]
    net = Net(chain, ((5_000, 0),))
    assert len(net.upstream(5_000)) == 5_001
    assert net.ordered(*net.heads).heads == net.heads
    turned = Net([evolve(node, inputs=tuple((5_000 - index, output)
                                            for index, output in node.inputs))
                  for node in reversed(chain)], ((0, 0),))
    assert text(turned.symbol()) == text(net.symbol())
