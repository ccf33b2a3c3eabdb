"""What a network weighs and costs, against published figures, by hand, and by running it."""

from __future__ import annotations

import json
import math
from itertools import accumulate

import numpy as np
import pytest
from support.nets import NETS

import ssdreg
from ssdreg.backbones import inceptionv3, resnet, vgg16_reduced
from ssdreg.detector.families import parameter_count
from ssdreg.graph.coverage import choose
from ssdreg.graph.summary import anatomy, dissect, multiply_adds
from ssdreg.graph.symbol import read_graph
from ssdreg.mx import mx

BUILT_IN = ("vgg16_reduced", "inceptionv3", "resnet18", "resnet34", "resnet50", "resnet101",
            "resnet152", "resnet200", "resnet269")
SHAPES = ((224, 224), (101, 140))


def built_in(name, shape=(224, 224)):
    backbone = ssdreg.get_backbone(name)
    return anatomy(backbone.symbol(), shape, backbone.taps)


def zoo(name):
    from mxnet.gluon.model_zoo import vision
    return vision.get_model(name)(mx.sym.Variable("data"))


# Published figures

#: Multiply-adds in G at 224 pixels (Inception: 299). The ResNets from 50 on have their stride in
#: the first convolution of a unit, as He et al. (Deep Residual Learning, 2016, table 1) have;
#: MobileNet is from Howard et al. (2017, table 4), the others are those of torchvision's models.
PUBLISHED = {
    "alexnet": 0.71, "vgg11": 7.61, "vgg16": 15.47, "vgg19": 19.63, "squeezenet1.0": 0.82,
    "squeezenet1.1": 0.35, "densenet121": 2.83, "inceptionv3": 5.71, "mobilenet1.0": 0.569,
    "resnet18_v1": 1.81, "resnet34_v1": 3.66, "resnet50_v1": 3.8, "resnet101_v1": 7.6,
    "resnet152_v1": 11.3}


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_are_those_published(name):
    side = 299 if "inception" in name else 224
    found = anatomy(zoo(name), (side, side))
    assert found.multiply_adds / 1e9 == pytest.approx(PUBLISHED[name], rel=0.02)


@pytest.mark.parametrize(("name", "published"), [("resnet50", 4.09), ("resnet101", 7.80),
                                                 ("resnet152", 11.51)])
def test_multiply_adds_with_the_stride_in_the_3x3_convolution(name, published):
    # torchvision's figures, whose units halve the resolution where these do
    assert built_in(name).multiply_adds / 1e9 == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize(("name", "millions"), [("vgg16", 138.36), ("alexnet", 61.10),
                                                ("squeezenet1.1", 1.235)])
def test_parameters_are_those_published(name, millions):
    # networks without batch normalisation, whose moments not everybody counts
    assert anatomy(zoo(name), (224, 224)).parameters / 1e6 == pytest.approx(millions, rel=0.001)


# By hand

def by_hand(variant, side=224):
    """Multiply-adds per stage of a pre-activation ResNet, from its units alone."""
    cells = math.ceil(side / 2)
    stages = [7 * 7 * 3 * variant.stem * cells**2]
    cells, entering = math.ceil(cells / 2), variant.stem
    for stage, (units, channels) in enumerate(zip(variant.units, variant.channels)):
        total = 0
        for unit in range(units):
            before = cells
            if stage and not unit:
                cells = math.ceil(cells / 2)
            if variant.bottleneck:
                inside = channels // 4
                total += entering * inside * before**2
                total += 9 * inside * inside * cells**2 + inside * channels * cells**2
            else:
                total += 9 * entering * channels * cells**2 + 9 * channels * channels * cells**2
            if not unit:
                total += entering * channels * cells**2
            entering = channels
        stages.append(total)
    return stages


@pytest.mark.parametrize("variant", resnet.VARIANTS, ids=lambda variant: str(variant.depth))
@pytest.mark.parametrize("side", [224, 300])
def test_every_stage_of_a_resnet_costs_what_its_units_do(variant, side):
    found = built_in(f"resnet{variant.depth}", (side, side))
    assert [stage.multiply_adds for stage in found.stages] == by_hand(variant, side)
    assert found.tail.multiply_adds == 0
    assert found.classifier.multiply_adds == variant.channels[-1] * 1000


def test_every_stage_of_vgg_costs_what_its_convolutions_do():
    found = built_in("vgg16_reduced")
    entering, side, costs, weights = 3, 224, [], []
    for convolutions, channels in vgg16_reduced.GROUPS:
        pairs = [(entering if index == 0 else channels, channels) for index in range(convolutions)]
        costs.append(sum(9 * into * out * side**2 for into, out in pairs))
        weights.append(sum(9 * into * out + out for into, out in pairs))
        entering, side = channels, max(side // 2, 14)
    fully = vgg16_reduced.FC_CHANNELS
    costs[-1] += (9 * entering * fully + fully * fully) * side**2
    weights[-1] += 9 * entering * fully + fully + fully * fully + fully
    assert [stage.multiply_adds for stage in found.stages] == costs
    assert [stage.parameters for stage in found.stages] == weights
    assert (found.classifier.multiply_adds, found.classifier.parameters) == (
        fully * 1000, fully * 1000 + 1000)


# By running it

def ones(symbol, shape):
    """Run a symbol whose input and weights are all 1 and return the sum of what comes out."""
    executor = symbol.simple_bind(mx.cpu(), data=shape, grad_req="null")
    for name, array in executor.arg_dict.items():
        array[:] = 0 if "offset" in name else 1
    return sum(float(output.asnumpy().astype(np.float64).sum()) for output in executor.forward())


data = mx.sym.Variable("data")
OPERATORS = {
    "plain": mx.sym.Convolution(data, kernel=(3, 5), num_filter=4, no_bias=True),
    "strided": mx.sym.Convolution(data, kernel=(3, 3), stride=(2, 3), num_filter=4, no_bias=True),
    "dilated": mx.sym.Convolution(data, kernel=(3, 3), dilate=(2, 2), num_filter=4, no_bias=True),
    "grouped": mx.sym.Convolution(data, kernel=(3, 3), num_group=3, num_filter=6, no_bias=True),
    "transposed": mx.sym.Deconvolution(data, kernel=(4, 4), stride=(2, 2), num_filter=5,
                                       no_bias=True),
    "transposed in groups": mx.sym.Deconvolution(data, kernel=(3, 3), num_group=3, num_filter=6,
                                                 no_bias=True),
    "dense": mx.sym.FullyConnected(data, num_hidden=7, no_bias=True),
    "dense on the last axis": mx.sym.FullyConnected(data, num_hidden=7, flatten=False,
                                                    no_bias=True),
    "deformable": mx.sym.contrib.DeformableConvolution(
        data, mx.sym.Convolution(data, kernel=(3, 3), num_filter=18, no_bias=True, name="offset"),
        kernel=(3, 3), num_filter=4, no_bias=True),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_on_ones_adds_up_its_multiplications(name):
    # without padding every product is 1, and each is added into exactly one output
    symbol = OPERATORS[name]
    graph = read_graph(symbol, (9, 11))
    counted = multiply_adds(graph, graph.nodes[-1])
    assert counted == ones(symbol, (1, 3, 9, 11)) > 0


@pytest.fixture
def in_memory(monkeypatch):
    # fused operators have no outputs of their own in between, and cannot be bound with them
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")
    return count_arrays


def count_arrays(symbol, shape):
    """Count multiply-adds from the arrays of a bound network: outputs and weights as they are."""
    inside = symbol.get_internals()
    nodes = [node for node in json.loads(symbol.tojson())["nodes"]
             if node["op"] in ("Convolution", "FullyConnected")]
    group = mx.sym.Group([inside[f"{node['name']}_output"] for node in nodes])
    executor = group.simple_bind(mx.cpu(), data=(1, 3, *shape), grad_req="null")
    total = 0
    for node, output in zip(nodes, executor.forward()):
        weight = executor.arg_dict[f"{node['name']}_weight"]
        total += output.size * weight.size // weight.shape[0]
    return total


@pytest.mark.parametrize("name", ["resnet18", "inceptionv3"])
def test_built_in_networks_cost_what_their_arrays_say(in_memory, name):
    symbol = ssdreg.get_backbone(name).symbol()
    assert anatomy(symbol, (96, 128)).multiply_adds == in_memory(symbol, (96, 128))


@pytest.mark.parametrize("name", NETS)
def test_small_networks_cost_what_their_arrays_say(in_memory, name):
    symbol = NETS[name][0]()
    assert anatomy(symbol, (64, 48)).multiply_adds == in_memory(symbol, (64, 48))


# Stages and blocks

def assert_whole(graph, found, parameters):
    """Nothing is lost and nothing counted twice."""
    parts = (*found.backbone, found.classifier)
    members = [index for part in parts for index in part.members]
    assert sorted(members) == [node.index for node in graph.nodes]
    assert sum(part.parameters for part in parts) == found.parameters == parameters
    assert sum(part.multiply_adds for part in parts) == found.multiply_adds
    assert found.multiply_adds == sum(multiply_adds(graph, node) for node in graph.nodes)
    stages = found.stages
    assert (sum(stage.parameters for stage in stages) + found.tail.parameters
            + found.classifier.parameters) == parameters


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_networks_are_taken_apart_whole(name, shape):
    backbone = ssdreg.get_backbone(name)
    symbol = backbone.symbol()
    graph = read_graph(symbol, shape)
    found = dissect(graph, shape, backbone.taps)
    assert_whole(graph, found, parameter_count(symbol, shape))
    assert [(stage.number, stage.stride, stage.end.node, stage.end.channels, stage.tap)
            for stage in found.stages] == [
        (tap.stage, tap.stride, tap.node, tap.channels, True) for tap in backbone.taps]
    for stage in found.stages:
        node = graph.find(stage.end.node)
        assert (stage.end.height, stage.end.width) == node.shape[2:]


@pytest.mark.parametrize("name", NETS)
def test_small_networks_are_taken_apart_whole(name):
    make, ends = NETS[name]
    symbol = make()
    graph = read_graph(symbol, (64, 64))
    found = dissect(graph, (64, 64))
    assert_whole(graph, found, parameter_count(symbol, (64, 64)))
    assert [(stage.stride, stage.end.node, stage.end.channels)
            for stage in found.stages] == list(ends)
    assert [stage.number for stage in found.stages] == list(range(1, len(ends) + 1))
    assert not any(stage.tap for stage in found.stages)


@pytest.mark.parametrize("variant", resnet.VARIANTS, ids=lambda variant: str(variant.depth))
def test_a_resnet_has_its_units_as_blocks(variant):
    found = built_in(f"resnet{variant.depth}")
    assert [len(stage.blocks) for stage in found.stages] == [1, *variant.units]
    ends = [block.node for stage in found.stages[1:] for block in stage.blocks]
    assert ends == [resnet.sum_name(index) for index in range(sum(variant.units))]
    starts = [0, *accumulate(variant.units)]
    assert [stage.blocks[0].node for stage in found.stages[1:]] == [
        resnet.sum_name(start) for start in starts[:-1]]


def test_inception_has_its_mixed_modules_as_blocks():
    found = built_in("inceptionv3")
    assert [len(stage.blocks) for stage in found.stages[-3:]] == [
        len(blocks) for blocks in inceptionv3.STAGES]
    # before the first pooling three 3x3 convolutions, before the second one of 1x1 and one of 3x3
    assert [len(stage.blocks) for stage in found.stages[:2]] == [3, 1]


def test_vgg_has_its_convolutions_as_blocks():
    convolutions = [count for count, _ in vgg16_reduced.GROUPS]
    convolutions[-1] += 1  # fc6 and fc7
    assert [len(stage.blocks) for stage in built_in("vgg16_reduced").stages] == convolutions


@pytest.mark.parametrize(("name", "counts"), [
    ("residual", [1, 2, 2]), ("residual with h-swish", [1, 2, 2]), ("dense", [3, 2]),
    ("inverted", [1, 2, 1]), ("separable", [2, 2, 1]), ("gated", [1, 1, 1]), ("dilated", [1, 2]),
    ("two-branch stem", [1, 1]), ("padded", [1, 1])])
def test_blocks_of_small_networks(name, counts):
    found = anatomy(NETS[name][0](), (64, 64))
    assert [len(stage.blocks) for stage in found.stages] == counts


def test_a_transition_belongs_to_the_stage_behind_it():
    symbol = NETS["dense"][0]()
    graph = read_graph(symbol, (64, 64))
    first, second = dissect(graph, (64, 64)).stages
    transition = graph.find("transition").index
    assert transition in second.blocks[0].members
    assert not any(transition in block.members for block in first.blocks)


def test_a_declared_tap_cuts_where_it_is():
    # the activation behind the last sum is as good a tap as the sum, for who declares it
    backbone = ssdreg.get_backbone("resnet18")
    symbol, last = backbone.symbol(), backbone.taps[-1]
    plain = anatomy(symbol, (224, 224), backbone.taps)
    moved = anatomy(symbol, (224, 224), (ssdreg.Tap(last.stage, last.stride, last.channels,
                                                    "relu1"),))
    assert moved.stages[-1].end.node == "relu1"
    assert len(moved.stages[-1].blocks) == len(plain.stages[-1].blocks)
    assert (moved.tail.parameters, plain.tail.parameters) == (0, 4 * last.channels)
    assert moved.parameters == plain.parameters
    assert [stage.tap for stage in moved.stages] == [False] * 4 + [True]


def test_a_classifier_has_no_stages():
    x = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=5)
    with pytest.raises(ssdreg.TapError, match="the network has no stages"):
        anatomy(x, (8, 8))


def test_an_input_that_is_too_small_is_refused():
    with pytest.raises(ssdreg.InputShapeError):
        built_in("inceptionv3", (20, 20))


# Choices of taps

def chosen(name, taps, shape=(300, 300)):
    backbone = ssdreg.get_backbone(name)
    graph = read_graph(backbone.symbol(), shape)
    found = dissect(graph, shape, backbone.taps)
    return choose(graph, found, taps), found


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_right_taps_use_what_verify_says(name):
    backbone = ssdreg.get_backbone(name)
    choice, found = chosen(name, ssdreg.plan(name).taps)
    proof = ssdreg.verify(backbone.symbol(), [tap for tap in backbone.taps
                                              if tap.stride in backbone.tap_strides], 300)
    assert (choice.weights_used, choice.weights) == (proof.weights_used, proof.weights)
    assert choice.share == proof.coverage
    assert [(mark.stage, mark.block, mark.inside) for mark in choice.marks] == [
        (index, len(stage.blocks) - 1, False) for index, stage in enumerate(found.stages)
        if stage.stride in backbone.tap_strides]
    assert all(choice.uses(part) for stage in found.stages for part in stage.blocks)
    assert not choice.uses(found.classifier)


def test_the_taps_of_resnet50_on_resnet101():
    taps = ssdreg.plan("resnet50").taps
    choice, found = chosen("resnet101", taps)
    assert f"{choice.share:.0%}" == "28%"
    units = {variant.depth: variant.units for variant in resnet.VARIANTS}
    # stage 3 has as many blocks before those taps as ResNet-50 has in its stages 3, and 3 and 4
    assert [(mark.node, mark.stage, mark.block) for mark in choice.marks] == [
        (taps[0], 3, units[50][2] - 1), (taps[1], 3, units[50][2] + units[50][3] - 1)]
    used = [choice.uses(block) for block in found.stages[3].blocks]
    assert used == [True] * (units[50][2] + units[50][3]) + [False] * (
        units[101][2] - units[50][2] - units[50][3])
    assert not any(choice.uses(block) for block in found.stages[4].blocks)


def test_a_tap_inside_a_block_is_placed_there():
    choice, found = chosen("resnet18", ["stage3_unit2_relu2_output", "relu1", "bn_data"])
    inside, behind, first = choice.marks
    assert (inside.node, inside.stage, inside.block, inside.inside) == (
        "stage3_unit2_relu2", 3, 1, True)
    assert (inside.channels, inside.height) == (256, 19)
    assert (behind.stage, behind.block, behind.inside) == (len(found.stages), 0, False)
    assert (first.stage, first.block, first.inside) == (0, 0, True)
    assert choice.share == 1


@pytest.mark.parametrize(("taps", "message"), [
    (["_plus99"], "there is no node '_plus99': did you mean '_plus"),
    (["conv0_weight"], "there is no node 'conv0_weight'"),
    (["fc1"], r"'fc1' is no feature map: its shape is \(1, 1000\)"),
    (["pool1"], "'pool1' is no feature map"),
    ([], "no tap is given"),
])
def test_taps_that_cannot_be_placed_are_refused(taps, message):
    with pytest.raises(ssdreg.TapError, match=message):
        chosen("resnet18", taps)
