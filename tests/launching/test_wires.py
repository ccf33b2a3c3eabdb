"""What two workers send gradients in: each choice trains, and what it may cost."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ssdreg.cli.main import main
from ssdreg.data.synthetic import write_shapes
from ssdreg.errors import SsdregError
from ssdreg.runs.log import read_log
from ssdreg.runs.params import read_params
from ssdreg.runs.run import open_run
from ssdreg.training import state
from ssdreg.training.choices import recipe

SIDE, BATCH = 64, 8
OPTIONS = ("--engine", "mxnet", "--backbone", "resnet18", "--data-shape", SIDE, "--tap-strides",
           "8,16", "--batch-size", BATCH, "--precision", "float32", "--freeze-stages", 0,
           "--optimizer", "sgd", "--lr", "1e-3")


def launched(*training):
    job = subprocess.run([sys.executable, "-m", "ssdreg", "launch", "--workers", "2", "--",
                          *map(str, training)], text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
                         timeout=300, check=False)
    assert job.returncode == 0, job.stdout
    return job.stdout


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, 4 * BATCH, 6, (SIDE, SIDE))
    return folder


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    """Two epochs of four steps from the same parameters, by choice; in float32 by one process.

    That two of them, which send float32, come to the same is tested with what starts them.
    """
    folder = tmp_path_factory.mktemp("runs")
    start = folder / "start"
    assert main(list(map(str, ("train", *OPTIONS, "--data", shapes, "--out", start, "--epochs", 1,
                               "--no-pretrained")))) == 0
    recipe = ("train", *OPTIONS, "--data", shapes, "--pretrained", start, "--freeze-norm",
              "--augment", "none", "--epochs", 2, "--validate-every", 9, "--average", 0)
    assert main(list(map(str, (*recipe, "--out", folder / "float32")))) == 0
    for wire in ("float16", "2bit"):
        printed = launched(*recipe, "--out", folder / wire, "--wire", wire)
        assert "by 2 processes" in printed
    return folder


def values(run, epoch=2):
    return {name: array.asnumpy()
            for name, array in read_params(run / f"ssd-{epoch:04d}.params").args.items()}


@pytest.mark.slow
def test_float16_stays_near_float32(trained):
    exact, half = values(trained / "float32"), values(trained / "float16")
    before = values(trained / "start", epoch=1)
    moved = max(np.abs(before[name] - array).max() for name, array in exact.items())
    apart = max(np.abs(array - half[name]).max() for name, array in exact.items())
    assert 0 < apart <= 1e-2 * moved


@pytest.mark.slow
def test_2bit_learns_and_goes_on_with_its_choice(trained, shapes):
    run = trained / "2bit"
    losses = [epoch.cls_loss for epoch in read_log(run / "log.csv")]
    assert losses[1] < losses[0]
    assert state.load_options(open_run(run)).wire == "2bit"
    printed = launched("train", "--resume", "--out", run, "--epochs", 3)
    assert "had not sent yet" in printed
    assert read_log(run / "log.csv")[-1].epoch == 3
    # a process by itself has nobody to send anything to
    assert main(["train", "--resume", "--out", str(run), "--epochs", "4"]) == 0


def test_what_an_engine_does_not_send_is_refused(shapes, tmp_path, capsys):
    assert main(list(map(str, ("train", *OPTIONS, "--data", shapes, "--out", tmp_path / "run",
                               "--wire", "bfloat16")))) == 2
    assert ("--wire bfloat16: processes of the engine mxnet send gradients in float32 or float16 "
            "or 2bit") in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(SsdregError, match="wire"):
        recipe({"wire": "float8"})
