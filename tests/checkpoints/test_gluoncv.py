"""GluonCV's SSD networks: parameter files without a symbol, and exports."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest
from support import checkpoints as files
from support import gluon_ssd as gluons
from support.gluon_ssd import (
    CLASSES,
    MOBILENET,
    RESNET50_V2,
    SIDE,
    STEPS,
    named_activations,
    network,
)

import ssdreg
from ssdreg.auditing.gluoncv_presets import import_gluoncv
from ssdreg.deploy.executor import bind_checkpoint
from ssdreg.mx import mx

#: Relative to the largest value.
TOLERANCE = 1e-5


#: Name, taps and the backbone's name of networks with levels behind them.
RESNET18 = ("resnet18_v1", named_activations(2, 2))


def same(found, original, side, scale=1.0):
    """Tell whether a detector predicts what a Gluon network does; `scale` is between inputs."""
    data = np.random.RandomState(7).uniform(-2, 2, (2, 3, side, side)).astype("float32")
    internals = found.symbol.get_internals()
    ours = files.outputs(mx.sym.Group([internals[f"multibox_{name}_output"] for name in (
        "cls_pred", "loc_pred", "anchors")]), found.params, data * np.float32(scale))
    ours[2] = ours[2][0]
    return all(left.shape == right.shape
               and np.abs(left - right).max() <= TOLERANCE * np.abs(left).max()
               for left, right in zip(gluons.raw(original, data, side), ours))


@pytest.mark.parametrize(("name", "taps"), [RESNET18, MOBILENET])
def test_a_network_of_the_zoo(tmp_path, name, taps):
    original = network(gluons.expanded(name, taps, (16, 24)))
    original.save_parameters(str(tmp_path / "ssd.params"))
    found = ssdreg.load_checkpoint(tmp_path / "ssd.params", classes=("a", "b", "c"))
    assert found.kind == "a GluonCV SSD preset's parameters"
    assert found.plan.backbone == f"gluon.{name}"
    assert [layer.partition("_")[2] for layer in found.plan.from_layers] == [*taps, "", ""]
    assert found.plan.data_shape == (SIDE, SIDE)
    assert found.plan.num_classes == CLASSES
    assert found.plan.nms_threshold == pytest.approx(.45)
    assert found.plan.ratios[0] == pytest.approx(gluons.RATIOS)
    assert found.plan.steps == pytest.approx([step / SIDE for step in STEPS])
    assert found.plan.preprocessing == ssdreg.Preprocessing(
        (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert found.verification.coverage > .999
    assert same(found, original, SIDE)


def test_taps_inside_a_unit_are_found_and_told(tmp_path):
    name, taps = RESNET50_V2
    original = network(gluons.expanded(name, taps, (16, 24)))
    original.save_parameters(str(tmp_path / "ssd.params"))
    with pytest.warns(ssdreg.CheckpointWarning, match="is not on the trunk: it is inside a block"):
        found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    assert found.plan.backbone == f"gluon.{name}"
    assert [level.channels for level in found.plan.levels[:2]] == [256, 512]
    assert "16: " in found.complaint
    assert "(1024 channels)" in found.complaint
    assert same(found, original, SIDE)


def test_vggs_scale_goes_into_the_normalisation(tmp_path):
    original = network(gluons.DilatedVGG, 300, (8, 16, 32, 64, 100, 300))
    original.save_parameters(str(tmp_path / "ssd.params"))
    found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    assert found.plan.backbone == "gluoncv.vgg16_atrous"
    assert found.plan.data_shape == (300, 300)
    assert found.plan.preprocessing.std == pytest.approx((1, 1, 1), rel=1e-4)
    assert [level.height for level in found.plan.levels] == [38, 19, 10, 5, 3, 1]
    assert found.plan.normalizations[0] == 20
    assert found.verification
    scale = np.array([.229, .224, .225]).reshape((1, 3, 1, 1)) * 255
    assert same(found, original, 300, scale)


def test_resnet_v1b_with_a_stage_that_does_not_end(tmp_path):
    original = network(gluons.ResNetV1b, 160, (8, 16, 32, 64, 160))
    original.save_parameters(str(tmp_path / "ssd.params"))
    with pytest.warns(ssdreg.CheckpointWarning, match=r"3 units are still to come"):
        found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    depth = 2 * sum(gluons.ResNetV1b.UNITS) + 2
    assert found.plan.backbone == f"gluoncv.resnet{depth}_v1b_ssd"
    # all are used, which says nothing good of taps that are wrong
    assert "of the backbone's weights" not in found.complaint
    assert same(found, original, 160)
    found.save(tmp_path / "run")
    again = ssdreg.load_checkpoint(tmp_path / "run")
    assert again.complaint == found.complaint
    assert same(again, original, 160)


@pytest.mark.parametrize(("name", "taps"), [RESNET18, MOBILENET])
def test_an_export(tmp_path, name, taps):
    original = network(gluons.expanded(name, taps, (16, 24)))
    original.hybridize()
    original(mx.nd.zeros((1, 3, SIDE, SIDE)))
    original.export(str(tmp_path / "net"), epoch=2)
    found = ssdreg.load_checkpoint(tmp_path / "net")
    assert found.kind == "a GluonCV SSD, exported"
    assert found.epoch == 2
    assert found.plan.backbone == f"gluon.{name}"
    assert found.plan.data_shape == (SIDE, SIDE)
    assert found.plan.steps == pytest.approx([step / SIDE for step in STEPS])
    assert found.plan.nms_threshold == pytest.approx(.45)
    assert found.verification
    assert same(found, original, SIDE)


# preprocessing inside the symbol


def pixels(side, count=2):
    return np.random.RandomState(3).randint(0, 256, (count, side, side, 3)).astype("float32")


def in_mxnet(prefix, data):
    """Run the exported files in MXNet itself: probabilities, boxes in pixels, and detections."""
    symbol, args, auxs = mx.model.load_checkpoint(str(prefix), 0)
    nodes = {node["op"]: node["name"] for node in json.loads(symbol.tojson())["nodes"]}
    internals = symbol.get_internals()
    whole = mx.sym.Group([internals[f"{nodes[op]}_output"] for op in (
        "softmax", "_contrib_box_decode")] + [symbol])
    executor = whole.bind(mx.cpu(), {**args, "data": mx.nd.array(data)}, aux_states=auxs,
                          grad_req="null")
    return [output.asnumpy() for output in executor.forward()]


def in_ssdreg(found, data):
    """Run an imported detector on pixels of (B, H, W, 3): the same three, boxes as corners."""
    given = found.plan.preprocessing
    planes = ((data - np.float32(given.mean)) / np.float32(given.std)).transpose(0, 3, 1, 2)
    internals = found.symbol.get_internals()
    scores, offsets, anchors = files.outputs(mx.sym.Group([
        internals[name] for name in ("cls_prob_output", "multibox_loc_pred_output",
                                     "multibox_anchors_output")]), found.params, planes)
    offsets = offsets.reshape(len(data), -1, 4) * np.float32(found.plan.variances)
    sides = anchors[..., 2:] - anchors[..., :2]
    centers = offsets[..., :2] * sides + (anchors[..., :2] + anchors[..., 2:]) / 2
    halves = np.exp(offsets[..., 2:]) * sides / 2
    boxes = np.concatenate([centers - halves, centers + halves], axis=2)
    return (scores.transpose(0, 2, 1), boxes,
            bind_checkpoint(found, len(data)).detect(mx.nd.array(planes)))


def equal(ours, theirs, side):
    """Compare every anchor's probabilities and box, and each image's best detection."""
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1] / side, rtol=1e-5, atol=1e-5)
    for rows, others in zip(ours[2], theirs[2]):
        rows, best = rows[rows[:, 0] >= 0], others[others[:, 1].argmax()]
        assert best[1] > 0.1
        # which of several equally sure boxes comes first is nobody's
        tied = rows[rows[:, 1] > best[1] - 1e-6]
        wanted = [*best[:2], *np.clip(best[2:] / side, 0, 1)]
        assert np.abs(tied - wanted).max(axis=1).min() < 1e-5


@pytest.fixture(scope="module", params=["resnet18", "vgg"])
def detector(request):
    if request.param == "vgg":
        return network(gluons.DilatedVGG, 300, (8, 16, 32, 64, 100, 300)), 300
    name, taps = RESNET18
    return network(gluons.expanded(name, taps, (16, 24))), SIDE


def test_preprocessing_inside_the_symbol_becomes_the_normalisation(tmp_path, detector):
    original, side = detector
    gluons.export(original, tmp_path / "pixels", side, gluons.Preprocess())
    gluons.export(original, tmp_path / "planes", side)
    found, plain = (ssdreg.load_checkpoint(tmp_path / name) for name in ("pixels", "planes"))
    assert found.plan.data_shape == (side, side)
    assert "the normalisation was inside its symbol" in "\n".join(found.notes)
    assert found.plan.preprocessing.mean == pytest.approx(gluons.MEAN)
    assert found.plan.preprocessing.std == pytest.approx(gluons.STD)
    data = pixels(side)
    ours = in_ssdreg(found, data)
    equal(ours, in_mxnet(tmp_path / "pixels", data), side)
    same = in_ssdreg(plain, data)
    for one, other in zip(ours[:2], same[:2]):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    for rows, others in zip(ours[2], same[2]):
        rows, others = rows[rows[:, 0] >= 0], others[others[:, 0] >= 0]
        assert len(rows) == len(others) > 20
        # equally sure rows may stand in another order
        assert np.abs(rows[:, None] - others).max(axis=2).min(axis=1).max() < 1e-5


@pytest.mark.parametrize(("steps", "planes", "mean", "std"), [
    (lambda op, x: op.transpose(x / 127.5 - 1, axes=(0, 3, 1, 2)), False, (127.5,) * 3,
     (127.5,) * 3),
    (lambda op, x: (op.transpose(x, axes=(0, 3, 1, 2)) - 10) * .5, False, (10,) * 3, (2,) * 3),
    (lambda op, x: op.image.normalize(op.image.to_tensor(x), (.485, .456, .406),
                                      (.229, .224, .225)), False,
     (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    (lambda op, x: (op.cast(x, "float32") - 100) / 50, True, (100,) * 3, (50,) * 3),
    (lambda op, x: op.transpose(x, axes=(0, 3, 1, 2)), False, (0,) * 3, (1,) * 3),
])
def test_preprocessing_of_ones_own(tmp_path, steps, planes, mean, std):
    name, taps = RESNET18
    original = network(gluons.expanded(name, taps, (16, 24)))
    gluons.export(original, tmp_path / "net", SIDE, gluons.Steps(steps), planes)
    found = ssdreg.load_checkpoint(tmp_path / "net")
    assert found.plan.preprocessing.mean == pytest.approx(mean)
    assert found.plan.preprocessing.std == pytest.approx(std)
    data = pixels(SIDE)
    theirs = in_mxnet(tmp_path / "net", data.transpose(0, 3, 1, 2) if planes else data)
    equal(in_ssdreg(found, data), theirs, SIDE)


@pytest.mark.parametrize(("steps", "says"), [
    (lambda op, x: op.transpose(op.sqrt(x), axes=(0, 3, 1, 2)),
     "takes images as height x width x channels, and what it does to them before '.*' is not "
     "understood: export it as channels x height x width"),
    (lambda op, x: op.transpose(1 - x / 255, axes=(0, 3, 1, 2)), "is not understood"),
    (lambda op, x: op.transpose(x + 5, axes=(0, 3, 1, 2)), r"which is no \(x - mean\) / deviation"),
])
def test_preprocessing_that_no_normalisation_says_is_refused(tmp_path, steps, says):
    name, taps = RESNET18
    original = network(gluons.expanded(name, taps, (16, 24)))
    gluons.export(original, tmp_path / "net", SIDE, gluons.Steps(steps))
    with pytest.raises(ssdreg.RunError, match=says) as caught:
        ssdreg.load_checkpoint(tmp_path / "net")
    assert "--data-shape" not in str(caught.value)


def test_an_own_normalisation_is_not_applied_twice(tmp_path):
    name, taps = RESNET18
    original = network(gluons.expanded(name, taps, (16, 24)))
    gluons.export(original, tmp_path / "net", SIDE, gluons.Preprocess())
    with pytest.raises(ssdreg.RunError, match="normalises its input itself, by mean"):
        ssdreg.load_checkpoint(tmp_path / "net", preprocessing=ssdreg.Preprocessing())
    (tmp_path / "net-0000.params").unlink()
    with pytest.raises(ssdreg.RunError, match="init_mean', which is not among its parameters"):
        ssdreg.load_checkpoint(tmp_path / "net")


def test_the_input_size_is_read_from_the_symbol_where_it_states_it(tmp_path):
    name, taps = RESNET18
    original = network(gluons.expanded(name, taps, (16, 24)))
    gluons.export(original, tmp_path / "net", SIDE, gluons.Preprocess())
    file = tmp_path / "net-symbol.json"
    content = json.loads(file.read_text())
    content["nodes"][0]["attrs"] = {"__shape__": f"(1, {SIDE}, {2 * SIDE}, 3)"}
    file.write_text(json.dumps(content))
    assert ssdreg.load_checkpoint(tmp_path / "net").plan.data_shape == (SIDE, 2 * SIDE)


def test_an_exported_constant_is_not_trained(tmp_path):
    original = network(gluons.DilatedVGG, 300, (8, 16, 32, 64, 100, 300))
    original.hybridize()
    original(mx.nd.zeros((1, 3, 300, 300)))
    original.export(str(tmp_path / "net"))
    found = ssdreg.load_checkpoint(tmp_path / "net")
    assert same(found, original, 300)
    attrs = found.train_symbol.attr_dict()
    constants = [name for name in attrs if name.endswith("init_scale")]
    assert len(constants) == 1
    assert attrs[constants[0]]["__lr_mult__"] == attrs[constants[0]]["__wd_mult__"] == "0"


def test_detections_are_the_networks_best_ones(tmp_path):
    """One box with its best class is the same in both ways of suppression."""
    name, taps = RESNET18
    original = network(gluons.expanded(name, taps, (16, 24)))
    original.save_parameters(str(tmp_path / "ssd.params"))
    found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    data = np.random.RandomState(7).uniform(-2, 2, (1, 3, SIDE, SIDE)).astype("float32")
    theirs = original(mx.nd.array(data)).asnumpy()[0]
    ours = bind_checkpoint(found).detect(mx.nd.array(data))[0]
    best = theirs[theirs[:, 1].argmax()]
    np.testing.assert_allclose(ours[0, :2], best[:2], atol=1e-5)
    # here boxes end at the image's edge, and there they do not
    np.testing.assert_allclose(ours[0, 2:], np.clip(best[2:] / SIDE, 0, 1), atol=1e-5)


def test_anchors_that_end_early_are_told(tmp_path):
    name, taps = MOBILENET
    original = network(gluons.expanded(name, taps, (16, 24)), steps=(8, 16, 32, 128))
    original.save_parameters(str(tmp_path / "ssd.params"))
    found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    assert "level 0 (8x8 cells) are 8 pixels apart and end at 50%" in "\n".join(found.notes)


def test_lite_anchors_are_some_of_a_multibox_priors(tmp_path):
    name, taps = MOBILENET
    original = network(gluons.expanded(name, taps, (16, 24)), anchors=gluons.LiteAnchors)
    original.save_parameters(str(tmp_path / "ssd.params"))
    found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    assert [level.anchors_per_cell for level in found.plan.levels] == [5, 6, 6, 6]
    assert any("only some of the anchors" in note for note in found.notes)
    assert same(found, original, SIDE)


def saved(tmp_path, change):
    """Save a small network's parameters, changed."""
    original = network(gluons.ResNetV1b, 160, (8, 16, 32, 64, 160))
    original.save_parameters(str(tmp_path / "ssd.params"))
    arrays = mx.nd.load(str(tmp_path / "ssd.params"))
    change(arrays)
    mx.nd.save(str(tmp_path / "ssd.params"), arrays)
    return tmp_path / "ssd.params"


def other_anchors(arrays):
    table = arrays["anchor_generators.0.anchors"].asnumpy()
    table[..., 10] *= 1.3
    arrays["anchor_generators.0.anchors"] = mx.nd.array(table)


def other_network(arrays):
    for name in list(arrays):
        if name.startswith("features."):
            arrays[name.replace("features.", "features.mynet0_")] = arrays.pop(name)


@pytest.mark.parametrize(("change", "says"), [
    (lambda arrays: arrays.pop("anchor_generators.1.anchors"), "lacks the anchors"),
    (other_anchors, "not those of an SSD"),
    (other_network, "a network that is not known here"),
    (lambda arrays: arrays.pop("features.stage1.5.1.conv2.weight"), "lacks 'stage1.5.1.conv2"),
    (lambda arrays: arrays.pop("box_predictors.1.predictor.weight"), "lacks 'box_predictors.1"),
    (lambda arrays: arrays.pop("features.stage1.1.beta"), "lacks 'features.stage1.1.beta'"),
])
def test_files_that_cannot_be_told(tmp_path, change, says):
    with pytest.raises(ssdreg.RunError, match=says):
        ssdreg.load_checkpoint(saved(tmp_path, change))


# the real thing ----------------------------------------------------------------------------------


def presets():
    """Return GluonCV's SSD presets with 20 classes, or a reason why there are none."""
    try:
        import_gluoncv()
    except ssdreg.SsdregError as error:
        return [pytest.param(None, id="none", marks=pytest.mark.skip(reason=str(error)))]
    module = import_module("gluoncv.model_zoo.ssd.presets")
    # one for each structure: sets of other classes differ in the predictors alone
    return [pytest.param(getattr(module, name), id=name) for name in module.__all__
            if name.endswith(("_voc", "_lite_coco"))]


@pytest.mark.parametrize("preset", presets())
def test_the_presets_of_gluoncv(tmp_path, recwarn, preset):
    name, original = preset.__name__, preset(pretrained=False, pretrained_base=False)
    side = int(name.split("_")[1])
    gluons.by_rule(original, side)
    original.save_parameters(str(tmp_path / "ssd.params"))
    found = ssdreg.load_checkpoint(tmp_path / "ssd.params")
    assert found.plan.data_shape == (side, side)
    assert found.plan.num_classes == original.num_classes
    wrong = "_v2_" in name or "v1b" in name
    assert bool(found.complaint) == wrong
    scale = getattr(original.features, "init_scale", None)
    assert same(found, original, side, 1.0 if scale is None else scale.data().asnumpy())


def test_constants_are_gluons_own():
    """What this file's networks rely on: a constant is saved with the parameters."""
    assert "anchor_generators.0.anchors" in network(
        gluons.ResNetV1b, 160, (8, 16, 32, 64, 160))._collect_params_with_prefix()
    assert issubclass(mx.gluon.Constant, mx.gluon.Parameter)
