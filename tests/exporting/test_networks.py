"""Whole networks, of every family and age: what MXNet predicts, their files predict."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from attrs import evolve
from support import checkpoints as files
from support import exporting
from support import gluon_ssd as gluons
from support.checkpoints import HYPERPARAMETERS, own_symbol, tarred
from support.gluon_ssd import MOBILENET, RESNET50_V2, network
from support.nets import NETS

import ssdreg
from ssdreg.deploy.model import open_deploy_model, random_deploy_model
from ssdreg.errors import ExportError
from ssdreg.exporting import Options, to_onnx
from ssdreg.mx import mx
from ssdreg.runs.params import Params
from ssdreg.scaffold.demo import BACKBONE

sym = mx.sym
SHAPE = (96, 128)
TOLERANCE = 1e-4


def photos(source, batch=2):
    return np.random.RandomState(3).randint(
        0, 256, (batch, *source.plan.data_shape, 3)).astype("uint8")


def predicted(source, pixels):
    """Return scores (B, N, C) and boxes (B, N, 4) by MXNet, up to what suppression starts from."""
    mean, std = (np.array(values, "float32") for values in (
        source.plan.preprocessing.mean, source.plan.preprocessing.std))
    data = ((pixels.astype("float32") - mean) / std).transpose(0, 3, 1, 2)
    parts = source.symbol.get_children()
    prob, offsets, anchors = files.outputs(parts, source.params, data)
    offsets = offsets.reshape(len(pixels), -1, 4) * np.array(source.plan.variances)
    low, high = anchors[..., :2], anchors[..., 2:]
    center = (low + high) / 2 + offsets[..., :2] * (high - low)
    half = np.exp(offsets[..., 2:]) * (high - low) / 2
    boxes = np.concatenate([center - half, center + half], axis=2)
    clipped = json.loads(source.symbol.tojson())["nodes"][-1]["attrs"].get("clip", "True")
    return prob.transpose(0, 2, 1)[..., 1:], boxes.clip(0, 1) if clipped == "True" else boxes


def check(source):
    """Compare a detector's file with MXNet, and look at what the file holds."""
    model = to_onnx(source, Options(batch=None, nms=False))  # which checks it in full
    graph = model.graph
    assert [value.name for value in graph.input] == ["images"]
    weights = [tensor.name for tensor in graph.initializer]
    assert len(set(weights)) == len(weights)
    assert set(weights) == set(weights) & {name for node in graph.node for name in node.input}
    pixels = photos(source)
    found = exporting.session(model).run(["scores", "boxes"], {"images": pixels})
    for ours, theirs in zip(found, predicted(source, pixels)):
        assert ours.shape == theirs.shape
        assert np.abs(theirs).max() > 1e-3
        assert np.abs(ours - theirs).max() <= TOLERANCE


# what is built here ------------------------------------------------------------------------------

#: One for each way of building; that of VGG is among the old checkpoints. With the least size.
OWN = {"resnet18": SHAPE, "inceptionv3": (160, 160)}
PLUGINS = {
    "densenet-tiny": SHAPE, "efficientnet-lite0": SHAPE, "mobilenet0.25": SHAPE,
    "mobilenetv2_0.5": SHAPE, "mobilenetv3_small": SHAPE, "resnet18_v1b": (64, 96),
    "gluon.alexnet": (160, 160), "gluon.mobilenet0.25": SHAPE,
    "gluon.mobilenetv2_0.25": SHAPE, "gluon.resnet18_v2": (64, 96),
    "gluon.squeezenet1.0": SHAPE, "gluon.vgg11_bn": (64, 96)}


@pytest.mark.parametrize("name", OWN)
def test_a_network_of_ssdreg(name):
    check(random_deploy_model(name, 3, OWN[name]))


@pytest.mark.parametrize("name", PLUGINS)
def test_a_network_of_a_plugin(name):
    try:
        ssdreg.get_backbone(name)
    except ssdreg.UnknownNameError:
        pytest.skip("its plug-in is not installed")
    check(random_deploy_model(name, 3, PLUGINS[name]))


@pytest.mark.parametrize("head", ["ssdlite", "fpn_small"])
def test_another_head(head):
    try:
        ssdreg.get_head(head)
    except ssdreg.UnknownNameError:
        pytest.skip("its plug-in is not installed")
    check(random_deploy_model(BACKBONE, 3, SHAPE, head))


@pytest.mark.parametrize("name", NETS)
def test_a_small_network_of_each_structure(name):
    """As classifiers, to their last operator."""
    make, _ = NETS[name]
    symbol = make()
    shapes, _, auxiliary = symbol.infer_shape(data=(1, 3, *SHAPE))
    params = {key: files.reference_rule.fill(key, shape) for key, shape in (
        *zip(symbol.list_arguments(), shapes), *zip(symbol.list_auxiliary_states(), auxiliary))
        if key != "data"}
    made = exporting.Case(symbol, params, SHAPE)
    data = exporting.images(2, SHAPE)
    assert exporting.apart(exporting.run(made.export(), data), made.run(data)) <= TOLERANCE


# old checkpoints ---------------------------------------------------------------------------------


def example(folder):
    symbol = files.example_symbol("resnet18", files.taps_of("resnet18", 16, 32), 3)
    files.write(folder / "ssd", symbol, 96)
    return open_deploy_model(folder / "ssd", data_shape=96)


def of_vgg(folder):
    symbol = files.example_symbol(
        "vgg16_reduced", files.taps_of("vgg16_reduced", 8, 16), 2, extras=(512,),
        steps=tuple(step / 160 for step in (8, 16, 32)), scale=512)
    files.write(folder / "vgg", symbol, 160, files.version_0_8)
    return open_deploy_model(folder / "vgg")


def of_nobody(folder, mode="deploy", spelling=files.today, **settings):
    files.write(folder / "own", own_symbol(mode, **settings), 64, spelling)
    return open_deploy_model(folder / "own", data_shape=64)


def of_sagemaker(folder):
    (folder / "hyperparams.json").write_text(json.dumps(HYPERPARAMETERS))
    files.write(folder / "model_algo_1", files.after_copy(own_symbol("deploy")), 64, epoch=0)
    return open_deploy_model(tarred(folder, folder / "model.tar.gz"))


def saved_by_gluon(folder, features, *rest, **settings):
    network(features, *rest, **settings).save_parameters(str(folder / "ssd.params"))
    return open_deploy_model(folder / "ssd.params")


def exported_by_gluon(folder, features, *rest):
    made = network(features, *rest)
    side = rest[0] if rest else 128
    made.hybridize()
    made(mx.nd.zeros((1, 3, side, side)))
    made.export(str(folder / "net"))
    return open_deploy_model(folder / "net")


VGG300 = (gluons.DilatedVGG, 300, (8, 16, 32, 64, 100, 300))
OLD = {
    "the example's, which is built anew": example,
    "of MXNet 0.8, VGG with scales and steps": of_vgg,
    "of MXNet 0.8": lambda folder: of_nobody(folder, spelling=files.version_0_8),
    "of MXNet 0.9, for training": lambda folder: of_nobody(folder, "train", files.version_0_9),
    "mxnet-ssd's, without detections": lambda folder: of_nobody(folder, "blind"),
    "with a threshold of its own": lambda folder: of_nobody(folder, threshold=.3),
    "without clipping": lambda folder: of_nobody(folder, clip=False),
    "SageMaker's": of_sagemaker,
    "GluonCV's, taps inside": lambda folder: saved_by_gluon(
        folder, gluons.expanded(*RESNET50_V2, (16, 24))),
    "GluonCV's, lite anchors": lambda folder: saved_by_gluon(
        folder, gluons.expanded(*MOBILENET, (16, 24)), anchors=gluons.LiteAnchors),
    "GluonCV's, VGG": lambda folder: saved_by_gluon(folder, *VGG300),
    "GluonCV's, ResNet v1b": lambda folder: saved_by_gluon(
        folder, gluons.ResNetV1b, 160, (8, 16, 32, 64, 160)),
    "GluonCV's, exported": lambda folder: exported_by_gluon(
        folder, gluons.expanded(*MOBILENET, (16, 24))),
    "GluonCV's VGG, exported": lambda folder: exported_by_gluon(folder, *VGG300),
}


@pytest.mark.parametrize("kind", OLD)
def test_an_old_checkpoint(tmp_path, kind):
    with warnings.catch_warnings():
        # that taps lie inside a network is told when it is loaded, and is no matter here
        warnings.simplefilter("ignore", ssdreg.CheckpointWarning)
        source = OLD[kind](tmp_path)
    check(source)


# what is unusual ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return random_deploy_model(BACKBONE, 3, 64)


def renamed(source, change):
    """Give the nodes of a detector other names, by `change` from a node to its name."""
    document = json.loads(source.symbol.tojson())
    names = {}
    for node in document["nodes"]:
        if node["name"] not in ("data", "detection"):
            names[node["name"]] = node["name"] = change(node)
    params = Params(*({names[name]: array for name, array in part.items()}
                      for part in (source.params.args, source.params.auxs)))
    # MXNet reads no escapes of Unicode
    text = json.dumps(document, ensure_ascii=False)
    return evolve(source, symbol=mx.sym.load_json(text), params=params)


def test_operators_of_one_name(small):
    check(renamed(small, lambda node: node["name"] if node["op"] == "null" else "it"))


@pytest.mark.parametrize("name", ["images", "scores", "boxes", "anchors", "batch", "detection"])
def test_names_that_the_file_has_itself(small, name):
    weight = next(iter(small.params.args))
    check(renamed(small, lambda node: name if node["name"] in (weight, "_plus0")
                  else node["name"]))


def test_names_of_any_characters(small):
    check(renamed(small, lambda node: f"ä/b:c {node['name']}'\"\n%"))


def test_parameters_in_half_precision(small):
    half = Params(*({name: array.astype("float16") for name, array in part.items()}
                    for part in (small.params.args, small.params.auxs)))
    whole = Params(*({name: array.astype("float32") for name, array in part.items()}
                     for part in (half.args, half.auxs)))
    halved, same = (to_onnx(evolve(small, params=params)) for params in (half, whole))
    assert halved.SerializeToString() == same.SerializeToString()


def test_a_missing_parameter(small):
    args = {name: array for name, array in small.params.args.items() if name != "conv0_weight"}
    with pytest.raises(ExportError, match="lacks the parameter 'conv0_weight'"):
        to_onnx(evolve(small, params=Params(args, small.params.auxs)))


def test_a_parameter_of_another_shape(small):
    args = {**small.params.args, "conv0_weight": mx.nd.zeros((2, 3, 7, 7))}
    with pytest.raises(ExportError, match=r"'conv0_weight' .* has the shape \(2, 3, 7, 7\)"):
        to_onnx(evolve(small, params=Params(args, small.params.auxs)))


def test_a_quantised_network(small):
    """The sentence says what to export instead."""
    symbol, args, auxs = mx.contrib.quantization.quantize_model(
        small.symbol, dict(small.params.args), dict(small.params.auxs), ctx=mx.cpu(),
        calib_mode="none", quantized_dtype="int8")
    with pytest.raises(ExportError, match="export the float32 run that it was made from") as error:
        to_onnx(evolve(small, symbol=symbol, params=Params(args, auxs)))
    assert "node" in str(error.value)


def test_a_training_symbol(small):
    train = ssdreg.assemble(BACKBONE.symbol(), small.plan, "train")
    with pytest.raises(ExportError, match="only a deploy symbol, with the one output 'detection'"):
        to_onnx(evolve(small, symbol=train))


def test_another_last_operator(small):
    symbol = small.symbol.get_internals()["multibox_loc_pred_output"]
    with pytest.raises(ExportError, match="a detector's last operator is _contrib_MultiBoxDetect"):
        to_onnx(evolve(small, symbol=symbol))


def test_an_operator_without_translation(small):
    children = small.symbol.get_children()
    sorted_ = sym.sort(children[1], axis=1, name="strange")
    symbol = sym.contrib.MultiBoxDetection(children[0], sorted_, children[2], name="detection")
    with pytest.raises(ExportError, match="sort at node 'strange' cannot be written as ONNX"):
        to_onnx(evolve(small, symbol=symbol))
