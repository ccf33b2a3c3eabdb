"""The DenseNets: their taps, sizes, values, and whether they train."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ssdreg
from ssdreg.detector.families import SHAPES, check
from ssdreg.mx import mx

HERE = Path(__file__).parent
#: Trained values as torchvision counts them; densenet-tiny was published without a count.
PARAMETERS = {"densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480,
              "densenet201": 20_013_928}
NAMES = ("densenet-tiny", *PARAMETERS)
#: The normalisation of the input, which torchvision's networks do not have.
BN_DATA = 2 * 3


def maker():
    """Return the script beside this file that made `torchvision.json`, as a module."""
    specification = importlib.util.spec_from_file_location("maker", HERE / "make_torchvision.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_all_are_registered():
    ours = {each.name for each in ssdreg.list_backbones() if each.family.startswith("densenet")}
    assert ours == set(NAMES)
    assert ssdreg.get_backbone("DenseNet-121").name == "densenet121"
    assert ssdreg.get_backbone("densenet_tiny").name == "densenet-tiny"


def test_declaring_does_not_import_mxnet():
    subprocess.run(
        [sys.executable, "-c",
         "import sys, ssdreg_densenet; assert list(ssdreg_densenet.ssdreg_backbones()); "
         "assert 'mxnet' not in sys.modules"], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_taps_are_the_stages(name):
    backbone = ssdreg.get_backbone(name)
    found, = check([backbone])
    assert found.issues == ()
    # all but the normalisation behind the last block, or what stands in the declaration
    assert found.coverage > (0.99 if backbone.stops_at is None else 0.66)
    symbol = backbone.symbol()
    for shape in SHAPES:
        # the stem is stage 0 here, because the blocks' own names count from 1
        assert [(tap.stride, tap.channels, tap.node)
                for tap in ssdreg.find_taps(symbol, shape)] == [
            (tap.stride, tap.channels, tap.node) for tap in backbone.taps]
    assert [tap.stage for tap in backbone.taps] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_sizes(name):
    symbol = ssdreg.get_backbone(name).symbol()
    shapes, _, _ = symbol.infer_shape(data=(1, 3, 224, 224))
    learnt = sum(int(np.prod(shape)) for argument, shape in zip(symbol.list_arguments(), shapes)
                 if argument not in ("data", "softmax_label"))
    assert learnt - BN_DATA == PARAMETERS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_depth_counts_layers(name):
    graph = json.loads(ssdreg.get_backbone(name).symbol().tojson())["nodes"]
    layers = sum(node["op"] in ("Convolution", "FullyConnected") for node in graph)
    assert layers == ssdreg.get_backbone(name).depth
    assert name in (f"densenet{layers}", "densenet-tiny")


@pytest.mark.parametrize(("name", "layers", "sides"), [
    ("densenet121", ("DBstage3_concat24", "DBstage4_concat16"), (18, 9, 5, 3, 2, 1)),
    ("densenet-tiny", ("DBstage2_concat12", "DBstage3_concat18"), (37, 18, 9, 5, 3, 2)),
])
def test_the_nodes_of_trained_networks(name, layers, sides):
    plan = ssdreg.plan(name, data_shape=300)
    assert plan.taps == layers
    assert [(level.height, level.width) for level in plan.levels] == [
        (side, side) for side in sides]
    for side in (300, 512):
        assert ssdreg.plan(name, data_shape=side).num_filters == (-1, -1, 256, 256, 256, 128)


def test_the_names_of_trained_networks():
    arguments = ssdreg.get_backbone("densenet121").symbol().list_arguments()
    assert arguments[1:14] == [
        "bn_data_gamma", "bn_data_beta", "conv0_weight", "bn0_gamma", "bn0_beta",
        "DBstage1_unit1_bn1_gamma", "DBstage1_unit1_bn1_beta", "DBstage1_unit1_conv1_weight",
        "DBstage1_unit1_bn2_gamma", "DBstage1_unit1_bn2_beta", "DBstage1_unit1_conv2_weight",
        "DBstage1_unit2_bn1_gamma", "DBstage1_unit2_bn1_beta"]
    for stage in (1, 2, 3):
        at = arguments.index(f"TBstage{stage}_conv1_weight")
        assert arguments[at - 2:at] == [f"TBstage{stage}_bn1_gamma", f"TBstage{stage}_bn1_beta"]
    assert arguments[-5:] == ["bn1_gamma", "bn1_beta", "fc1_weight", "fc1_bias", "softmax_label"]


def test_the_same_symbol_twice():
    for name in NAMES:
        first = ssdreg.get_backbone(name).symbol().tojson()
        mx.sym.Concat(mx.sym.Variable("data"), mx.sym.Variable("more"))
        assert ssdreg.get_backbone(name).symbol().tojson() == first


@pytest.mark.parametrize("name", ["densenet121", "densenet161"])
def test_values_are_torchvisions(name):
    made = maker()
    expected = json.loads(made.FILE.read_text(encoding="utf-8"))["networks"][name]
    symbol = ssdreg.get_backbone(name).symbol()
    values = {each: mx.nd.array(made.fill(each, shape))
              for each, shape in made.inputs(symbol).items()}
    values.update(data=mx.nd.array(made.pixels()), softmax_label=mx.nd.zeros(made.SHAPE[0]))
    outputs = mx.sym.Group([symbol.get_internals()["bn1_output"], symbol])
    auxiliary = set(symbol.list_auxiliary_states())
    executor = outputs.bind(
        mx.cpu(), {key: value for key, value in values.items() if key not in auxiliary},
        aux_states={key: values[key] for key in auxiliary}, grad_req="null")
    features, scores = (output.asnumpy() for output in executor.forward(is_train=False))
    for got, sample in ((features, expected["features"]), (scores, expected["scores"])):
        assert list(got.shape) == sample["shape"]
        wanted = np.array(sample["value"])
        assert np.abs(got.ravel()[sample["index"]] - wanted).max() <= 1e-4 * np.abs(wanted).max()
        assert np.ptp(wanted) > 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize("head", ["ssd", "ssdlite"])
def test_a_step_of_training_moves_every_weight(head):
    mx.random.seed(3)
    name, side, batch = "densenet-tiny", 128, 2
    label = np.full((batch, 2, 5), -1, "float32")
    label[:, 0] = [1, 0.1, 0.2, 0.7, 0.9]
    symbol = ssdreg.build(name, num_classes=2, data_shape=side, head=head)
    module = mx.mod.Module(symbol, label_names=["label"])
    module.bind([("data", (batch, 3, side, side))], [("label", label.shape)])
    module.init_params(mx.init.Xavier())
    module.init_optimizer(optimizer_params={"learning_rate": 0.1})
    before = {key: value.asnumpy() for key, value in module.get_params()[0].items()}
    pixels = np.random.RandomState(5).normal(0, 1, (batch, 3, side, side))
    module.forward_backward(mx.io.DataBatch([mx.nd.array(pixels)], [mx.nd.array(label)]))
    outputs = [output.asnumpy() for output in module.get_outputs()]
    module.update()
    after = {key: value.asnumpy() for key, value in module.get_params()[0].items()}
    assert all(np.isfinite(values).all() for values in (*outputs, *after.values()))
    backbone = set(ssdreg.get_backbone(name).symbol().list_arguments())
    weights = [key for key in before if key in backbone and key.endswith("weight")]
    assert len(weights) > 70
    assert [key for key in weights if np.array_equal(before[key], after[key])] == []
