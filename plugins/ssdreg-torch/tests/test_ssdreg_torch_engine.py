"""PyTorch as an engine of ssdreg: runs trained, gone on with, evaluated, and what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import shutil

import attrs
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import ssdreg  # noqa: E402
from ssdreg.cli.main import main  # noqa: E402
from ssdreg.data.synthetic import write_shapes  # noqa: E402
from ssdreg.deploy.model import open_deploy_model  # noqa: E402
from ssdreg.engines.choice import choose_engine  # noqa: E402
from ssdreg.errors import DependencyError, ModelError, RunError  # noqa: E402
from ssdreg.exporting.parity import compare  # noqa: E402
from ssdreg.quantization import quantize_mxnet  # noqa: E402
from ssdreg.registry.device import Device  # noqa: E402
from ssdreg.testing import EngineExamination, EngineSubject, conformance  # noqa: E402
from ssdreg.training import state  # noqa: E402
from ssdreg.training.options import OPTIMIZERS  # noqa: E402

SIDE, BATCH = 64, 8
DETECTOR = {"backbone": "resnet18", "data_shape": SIDE, "tap_strides": (8, 16),
            "pretrained": False, "batch_size": BATCH}

pytestmark = pytest.mark.filterwarnings("ignore::ssdreg.DetectorWarning")

test_conformance = conformance("ssdreg-torch")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, 2 * BATCH, 6, (SIDE, SIDE))
    return folder


@pytest.fixture(scope="module")
def examination():
    """What trains a small detector for a few steps by either engine."""
    return EngineExamination(EngineSubject("ssdreg-torch", ssdreg.get_engine("torch")))


def train(shapes, out, **options):
    told = []
    result = ssdreg.train(data=shapes, out=out, progress=told.append, **{**DETECTOR, **options})
    return result, "\n".join(map(str, told))


def command(*arguments):
    """Return the status of a command and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main([str(argument) for argument in arguments])
    return status, printed.getvalue()


def values(params):
    return {name: array.asnumpy() for name, array in {**params.args, **params.auxs}.items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name])
                                              for name in one)


@pytest.fixture(scope="module")
def runs(shapes, tmp_path_factory):
    """A run of each engine, the same but for that."""
    folder = tmp_path_factory.mktemp("runs")
    return {engine: train(shapes, folder / engine, engine=engine, epochs=2, precision="float32"
                          )[0].run for engine in ("mxnet", "torch")}


# Train

def test_it_is_chosen_where_it_is_installed(shapes, tmp_path):
    result, told = train(shapes, tmp_path / "run", epochs=1)
    precision = choose_engine().precision("auto")
    assert (f"computed by torch on cpu in {precision}, which is installed; --engine mxnet is "
            f"another") in told
    assert state.load(result.run).engine == "torch"


def test_both_engines_start_alike_and_stay_near(runs):
    mine, right = runs["torch"].log(), runs["mxnet"].log()
    assert mine[0].cls_loss == pytest.approx(right[0].cls_loss, rel=1e-3)
    assert mine[0].loc_loss == pytest.approx(right[0].loc_loss, rel=1e-3)
    assert mine[1].cls_loss == pytest.approx(right[1].cls_loss, rel=0.1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_of_every_optimizer_is_mxnets(examination, optimizer):
    """With a rate for the head of its own, and weights that decay."""
    lesson = examination.lesson(optimizer=optimizer, head_lr=3.0, wd=0.1)
    changes = []
    for engine in (examination.engine, ssdreg.get_engine("mxnet")):
        learner = examination.learner(lesson, engine)
        examination.steps(learner, 1)
        after = values(learner.params())
        changes.append({name: after[name] - before
                        for name, before in values(examination.start).items()})
    # Adam and LAMB make steps of one size of any gradient, of one that is rounding too
    most = 0.05 if optimizer in ("sgd", "nag") else 0.4
    for name, right in changes[1].items():
        if name == "bn_data_gamma":  # a scale that is 1 whatever it holds; MXNet lets it decay
            continue
        distance = np.linalg.norm(changes[0][name] - right)
        assert distance <= most * np.linalg.norm(right) + 1e-6, name


def test_a_resumed_run_is_the_same_run(shapes, tmp_path):
    whole, _ = train(shapes, tmp_path / "whole", engine="torch", epochs=3, lr_steps=(9,))
    train(shapes, tmp_path / "parts", engine="torch", epochs=1, lr_steps=(9,))
    parts = ssdreg.resume(tmp_path / "parts", epochs=3)
    assert same(values(whole.run.load_params(3)), values(parts.run.load_params(3)))


@pytest.mark.parametrize(("first", "second"), [("torch", "mxnet"), ("mxnet", "torch")])
def test_what_one_engine_begins_the_other_finishes(runs, shapes, tmp_path, first, second):
    folder = shutil.copytree(runs[first].path, tmp_path / "run")
    status, printed = command("train", "--resume", "--out", folder, "--engine", second, "--epochs",
                              3)
    assert status == 0
    assert f"computed by {second} on cpu in" in printed
    assert state.load(runs[first]).engine == first
    log = ssdreg.resume(folder).epochs
    assert [epoch.epoch for epoch in log] == [1, 2, 3]
    # it goes on, and does not begin anew
    assert log[2].cls_loss < log[0].cls_loss


@pytest.mark.parametrize("trained", ["torch", "mxnet"])
def test_both_evaluate_a_run_to_the_same_figures(runs, trained):
    figures = [json.loads(command("eval", runs[trained].path, "--engine", engine, "--json")[1])
               for engine in ("torch", "mxnet")]
    assert [each["backend"] for each in figures] == ["torch", "mxnet"]
    for name in ("map", "map_07"):
        assert figures[0][name] == pytest.approx(figures[1][name], abs=1e-4)


def test_the_logged_map_is_that_of_the_saved_parameters(runs):
    logged = runs["torch"].log()[-1].map
    assert ssdreg.evaluate(runs["torch"].path, epoch=2, backend="torch").map == pytest.approx(
        logged, abs=1e-6)


def test_what_is_frozen_stays(shapes, tmp_path):
    start, _ = train(shapes, tmp_path / "start", engine="torch", epochs=1)
    frozen, _ = train(shapes, tmp_path / "frozen", engine="torch", epochs=1, freeze_norm=True,
                      freeze_stages=2, pretrained=tmp_path / "start")
    before, after = (values(result.run.load_params(1)) for result in (start, frozen))
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert not {name for name in moved if name.startswith(("conv0", "bn0", "stage1"))}
    assert not any("moving" in name for name in moved)
    assert any(name.startswith("stage3") for name in moved)


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_parameters_are_float32_whatever_computes(shapes, tmp_path, precision):
    result, told = train(shapes, tmp_path / "run", engine="torch", epochs=1, precision=precision)
    assert f"in {precision}, as asked for" in told
    assert {array.dtype for array in values(result.run.load_params(1)).values()} == {
        np.dtype("float32")}
    assert {array.dtype for array in state.load(result.run).optimizer.values()} == {np.float32}


def test_several_devices_learn_from_the_mean_of_their_parts(examination):
    """As MXNet's learn: normalisations look at their part alone, and moments are averaged."""
    lesson = attrs.evolve(examination.lesson(), devices=(Device("cpu"),) * 3)
    learners = [examination.learner(lesson, engine)
                for engine in (examination.engine, ssdreg.get_engine("mxnet"))]
    sums = [examination.steps(learner, 1)[0] for learner in learners]
    assert attrs.astuple(sums[0]) == pytest.approx(attrs.astuple(sums[1]), rel=1e-3)
    mine, right = (values(learner.params()) for learner in learners)
    start = values(examination.start)
    for name in right:
        change = np.linalg.norm(right[name] - start[name])
        assert np.linalg.norm(mine[name] - right[name]) <= 0.1 * change + 1e-5, name


# Detect

def test_a_detector_runs_any_number_of_images(runs):
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    detector = ssdreg.Detector(runs["torch"].path, backend="torch", threads=1)
    assert detector.backend == "torch"
    together = detector._backend.run(images)
    alone = np.concatenate([detector._backend.run(image[None]) for image in images])
    assert compare(together, alone).equal
    narrow = ssdreg.Detector(runs["torch"].path, backend="torch", precision="bfloat16")
    assert narrow.precision == "bfloat16"


def test_what_is_quantized_is_not_for_it(runs):
    model = open_deploy_model(runs["torch"].path)
    pixels = list(np.random.default_rng(0).integers(0, 256, (2, 1, SIDE, SIDE, 3), np.uint8))
    with pytest.raises(ModelError, match="was made for MXNet in int8: use the backend mxnet"):
        ssdreg.Detector(quantize_mxnet(model, pixels, []), backend="torch")


# Refuse

def test_what_it_cannot_compute_in_or_on_is_said(runs, shapes, tmp_path):
    with pytest.raises(DependencyError, match="the engine torch cannot compute on cuda:9: PyTorch "
                                              "sees"):
        train(shapes, tmp_path / "run", engine="torch", device="cuda:9")
    with pytest.raises(RunError, match="--precision float16: the engine torch trains in"):
        train(shapes, tmp_path / "run", engine="torch", precision="float16")
    with pytest.raises(ModelError, match="bfloat16 or float16 by PyTorch, not in int8"):
        ssdreg.Detector(runs["torch"].path, backend="torch", precision="int8")
    assert not (tmp_path / "run").exists()

