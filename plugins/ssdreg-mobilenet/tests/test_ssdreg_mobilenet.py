"""The MobileNets: their taps, sizes, values, and whether they train."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ssdreg
from ssdreg.detector.families import SHAPES, check, parameter_count
from ssdreg.mx import mx

HERE = Path(__file__).parent
#: All values, moving averages included, as Keras Applications' summaries state them; the reduced
#: network's as torchvision has it, which calls it so.
PARAMETERS = {
    "mobilenet0.25": 475_544, "mobilenet0.5": 1_342_536, "mobilenet0.75": 2_601_976,
    "mobilenet": 4_253_864, "mobilenetv2_0.5": 1_987_224, "mobilenetv2_0.75": 2_663_064,
    "mobilenetv2": 3_538_984, "mobilenetv2_1.4": 6_156_712, "mobilenetv3_small": 2_554_968,
    "mobilenetv3_large": 5_507_432, "mobilenetv3_large_reduced": 2_588_472,
}
#: Millions, as the papers round them: MobileNet's table 6, MobileNetV2's table 4, MobileNetV3's
#: table 3. (MobileNetV2's 6.9 for 1.4 is no sum of its table 2; the published weights have 6.1.)
MILLIONS = {"mobilenet0.25": 0.5, "mobilenet0.5": 1.3, "mobilenet0.75": 2.6, "mobilenet": 4.2,
            "mobilenetv2": 3.5, "mobilenetv3_small": 2.5, "mobilenetv3_large": 5.5}
#: Linear bottlenecks: everything but what ends in an activation.
PROJECTED = {name: (2, 4, 8, 16, 32) for name in PARAMETERS if "v" in name}
PROJECTED["mobilenetv3_small"] = (4, 8, 16, 32)  # its stem is a stage by itself


def maker():
    """Return the script beside this file that made `torchvision.json`, as a module."""
    specification = importlib.util.spec_from_file_location("maker", HERE / "make_torchvision.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def nodes(symbol):
    return {node["name"]: node for node in json.loads(symbol.tojson())["nodes"]}


def learnt(symbol):
    """Count the values that are trained: arguments, without the moving averages."""
    shapes, _, _ = symbol.infer_shape(data=(1, 3, 224, 224))
    return sum(int(np.prod(shape)) for name, shape in zip(symbol.list_arguments(), shapes)
               if name not in ("data", "softmax_label"))


def test_all_are_registered():
    ours = {each.name for each in ssdreg.list_backbones() if each.family.startswith("mobilenet")}
    assert ours == set(PARAMETERS)
    assert ssdreg.get_backbone("MobileNet-1.0").name == "mobilenet"
    assert ssdreg.get_backbone("mobilenet_v2").name == "mobilenetv2"
    assert ssdreg.get_backbone("MobileNetV2_1.0").name == "mobilenetv2"


def test_declaring_does_not_import_mxnet():
    subprocess.run(
        [sys.executable, "-c",
         "import sys, ssdreg_mobilenet; assert list(ssdreg_mobilenet.ssdreg_backbones()); "
         "assert 'mxnet' not in sys.modules"], check=True)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_taps_are_the_stages(name):
    found, = check([ssdreg.get_backbone(name)])
    assert found.issues == ()
    assert found.parameters == PARAMETERS[name]
    backbone = ssdreg.get_backbone(name)
    symbol = backbone.symbol()
    for shape in SHAPES:
        assert ssdreg.find_taps(symbol, shape) == backbone.taps
    assert [tap.stride for tap in backbone.taps] == [2, 4, 8, 16, 32]


@pytest.mark.parametrize("name", MILLIONS)
def test_the_papers_sizes(name):
    assert round(learnt(ssdreg.get_backbone(name).symbol()) / 1e6, 1) == MILLIONS[name]


def test_the_nodes_of_trained_networks():
    plan = ssdreg.plan("mobilenet", data_shape=300)
    assert plan.from_layers == ("conv_12_relu", "conv_14_relu", "", "", "", "", "")
    assert plan.num_filters == (-1, -1, 512, 256, 256, 256, 256)
    assert [(level.height, level.width) for level in plan.levels] == [
        (side, side) for side in (19, 10, 5, 3, 2, 1, 1)]
    assert [level.height for level in ssdreg.plan("mobilenet", data_shape=512).levels] == [
        32, 16, 8, 4, 2, 1, 1]
    arguments = ssdreg.get_backbone("mobilenet").symbol().list_arguments()
    convolutions = ["conv_1", *(f"conv_{number}{suffix}" for number in range(2, 15)
                                for suffix in ("_dw", ""))]
    assert arguments == ["data", *(
        f"{name}_{part}" for name in convolutions
        for part in ("conv2d_weight", "batchnorm_gamma", "batchnorm_beta")),
        "fc_weight", "fc_bias", "softmax_label"]


@pytest.mark.parametrize("name", ["mobilenet0.5", "mobilenetv2", "mobilenetv3_large"])
def test_other_networks_get_levels_down_to_one_cell(name):
    last = ssdreg.plan(name, data_shape=300).levels[-2:]
    assert [level.height for level in last] == [2, 1]


@pytest.mark.parametrize("name", PROJECTED)
def test_linear_bottlenecks_are_projected(name):
    backbone = ssdreg.get_backbone(name)
    assert [stride for stride, _ in backbone.projections] == list(PROJECTED[name])
    graph = nodes(backbone.symbol())
    for tap in backbone.taps:
        raw = graph[tap.node]["op"] in ("BatchNorm", "elemwise_add")
        assert raw == (tap.stride in PROJECTED[name])
    inside = ssdreg.build(name, data_shape=96).get_internals().list_outputs()
    for stride in backbone.tap_strides:
        assert f"{backbone.tap(stride).node}_projection_relu_output" in inside


@pytest.mark.parametrize(("name", "block"), [
    ("mobilenetv2", 14), ("mobilenetv3_small", 9), ("mobilenetv3_large", 13)])
def test_the_papers_taps_can_be_named(name, block):
    graph = nodes(ssdreg.get_backbone(name).symbol())
    # the expansion of the first block at stride 32, which is computed at stride 16
    assert graph[f"block{block}_depthwise_conv"]["attrs"]["stride"] == "(2, 2)"
    kind = "relu6" if "v2" in name else "hswish"
    layers = (f"block{block}_expand_{kind}", f"head_{kind}", "", "")
    symbol = ssdreg.build(name, data_shape=128, head="ssdlite", from_layers=layers)
    plan = ssdreg.plan(name, data_shape=128, head="ssdlite", from_layers=layers)
    assert [level.height for level in plan.levels] == [8, 4, 2, 1]
    assert f"{layers[1]}_cls_pred_conv_weight" in symbol.list_arguments()


def test_the_same_symbol_twice():
    for name in PARAMETERS:
        first = ssdreg.get_backbone(name).symbol().tojson()
        mx.sym.clip(mx.sym.Variable("data") + 1, a_min=0, a_max=6)
        assert ssdreg.get_backbone(name).symbol().tojson() == first


@pytest.mark.parametrize("name", ["mobilenetv2", "mobilenetv3_small", "mobilenetv3_large"])
def test_values_are_torchvisions(name):
    made = maker()
    expected = json.loads(made.FILE.read_text(encoding="utf-8"))["networks"][name]
    symbol = ssdreg.get_backbone(name).symbol()
    assert learnt(symbol) == expected["learnt"]
    values = {each: mx.nd.array(made.fill(each, shape))
              for each, shape in made.inputs(symbol).items()}
    values.update(data=mx.nd.array(made.pixels()), softmax_label=mx.nd.zeros(made.SHAPE[0]))
    head = next(node for node in nodes(symbol) if node in ("head_relu6", "head_hswish"))
    outputs = mx.sym.Group([symbol.get_internals()[f"{head}_output"], symbol])
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


@pytest.mark.parametrize(("name", "activation"), [
    ("mobilenetv2", lambda x: np.clip(x, 0, 6)),
    ("mobilenetv3_small", lambda x: x * np.clip(x + 3, 0, 6) / 6)])
def test_activations_bend_at_both_ends(name, activation):
    symbol = ssdreg.get_backbone(name).symbol()
    inside = symbol.get_internals()
    end = next(each for each in inside.list_outputs()
               if each in ("stem_relu6_output", "stem_hswish_output"))
    executor = mx.sym.Group([inside["stem_bn_output"], inside[end]]).simple_bind(
        mx.cpu(), grad_req="null", data=(1, 3, 32, 32))
    rng = np.random.RandomState(2)
    for key in ("data", "stem_conv_weight"):
        executor.arg_dict[key][:] = mx.nd.array(rng.normal(0, 2, executor.arg_dict[key].shape))
    executor.arg_dict["stem_bn_gamma"][:] = 1
    executor.aux_dict["stem_bn_moving_var"][:] = 1
    before, after = (output.asnumpy() for output in executor.forward(is_train=False))
    assert before.min() < -10 < 10 < before.max()
    np.testing.assert_allclose(after, activation(before), rtol=1e-5, atol=1e-5)


def test_parameters_are_counted_at_any_size():
    symbol = ssdreg.get_backbone("mobilenetv3_large").symbol()
    assert parameter_count(symbol, (384, 256)) == PARAMETERS["mobilenetv3_large"]


@pytest.mark.parametrize("name", ["mobilenet0.25", "mobilenetv2_0.5", "mobilenetv3_small"])
@pytest.mark.parametrize("head", ["ssd", "ssdlite"])
def test_a_step_of_training_moves_every_weight(name, head):
    mx.random.seed(3)
    side, batch = 128, 2
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
    assert len(weights) > 20
    assert [key for key in weights if np.array_equal(before[key], after[key])] == []
