"""Processes that torchrun starts: they train as one would, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import attrs  # noqa: E402
import tiny_training  # noqa: E402
from in_processes import (  # noqa: E402
    TOGETHER,
    begun,
    command,
    printed_by,
    train_together,
    written_shapes,
)

from ssdreg.cli.main import main  # noqa: E402
from ssdreg.engines.processes import Processes, started_together  # noqa: E402
from ssdreg.errors import RunError  # noqa: E402
from ssdreg.registry.device import Device  # noqa: E402
from ssdreg.runs.params import read_params  # noqa: E402


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return written_shapes(tmp_path_factory.mktemp("data") / "shapes")


def train_here(**given):
    """Train to the end in this process, which has imported PyTorch already."""
    return main(list(map(str, command(**given))))


@pytest.fixture(scope="module")
def start(shapes, tmp_path_factory):
    """A run to start from, whose running moments are those of pictures."""
    run = tmp_path_factory.mktemp("start") / "run"
    assert train_here(data=shapes, out=run, epochs=2, no_pretrained=True, validate_every=2) == 0
    return run


def values(run, epoch=5):
    params = read_params(run / f"ssd-{epoch:04d}.params")
    return {name: array.asnumpy() for name, array in {**params.args, **params.auxs}.items()}


def of_learning(arrays):
    return {name: array for name, array in arrays.items() if "_moving_" not in name}


@pytest.mark.parametrize("norm", ["freeze_norm", "sync_norm"])
def test_two_processes_train_as_one_with_the_whole_batch(norm, shapes, start, tmp_path):
    """Twenty steps, with pictures augmented."""
    recipe = {"data": shapes, "pretrained": start, "epochs": 5, "validate_every": 5,
              "optimizer": "sgd", "lr": 1e-3, norm: True}
    assert train_here(out=tmp_path / "one", **recipe) == 0
    status, printed = train_together(out=tmp_path / "two", wire="float32", **recipe)
    assert status == 0, printed
    assert printed.count("0 threads are left") == 2, printed
    assert "by 2 processes" in printed
    assert printed.count("epoch   5") == 1
    one, two = (of_learning(values(tmp_path / name)) for name in ("one", "two"))
    before = values(start, 2)
    for name, array in one.items():
        assert np.abs(array - two[name]).max() <= 1e-4, name
    assert max(np.abs(array - before[name]).max() for name, array in one.items()) > 1e-3


def test_gradients_sent_as_bfloat16_stay_near_float32(shapes, start, tmp_path):
    """Eight steps, by one process in float32; bfloat16 rounds a gradient by up to 0.4 %."""
    recipe = {"data": shapes, "pretrained": start, "epochs": 2, "validate_every": 2,
              "optimizer": "sgd", "lr": 1e-3, "freeze_norm": True, "average": 0}
    assert train_here(out=tmp_path / "float32", **recipe) == 0
    status, printed = train_together(out=tmp_path / "bfloat16", wire="bfloat16", **recipe)
    assert status == 0, printed
    assert printed.count("0 threads are left") == 2, printed
    exact, rounded = (of_learning(values(tmp_path / wire, 2)) for wire in ("float32", "bfloat16"))
    before = of_learning(values(start, 2))
    moved = max(np.abs(array - before[name]).max() for name, array in exact.items())
    apart = max(np.abs(array - rounded[name]).max() for name, array in exact.items())
    assert 0 < apart <= 1e-2 * moved


@pytest.fixture(scope="module")
def in_two_processes(tmp_path_factory):
    """What two processes learnt: a file for each case of `tiny_training`."""
    folder = tmp_path_factory.mktemp("two")
    process = begun(*TOGETHER, tiny_training.__file__, folder)
    printed = printed_by(process)
    assert process.returncode == 0, printed
    return folder


@pytest.mark.parametrize("case", tiny_training.CASES, ids=lambda case: case.name)
def test_every_head_and_loss_is_trained_as_by_one(case, in_two_processes):
    """Twenty steps; with the moments of the whole batch where none are frozen."""
    losses, params = tiny_training.trained(attrs.evolve(case, compile="off"))
    two = np.load(in_two_processes / f"{case.name}.npz")
    assert two["losses_of_steps"] == pytest.approx(losses, rel=1e-4)
    start = tiny_training.started(case)
    moved = max(np.abs(array - start[name]).max() for name, array in params.items())
    for name, array in of_learning(params).items():
        assert np.abs(array - two[name]).max() <= 1e-3 * moved, name


@pytest.mark.parametrize(("options", "sentence"), [
    ({"engine": "mxnet"}, "2 processes cannot find each other: DMLC_ROLE, DMLC_PS_ROOT_URI, "
                          "DMLC_PS_ROOT_PORT, DMLC_NUM_WORKER, DMLC_NUM_SERVER are not in the "
                          "environment; start them by `ssdreg launch`"),
    ({"batch_size": 7}, "a batch of 7 cannot be divided among 2 processes: choose a multiple of "
                        "2")])
def test_what_several_processes_cannot_do_is_refused(options, sentence, shapes, tmp_path,
                                                     monkeypatch, capfd):
    """It is refused before they are connected: the first one needs no second."""
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2,
                        "TORCHELASTIC_RUN_ID": "a job"}.items():
        monkeypatch.setenv(name, str(value))
    assert train_here(data=shapes, out=tmp_path / "run", no_pretrained=True, **options) != 0
    assert sentence in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_all_processes_refuse_is_told_once(shapes, tmp_path):
    status, printed = train_together(data=shapes, out=tmp_path / "run", no_pretrained=True,
                                     batch_size=7)
    assert status != 0
    assert printed.count("a batch of 7 cannot be divided among 2 processes") == 1


def test_where_a_process_stands_is_read_from_the_environment():
    assert started_together({}) == Processes()
    found = started_together({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1",
                              "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "a job",
                              "TORCHELASTIC_RESTART_COUNT": "2"})
    assert found == Processes(rank=3, count=4, local_rank=1, local_count=2, job="a job",
                              restarts=2)
    for environment in ({"RANK": "4", "WORLD_SIZE": "4"}, {"RANK": "x", "WORLD_SIZE": "4"}):
        with pytest.raises(RunError, match="torchrun"):
            started_together(environment)


def test_each_process_has_a_gpu():
    second = Processes(rank=1, count=2, local_rank=1, local_count=2)
    assert second.own_devices((Device("cuda"),)) == (Device("cuda", 1),)
    assert second.own_devices((Device("cuda", 5), Device("cuda", 2))) == (Device("cuda", 2),)
    assert second.own_devices((Device("cpu"),)) == (Device("cpu"),)
    with pytest.raises(RunError, match="one process for each GPU"):
        second.own_devices((Device("cuda"), Device("cuda", 1), Device("cuda", 2)))
    with pytest.raises(RunError, match="cannot train together on mps"):
        second.own_devices((Device("mps"),))
