"""Checkpoints of MXNet's SSD example and of mxnet-ssd: what is found, and that it is the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support import checkpoints as files
from support import paths, reference_rule
from support.checkpoints import TOLERANCE, own_symbol, same
from support.nets import separable
from support.reference_rule import among_ties

import ssdreg
from ssdreg.deploy.executor import bind_checkpoint
from ssdreg.mx import mx
from ssdreg.runs.params import write_params
from ssdreg.runs.run import open_run

SIDE, CLASSES = 128, 3
SHARED = paths.SHARED / "reference"


def resnet18(folder, mode="train", spelling=files.today, **settings):
    symbol = files.example_symbol("resnet18", files.taps_of("resnet18", 16, 32), CLASSES, mode,
                                  **settings)
    return files.write(folder / "ssd_net", symbol, SIDE, spelling)


@pytest.mark.parametrize(("mode", "spelling"), [
    ("train", files.today), ("train", files.version_0_8),
    ("deploy", files.version_0_9), ("deploy", files.version_0_8)])
def test_a_checkpoint_of_any_age_becomes_what_build_makes(tmp_path, mode, spelling):
    checkpoint = resnet18(tmp_path, mode, spelling)
    found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=SIDE, classes=("a", "b", "c"))
    assert found.plan == ssdreg.plan(
        "resnet18", CLASSES, SIDE, num_filters=[-1, -1, 512, 256],
        sizes=[(.2 + .2 * level, .3 + .2 * level) for level in range(4)],
        ratios=[files.RATIOS] * 4)
    assert found.epoch == 3
    assert found.classes == ("a", "b", "c")
    assert found.verification.coverage > .999
    assert not found.complaint
    assert found.kind.startswith({"train": "a training symbol", "deploy": "a deploy symbol"}[mode])
    assert same(found, checkpoint)
    built = ssdreg.assemble(ssdreg.get_backbone("resnet18").symbol(), found.plan)
    assert found.train_symbol.tojson() == built.tojson()


@pytest.mark.parametrize("path", ["ssd_net", "ssd_net-symbol.json", "ssd_net-0003.params"])
def test_prefix_symbol_and_parameters_are_the_same_checkpoint(tmp_path, path):
    resnet18(tmp_path)
    found = ssdreg.load_checkpoint(tmp_path / path, data_shape=(SIDE, SIDE))
    assert found.plan.backbone == "resnet18"
    assert found.epoch == 3
    assert found.classes == ("class0", "class1", "class2")


def test_vgg_tells_its_input_size_by_its_steps(tmp_path):
    steps = tuple(step / 160 for step in (8, 16, 32))
    symbol = files.example_symbol("vgg16_reduced", files.taps_of("vgg16_reduced", 8, 16), 2,
                                  extras=(512,), steps=steps, scale=512)
    checkpoint = files.write(tmp_path / "vgg", symbol, 160, files.version_0_8)
    found = ssdreg.load_checkpoint(checkpoint.prefix)
    assert found.plan.data_shape == (160, 160)
    assert found.plan.head == "ssd"
    assert found.plan.normalizations == (20.0, -1, -1)
    assert found.plan.steps == pytest.approx(steps)
    assert same(found, checkpoint, batch=1)


@pytest.mark.reference
def test_the_published_reference_numbers_come_out(tmp_path):
    file = SHARED / "example-ssd-resnet50-300.json"
    if not file.is_file():
        pytest.skip(f"there is no large reference at {SHARED}")
    reference = json.loads(file.read_text(encoding="utf-8"))
    network = reference_rule.network("resnet50", reference["num_classes"], 300)
    prefix = tmp_path / "net"
    prefix.with_name("net-symbol.json").write_text(files.version_0_8(network.train.tojson()))
    write_params(tmp_path / "net-0001.params",
                 ssdreg.runs.params.Params(*reference_rule.parameters(network)))
    found = ssdreg.load_checkpoint(prefix, data_shape=300)
    data, _ = reference_rule.inputs((300, 300), reference["num_classes"])
    got = files.outputs(found.symbol, found.params, data)[0]
    expected = reference["detection"]
    assert list(got.shape) == expected["shape"]
    assert int((got[..., 0] >= 0).sum()) == reference["valid_detections"]
    sampled = [among_ties(got, index, value)
               for index, value in zip(expected["index"], expected["value"])]
    np.testing.assert_allclose(sampled, expected["value"], atol=1e-4)


def test_the_historic_mistake_loads_and_says_what_was_lost(tmp_path):
    copied = files.taps_of("resnet50", 16, 32)
    symbol = files.example_symbol("resnet101", copied, CLASSES)
    checkpoint = files.write(tmp_path / "net", symbol, SIDE)
    with pytest.warns(ssdreg.CheckpointWarning, match="not the ends of the backbone's stages"):
        found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=SIDE)
    assert found.plan.backbone == "resnet101"
    assert found.plan.taps == copied
    assert found.verification is None
    for right in files.taps_of("resnet101", 16, 32):
        assert repr(right) in found.complaint
    assert "28.0% of the backbone's weights" in found.complaint
    assert "NOT the ends" in found.describe()
    assert same(found, checkpoint, batch=1)


def test_a_right_resnet101_is_not_taken_for_another(tmp_path):
    taps = files.taps_of("resnet101", 16, 32)
    symbol = files.example_symbol("resnet101", taps, CLASSES, "deploy")
    symbol.save(str(tmp_path / "deploy-symbol.json"))
    found = ssdreg.load_checkpoint(tmp_path / "deploy-symbol.json", data_shape=SIDE)
    assert found.plan.backbone == "resnet101"
    assert found.verification.coverage > .999


def test_a_symbol_alone_is_described_and_not_saved(tmp_path):
    symbol = files.example_symbol("resnet18", files.taps_of("resnet18", 16, 32), CLASSES, "deploy")
    symbol.save(str(tmp_path / "net-symbol.json"))
    found = ssdreg.load_checkpoint(tmp_path / "net-symbol.json", data_shape=SIDE)
    assert found.params is None
    assert found.plan.backbone == "resnet18"
    assert found.plan.head == "ssd"
    with pytest.raises(ssdreg.RunError, match="symbol without parameters"):
        found.save(tmp_path / "run")
    with pytest.raises(ssdreg.RunError, match="symbol without parameters"):
        bind_checkpoint(found)
    assert not (tmp_path / "run").exists()


def test_a_training_symbol_without_detections(tmp_path):
    checkpoint = resnet18(tmp_path, "blind")
    found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=SIDE)
    data = files.picture(SIDE)
    probabilities = checkpoint.detections(data)  # its last output is the targets
    assert probabilities.shape == (1, found.plan.anchors)
    theirs = files.outputs(checkpoint.symbol, checkpoint.params, data)[0]
    ours = files.outputs(found.train_symbol, found.params, data)[0]
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


# networks that ssdreg does not build -------------------------------------------------------------


def test_a_network_of_nobody_stays_what_it_is(tmp_path):
    checkpoint = files.write(tmp_path / "own", own_symbol("train", nms_threshold=.4), 64)
    found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=64)
    assert found.plan.backbone == "unknown"
    assert found.plan.head == "checkpoint"
    assert found.plan.from_layers == ("pw3_relu", "pw4_relu", "")
    assert [(level.height, level.channels) for level in found.plan.levels] == [
        (16, 32), (8, 64), (4, 32)]
    assert found.plan.nms_threshold == pytest.approx(.4)
    assert found.verification.coverage > .999
    assert same(found, checkpoint)


def test_a_network_of_nobody_trains_on(tmp_path):
    checkpoint = files.write(tmp_path / "own", own_symbol("deploy"), 64)
    found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=64)
    assert found.train_symbol.list_outputs() == [
        "cls_prob_output", "loc_loss_output", "cls_label_output", "det_out_output"]
    label = -np.ones((2, 4, 5), "float32")
    label[:, 0] = [1, .2, .2, .7, .7]
    executor = found.train_symbol.simple_bind(mx.cpu(), data=(2, 3, 64, 64), label=label.shape)
    executor.copy_params_from(dict(found.params.args), dict(found.params.auxs))
    executor.forward(is_train=True, data=mx.nd.array(files.picture(64, 2)),
                     label=mx.nd.array(label))
    executor.backward()
    for name in ("stem_weight", "behind_conv_weight", "pw3_relu_cls_pred_conv_weight"):
        assert np.abs(executor.grad_dict[name].asnumpy()).max() > 0


def test_settings_that_a_plan_does_not_hold_are_kept(tmp_path):
    checkpoint = resnet18(tmp_path, "deploy", detection={"threshold": .3})
    found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=SIDE)
    assert found.plan.head == "checkpoint"
    scores = files.outputs(found.symbol, found.params, files.picture(SIDE))[0]
    assert scores[scores[..., 0] >= 0][:, 1].min() >= .3
    assert same(found, checkpoint)


def test_taps_inside_a_network_of_nobody_are_named(tmp_path):
    with mx.name.NameManager():
        internals = separable().get_internals()
        features = [internals[f"{name}_output"] for name in ("pw2_relu", "pw4_relu")]
        symbol = files.deploy(*files.example_predictions(features, 2, (), (), None), {})
    checkpoint = files.write(tmp_path / "own", symbol, 64)
    with pytest.warns(ssdreg.CheckpointWarning, match="'pw2_relu' is not the end of its stage"):
        found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=64)
    assert same(found, checkpoint)


# runs --------------------------------------------------------------------------------------------


def test_what_is_saved_is_a_run(tmp_path):
    checkpoint = resnet18(tmp_path)
    found = ssdreg.load_checkpoint(checkpoint.prefix, data_shape=SIDE, classes=["a", "b", "c"])
    run = found.save(tmp_path / "run")
    again = open_run(tmp_path / "run")
    assert again == run
    assert again.plan == found.plan
    assert again.epochs() == (3,)
    mx_symbol, args, auxs = mx.model.load_checkpoint(str(tmp_path / "run" / "ssd"), 3)
    assert mx_symbol.list_arguments() == found.train_symbol.list_arguments()
    assert set(args) == set(checkpoint.params.args)
    assert set(auxs) == set(checkpoint.params.auxs)
    with pytest.raises(ssdreg.RunError, match="already holds a run"):
        found.save(tmp_path / "run")
    loaded = ssdreg.load_checkpoint(tmp_path / "run")
    assert loaded.classes == ("a", "b", "c")
    assert loaded.verification.coverage > .999
    assert same(loaded, checkpoint)
    assert bind_checkpoint(loaded).detect(mx.nd.array(files.picture(SIDE))).shape == (
        1, found.plan.anchors, 6)
