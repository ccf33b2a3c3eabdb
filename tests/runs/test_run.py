"""The run folder: what is written is what is read, and what cannot be read says why."""

from __future__ import annotations

import json
import shutil

import attrs
import numpy as np
import pytest
from ssdreg_runtime.system.files import replacing, write_json
from support.runs import SMALL

import ssdreg
from ssdreg.deploy.executor import Inference, open_inference
from ssdreg.errors import RunError
from ssdreg.mx import mx
from ssdreg.runs.log import write_log
from ssdreg.runs.params import Params, read_params, write_params
from ssdreg.runs.run import create_run, open_run

SYMBOL = mx.sym.Variable("data")


@pytest.fixture
def copied(tmp_path, tiny_run):
    """A copy of the run that a test may damage."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def rewrite(run, **changes):
    file = run / "config.json"
    write_json(file, {**json.loads(file.read_text()), **changes})


# config.json

@pytest.mark.parametrize(("backbone", "shape", "overrides"), [
    ("resnet18", 64, {"tap_strides": (8, 16)}),
    ("vgg16_reduced", 300, {}),
    ("resnet50", (256, 448), {"loss": "focal", "nms_topk": -1, "variances": (0.1, 0.1, 0.3, 0.3),
                              "preprocessing": ssdreg.Preprocessing((1, 2, 3), (4, 5, 6))}),
    ("inceptionv3", 300, {"steps": [0.1, (0.1, 0.2), 0.3, 0.4, 0.5, 1], "force_suppress": True}),
])
def test_a_plan_is_read_as_it_was_written(tmp_path, backbone, shape, overrides):
    plan = ssdreg.plan(backbone, 2, shape, **overrides)
    create_run(tmp_path / "run", ("a", "Bäume"), plan, SYMBOL, SYMBOL)
    found = open_run(tmp_path / "run")
    assert found.plan == plan
    assert found.classes == ("a", "Bäume")
    # equal, and hashable as only tuples are: == holds between 1 and 1.0, not between () and []
    assert hash(found.plan) == hash(plan)
    assert attrs.astuple(found.plan, recurse=False) == attrs.astuple(plan, recurse=False)


def test_a_folder_that_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match=r"is no run: it has no config\.json; give the folder"):
            open_run(folder)


@pytest.mark.parametrize(("text", "reason"), [
    ("{", "JSONDecodeError"), ("[]", "TypeError"), ("{}", "KeyError: 'format'"),
    ('{"format": 1, "classes": ["a"]}', "KeyError: 'plan'"),
    ('{"format": 1, "classes": ["a"], "plan": {"head": "ssd"}}', "'backbone'"),
    ('{"model_type": "bert"}', "KeyError: 'format'"),
])
def test_foreign_json(tmp_path, text, reason):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json is not what `ssdreg train` wrote: ") as error:
        open_run(tmp_path)
    assert reason in str(error.value)


@pytest.mark.parametrize(("field", "value"), [
    ("nms_threshold", "a lot"), ("nms_threshold", 7), ("nms_threshold", None), ("nms_topk", 0),
    ("nms_topk", 2.5), ("force_suppress", "no"), ("variances", [0.1, 0.2]),
    ("variances", [0.1, 0.1, -0.2, 0.2]), ("variances", "many"), ("num_classes", 0),
    ("num_classes", "two"), ("data_shape", [64]), ("data_shape", -64), ("loss", 3),
    ("preprocessing", 5), ("sizes", []), ("sizes", [[0.1, -0.2]] * 4), ("ratios", [[1.0]]),
    ("ratios", [[float("nan")]] * 4), ("normalizations", [0] * 4), ("steps", [[1, 2, 3]] * 4),
    ("strides", [2, 2, 2, 2]), ("pads", ["x"] * 4), ("num_filters", [1.5] * 4),
    ("projections", [0] * 4), ("from_layers", ["", "stage", "", ""]),
])
def test_an_edited_plan_is_refused_as_an_argument_is(copied, field, value):
    stated = json.loads((copied / "config.json").read_text())["plan"]
    arguments = {name: stated[name] for name in ("num_classes", "data_shape")}
    with pytest.raises(ssdreg.PlanError) as argument:
        ssdreg.plan(SMALL, **{**arguments, "tap_strides": (8, 16), field: value})
    rewrite(copied, plan={**stated, field: value})
    with pytest.raises(RunError) as edited:
        open_run(copied)
    assert str(edited.value) == (f"{copied / 'config.json'} is not what `ssdreg train` wrote: "
                                 f"{argument.value}")


@pytest.mark.parametrize(("changes", "reason"), [
    ({"backbone": ""}, "backbone must be the name of a backbone"),
    ({"levels": []}, "levels has 0 entries, but from_layers has 4"),
    ({"colour": "red"}, "'colour'"),
])
def test_what_only_a_file_can_say_wrong(copied, changes, reason):
    stated = json.loads((copied / "config.json").read_text())["plan"]
    rewrite(copied, plan={**stated, **changes})
    with pytest.raises(RunError, match="is not what `ssdreg train` wrote") as error:
        open_run(copied)
    assert reason in str(error.value)


def test_a_run_of_a_newer_version(copied):
    rewrite(copied, format=99, ssdreg="8.1")
    with pytest.raises(RunError, match=r"written by ssdreg 8\.1, newer than .*: upgrade ssdreg"):
        open_run(copied)


def test_a_run_is_created_once(tmp_path):
    plan = ssdreg.plan("resnet18", 2, 64, tap_strides=(8, 16))
    create_run(tmp_path, ("a", "b"), plan, SYMBOL, SYMBOL)
    with pytest.raises(RunError, match="already holds a run"):
        create_run(tmp_path, ("c", "d"), plan, SYMBOL, SYMBOL)
    assert open_run(tmp_path).classes == ("a", "b")


# Epochs

def test_the_best_epoch(copied, tiny_run):
    run = open_run(copied)
    entry = open_run(tiny_run).log()[0]
    maps = {1: 0.1, 2: 0.5, 3: float("nan"), 4: 0.5, 5: 0.3}
    for epoch in (2, 3, 4, 5):
        shutil.copy(run.params_file(1), run.params_file(epoch))
    shutil.copy(run.params_file(1), copied / "ssd-0005-step000002.params")
    write_log(run.log_file, [attrs.evolve(entry, epoch=epoch, map=value, coco=None)
                             for epoch, value in maps.items()])
    assert run.epochs() == (1, 2, 3, 4, 5)
    assert run.best_epoch() == 2  # the first of two that are equally good
    run.params_file(2).unlink()
    assert run.best_epoch() == 4
    for epoch in (1, 4, 5):
        run.params_file(epoch).unlink()
    assert run.best_epoch() == 3  # no validation among what is left: the last


def test_without_a_log_the_last_epoch_is_the_best(copied):
    run = open_run(copied)
    run.log_file.unlink()
    shutil.copy(run.params_file(1), run.params_file(12345))
    assert run.best_epoch() == 12345


def test_without_parameters_there_is_no_epoch(copied):
    run = open_run(copied)
    run.params_file(1).unlink()
    with pytest.raises(RunError, match=r"has not finished an epoch yet; let it run on with"):
        run.best_epoch()
    with pytest.raises(RunError, match=r"ssd-0001\.params is not there: .* on disk are none"):
        run.load_params(1)


# Symbols and parameters

def test_mxnets_own_loader_reads_a_run(tiny_run):
    symbol, args, auxs = mx.model.load_checkpoint(str(tiny_run / "ssd"), 1)
    assert symbol.list_outputs() == ["cls_prob_output", "loc_loss_output", "cls_label_output",
                                     "det_out_output"]
    assert set(args) == set(symbol.list_arguments()) - {"data", "label"}
    assert set(auxs) == set(symbol.list_auxiliary_states())
    found = open_run(tiny_run).load_params(1)
    for name, array in found.args.items():
        assert np.array_equal(array.asnumpy(), args[name].asnumpy())


def test_a_missing_or_broken_symbol(copied):
    run = open_run(copied)
    (copied / "deploy-symbol.json").write_text('{"nodes": [')
    with pytest.raises(RunError, match=r"deploy-symbol\.json is no symbol of MXNet, or it is trun"):
        run.load_symbol()
    (copied / "deploy-symbol.json").unlink()
    with pytest.raises(RunError, match=r"deploy-symbol\.json is missing from the run"):
        run.load_symbol()
    assert run.load_symbol("ssd").list_outputs()[0] == "cls_prob_output"


@pytest.mark.parametrize("keep", [0, 10, 5000, -1])
def test_truncated_parameters(copied, keep):
    file = open_run(copied).params_file(1)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"ssd-0001\.params is no parameter file of MXNet, or it is"):
        read_params(file)


def test_parameters_without_names(tmp_path):
    mx.nd.save(str(tmp_path / "a.params"), [mx.nd.zeros((2,))])
    with pytest.raises(RunError, match="holds arrays without names"):
        read_params(tmp_path / "a.params")


def test_parameters_as_gluon_names_them_are_arguments(tmp_path):
    mx.nd.save(str(tmp_path / "a.params"), {"conv0_weight": mx.nd.ones((2,))})
    found = read_params(tmp_path / "a.params")
    assert (list(found.args), list(found.auxs)) == (["conv0_weight"], [])


def test_parameters_of_another_network(tiny_run):
    run = open_run(tiny_run)
    params = run.load_params()
    lacking = {name: array for name, array in params.args.items() if name != "conv0_weight"}
    with pytest.raises(RunError, match="lacks 1 of the symbol's parameters, 'conv0_weight' among"):
        Inference(run.load_symbol(), Params(lacking, params.auxs), 1, (64, 64))
    reshaped = {**params.args, "conv0_weight": mx.nd.zeros((64, 3, 3, 3))}
    with pytest.raises(RunError, match=r"'conv0_weight' has the shape \(64, 3, 3, 3\) in the par"):
        Inference(run.load_symbol(), Params(reshaped, params.auxs), 1, (64, 64))


def test_parameters_are_read_as_they_were_written(tmp_path):
    file = tmp_path / "a.params"
    write_params(file, Params({"w": mx.nd.array([1.5, -2])}, {"m": mx.nd.array([3])}))
    found = read_params(file)
    assert found.args["w"].asnumpy().tolist() == [1.5, -2]
    assert found.auxs["m"].asnumpy().tolist() == [3]
    assert [each.name for each in tmp_path.iterdir()] == ["a.params"]


def test_an_epoch_may_be_chosen(copied):
    run = open_run(copied)
    params = run.load_params(1)
    zero = {name: mx.nd.zeros(array.shape) for name, array in params.args.items()}
    write_params(run.params_file(2), Params(zero, params.auxs))
    image = mx.nd.ones((1, 3, 64, 64))
    scores = [open_inference(run, epoch=epoch).detect(image)[0, :, 1].max() for epoch in (1, 2)]
    assert scores[1] == pytest.approx(0.25)  # four classes, all alike
    assert scores[0] != pytest.approx(0.25)


# Files

def test_replacing_leaves_the_old_file_on_an_error(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail():
        with replacing(file) as beside:
            beside.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "old")]


def test_replacing_keeps_the_extension_and_replaces(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with replacing(file) as beside:
        assert (beside.parent, beside.suffix) == (tmp_path, ".txt")
        beside.write_text("new")
        assert file.read_text() == "old"
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "new")]
