"""`find_taps` on the Gluon model zoo, against what the networks' own blocks say."""

from __future__ import annotations

import math
import re

import pytest
from support.nets import NETS, classifier, conv, conv_relu, relu, residual

import ssdreg
from ssdreg import InputShapeError, TapError
from ssdreg.graph.symbol import read_graph
from ssdreg.mx import mx

sym, nn, vision = mx.sym, mx.gluon.nn, mx.gluon.model_zoo.vision


def zoo() -> list[str]:
    """List every name that `get_model` knows; it tells them when it is asked for another."""
    with pytest.raises(ValueError, match="Available options are") as caught:
        vision.get_model("no such network")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


ZOO = zoo()

#: Blocks behind the last stage, up to the pooling: norm and activation behind a network of
#: pre-activation units, MobileNetV2's 1x1 convolution with its own, SqueezeNet's dropout.
TRAILING = {"densenet": 2, "mobilenetv2": 3, "squeezenet": 1}
#: Blocks that begin the classifier, and those that are no stage by themselves.
CLASSIFIER = (nn.GlobalAvgPool2D, nn.AvgPool2D, nn.Flatten, nn.Dense)
IDLE = (nn.MaxPool2D, nn.BatchNorm)


def features(name: str, data_shape: tuple[int, int]) -> list[tuple[nn.HybridBlock, str, tuple]]:
    """Run the blocks of `features` one by one: each with its node's name and its map's shape."""
    with mx.name.NameManager():
        net = vision.get_model(name)
        x, found = sym.Variable("data"), []
        with net.name_scope(), net.features.name_scope():
            for block in net.features:
                if isinstance(block, CLASSIFIER):
                    break
                x = block(x)
                _, shapes, _ = x.infer_shape_partial(data=(1, 3, *data_shape))
                found.append((block, x.name, shapes[0]))
    return found


def stages_by_blocks(name: str, data_shape: tuple[int, int]) -> list[tuple[int, str, int]]:
    """Say where stages end by the blocks alone: in front of each one that lowers the resolution.

    Strides are the powers of two nearest to the ratio of input to map: unpadded convolutions
    leave Inception's maps a little smaller than that.
    """
    blocks = features(name, data_shape)
    trailing = next((count for family, count in TRAILING.items() if name.startswith(family)),
                    2 if name.endswith("_v2") else 0)
    strides = [2 ** round(math.log2(data_shape[0] / shape[2])) for _, _, shape in blocks]
    blocks = blocks[:len(blocks) - trailing]
    if isinstance(blocks[-1][0], nn.MaxPool2D):  # VGG's and AlexNet's last one
        blocks.pop()
    ends, idle = [], True
    for index, (block, node, shape) in enumerate(blocks):
        idle = idle and isinstance(block, IDLE)
        if index + 1 == len(blocks) or strides[index + 1] > strides[index]:
            if not idle:
                ends.append((strides[index], node, shape[1]))
            idle = True
    return ends


SIZES = [(299, 299), (224, 224), (512, 512), (256, 448)]


@pytest.mark.parametrize("name", ZOO)
def test_every_network_of_the_gluon_zoo(name):
    with mx.name.NameManager():
        symbol = vision.get_model(name)(sym.Variable("data"))
    expected = stages_by_blocks(name, SIZES[0])
    assert len(expected) >= 3
    for shape in SIZES:
        taps = ssdreg.find_taps(symbol, shape)
        assert [(tap.stride, tap.node, tap.channels) for tap in taps] == expected
        assert [tap.stage for tap in taps] == list(range(1, len(taps) + 1))
        assert ssdreg.verify(symbol, taps, shape).taps == tuple(tap.node for tap in taps)


def test_the_zoo_is_there():
    families = {re.split(r"[\d.]", name)[0] for name in ZOO}
    assert families == {"alexnet", "densenet", "inceptionv", "mobilenet", "mobilenetv", "resnet",
                        "squeezenet", "vgg"}
    assert len(ZOO) == 34


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("depth", vision.resnet.resnet_spec)
def test_resnets_by_their_numbers_of_units(version, depth):
    _, units, channels = vision.resnet.resnet_spec[depth]
    with mx.name.NameManager():
        symbol = vision.get_model(f"resnet{depth}_v{version}")(sym.Variable("data"))
    last = {1: "activation", 2: "_plus"}[version]
    stem, *stages = ssdreg.find_taps(symbol, 320)
    assert (stem.stride, stem.channels) == (2, channels[0])
    assert [(tap.stride, tap.channels, tap.node.partition("_")[2]) for tap in stages] == [
        (2 ** (stage + 1), channels[stage], f"stage{stage}_{last}{count - 1}")
        for stage, count in enumerate(units, start=1)]


@pytest.mark.parametrize("depth", vision.densenet.densenet_spec)
def test_densenets_by_their_numbers_of_layers(depth):
    channels, growth, layers = vision.densenet.densenet_spec[depth]
    with mx.name.NameManager():
        symbol = vision.get_model(f"densenet{depth}")(sym.Variable("data"))
    stem, *stages = ssdreg.find_taps(symbol, 320)
    assert (stem.stride, stem.channels) == (2, channels)
    for stage, (tap, count) in enumerate(zip(stages, layers), start=1):
        channels += count * growth
        assert (tap.stride, tap.channels, tap.node.partition("_")[2]) == \
            (2 ** (stage + 1), channels, f"stage{stage}_concat{count - 1}")
        channels //= 2  # in the transition
    assert len(stages) == len(layers)


@pytest.mark.parametrize("name", ["resnet18", "resnet101", "resnet269", "inceptionv3",
                                  "vgg16_reduced"])
def test_what_is_declared_is_found(name):
    backbone = ssdreg.get_backbone(name)
    found = ssdreg.find_taps(backbone.symbol(), (320, 512))
    assert [(tap.stride, tap.channels, tap.node) for tap in found] == \
        [(tap.stride, tap.channels, tap.node) for tap in backbone.taps]


@pytest.mark.parametrize("shape", [64, (96, 160), (101, 77)])
@pytest.mark.parametrize("net", NETS)
def test_small_nets_of_every_kind(net, shape):
    make, ends = NETS[net]
    taps = ssdreg.find_taps(make(), shape)
    assert tuple((tap.stride, tap.node, tap.channels) for tap in taps) == ends


# Networks that read the graph the hard way.

def shuffled():
    """ShuffleNetV2: half of the channels goes around each unit, then the halves are mixed."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    for stage in (2, 3):
        x = conv_relu(x, f"s{stage}_down", 8 * stage, stride=2)
        for unit in (1, 2):
            kept, worked = sym.split(x, num_outputs=2, axis=1, name=f"s{stage}u{unit}_split")
            worked = conv_relu(worked, f"s{stage}u{unit}", 4 * stage)
            x = sym.Concat(kept, worked, dim=1, name=f"s{stage}u{unit}_cat")
            x = sym.reshape(x, shape=(0, -4, 2, -1, -2))
            x = sym.reshape(sym.swapaxes(x, 1, 2), shape=(0, -3, -2))
    return classifier(x)


def test_channel_shuffles_are_no_end_of_the_picture():
    found = ssdreg.find_taps(shuffled(), 64)
    assert [(tap.stride, tap.node, tap.channels) for tap in found] == [
        (2, "stem_relu", 8), (4, "s2u2_cat", 16), (8, "s3u2_cat", 24)]


def reused(names):
    """Build a stem and two stages whose activations share names, as a reused block gives."""
    x = sym.Variable("data")
    for stage, name in enumerate(names, start=1):
        x = relu(conv(x, f"c{stage}", 4 * stage, stride=2), name)
    return classifier(x)


def test_nodes_that_share_a_name_keep_their_own_shapes():
    graph = read_graph(reused(["act", "act", "act"]), (64, 64))
    assert [node.shape for node in graph.nodes if node.name == "act"] == [
        (1, 4, 32, 32), (1, 8, 16, 16), (1, 12, 8, 8)]


def test_what_cannot_be_named_cannot_be_tapped():
    for call in (ssdreg.find_taps, lambda net, shape: ssdreg.verify(net, ["act"], shape)):
        with pytest.raises(TapError, match="2 nodes are called 'act', so none of them can be "):
            call(reused(["act", "other", "act"]), 64)


def test_a_classifier_that_does_not_fit_the_input_is_no_matter():
    x = conv_relu(conv_relu(sym.Variable("data"), "c1", 8, stride=2), "c2", 8, stride=2)
    x = sym.Pooling(x, kernel=(8, 8), pool_type="avg", name="pool")  # for 32x32
    net = sym.FullyConnected(x, num_hidden=2, name="fc", weight=sym.Variable("w", shape=(2, 8)))
    for size in (32, 16, 64):
        assert [tap.node for tap in ssdreg.find_taps(net, size)] == ["c1_relu", "c2_relu"]
    assert read_graph(net, (16, 16)).find("pool").shape == ()
    assert read_graph(net, (64, 64)).find("pool").shape == (1, 8, 9, 9)
    assert read_graph(net, (64, 64)).find("fc").shape == ()


def test_the_way_up_again():
    # down to stride 8, up to 4, down to 16: the first stage at 4 is not the last at its resolution
    x = conv_relu(sym.Variable("data"), "c2", 4, stride=2)
    x = conv_relu(conv_relu(x, "c4", 4, stride=2), "c8", 4, stride=2)
    x = conv_relu(sym.UpSampling(x, scale=2, sample_type="nearest"), "again4", 4)
    net = classifier(conv_relu(x, "c16", 4, stride=4))
    taps = ssdreg.find_taps(net, 64)
    assert [(tap.stride, tap.node) for tap in taps] == [
        (2, "c2_relu"), (4, "again4_relu"), (16, "c16_relu")]
    assert ssdreg.verify(net, taps, 64).taps == tuple(tap.node for tap in taps)


def test_cells_that_are_not_square_are_no_tap():
    x = conv_relu(sym.Variable("data"), "c2", 4, stride=2)
    x = sym.Convolution(x, num_filter=4, kernel=(3, 3), stride=(2, 1), pad=(1, 1), name="tall")
    net = classifier(sym.Convolution(x, num_filter=4, kernel=(3, 3), stride=(1, 2), pad=(1, 1),
                                     name="c4"))
    assert [(tap.stride, tap.node) for tap in ssdreg.find_taps(net, 64)] == [
        (2, "c2_relu"), (4, "c4")]


def test_scores_pooled_behind_a_convolution_are_a_classifier():
    # Network In Network: no weights behind the 1x1 convolution that gives the scores
    x = conv_relu(conv_relu(sym.Variable("data"), "c1", 8, stride=2), "c2", 8, stride=2)
    scores = relu(conv(sym.Dropout(x), "scores", 100, kernel=1), "scores_relu")
    net = sym.Flatten(sym.Pooling(scores, global_pool=True, pool_type="avg", kernel=(1, 1)))
    taps = ssdreg.find_taps(net, 64)
    assert [tap.node for tap in taps] == ["c1_relu", "c2_relu"]
    found = ssdreg.verify(net, taps, 64)
    assert (found.coverage, found.weights) == (1.0, (3 + 8) * 8 * 9 + 2 * 4 * 8)


def test_a_projection_behind_the_last_stage_is_part_of_the_backbone():
    x = conv_relu(conv_relu(sym.Variable("data"), "c1", 8, stride=2), "c2", 8, groups=8)
    x = conv_relu(conv_relu(x, "narrow", 8, kernel=1), "wide", 64, kernel=1)
    found = ssdreg.verify(classifier(x), ["narrow_relu"], 64)
    assert found.weights - found.weights_used == 8 * 64 + 4 * 64


# No usable stages: one clear sentence.

def refused(symbol, data_shape=64) -> str:
    with pytest.raises(TapError) as caught:
        ssdreg.find_taps(symbol, data_shape)
    return str(caught.value)


def test_a_perceptron():
    x = sym.FullyConnected(sym.Flatten(sym.Variable("data"), name="flat"), num_hidden=8)
    assert refused(sym.FullyConnected(relu(x, "hidden"), num_hidden=2)) == (
        "the network has no stages: no convolution or merge works on a picture that every path "
        "runs through; the first node, 'flat', is Flatten")


def test_nothing_at_all():
    assert "no convolution or merge works on a picture" in refused(sym.Variable("data"))


def test_a_network_of_one_resolution():
    x = conv_relu(conv_relu(sym.Variable("data"), "c1", 8), "c2", 8)
    assert refused(classifier(x)) == ("the network has no stages: its resolution never drops, "
                                      "'c2_relu' still has a cell for every pixel")


@pytest.mark.parametrize("mode", ["train", "deploy"])
def test_a_detector(mode):
    message = refused(ssdreg.build("resnet18", num_classes=2, data_shape=300, mode=mode), 300)
    tap, _ = ssdreg.plan("resnet18").taps
    assert message.startswith(f"the network has no usable stages: behind {tap!r} (stride 16) it "
                              "parts into branches that never meet in one map again, ")
    assert message.endswith("give a classification network's own symbol, with one output, "
                            "instead of a detector's")


def test_levels_that_meet_only_in_the_classifier():
    # DLA hands the means of all its levels to the classifier
    x, levels = sym.Variable("data"), []
    for level in (1, 2, 3):
        x = conv_relu(x, f"c{level}", 8, stride=2)
        levels.append(sym.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1)))
    message = refused(sym.FullyConnected(sym.Concat(*levels, dim=1), num_hidden=2))
    assert "behind 'c1_relu' (stride 2) it parts into branches" in message
    assert "'c2' is in one of them" in message


def test_an_input_that_is_too_small():
    with pytest.raises(InputShapeError, match="does not accept an input of 8x8 pixels"):
        ssdreg.find_taps(ssdreg.get_backbone("vgg16_reduced").symbol(), 8)


def test_a_symbol_without_data():
    with pytest.raises(TapError, match="no input called 'data'"):
        ssdreg.find_taps(conv(sym.Variable("image"), "c", 4), 64)


def test_nothing_is_changed():
    net = residual()
    before = net.tojson()
    ssdreg.find_taps(net, 64)
    assert net.tojson() == before
