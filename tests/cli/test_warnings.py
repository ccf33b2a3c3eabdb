"""What is warned of is a sentence in every command, whatever Python does with warnings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import checkpoints as files
from support.runs import command

SIDE = 64
#: The taps of another depth: the detector that the blog post was about.
SENTENCE = "ssdreg: warning: "
COMPLAINT = "these taps are not the ends of the backbone's stages"


@pytest.fixture(scope="module")
def flawed(tmp_path_factory):
    """A checkpoint of a detector whose taps lie inside its network."""
    folder = tmp_path_factory.mktemp("flawed")
    symbol = files.example_symbol("resnet34", files.taps_of("resnet18", 16, 32), 3, "deploy")
    files.write(folder / "net", symbol, SIDE)
    return folder / "net"


def sentences(errors):
    return [line for line in errors.splitlines() if COMPLAINT in line]


@pytest.fixture(params=["import", "predict", "eval", "export", "quantize", "bench"])
def arguments(request, flawed, tiny_shapes, tmp_path):
    """A command that reads the checkpoint."""
    image = min((tiny_shapes / "JPEGImages").iterdir())
    shape = ("--data-shape", SIDE)
    return [request.param, *{
        "import": (flawed, *shape),
        "predict": (flawed, *shape, image, "--out", tmp_path, "--backend", "mxnet"),
        "eval": (flawed, *shape, "--data", tiny_shapes, "--backend", "mxnet"),
        "export": (flawed, *shape, "--out", tmp_path / "net.onnx"),
        "quantize": (flawed, *shape, "--data", tiny_shapes, "--no-eval", "--calibration-images", 2,
                     "--classes", "circle,square,triangle", "--out", tmp_path / "net.onnx"),
        "bench": (flawed, *shape, "--rounds", 1, "--no-peak", "--backends", "mxnet",
                  "--precisions", "float32"),
    }[request.param]]


def test_a_flawed_checkpoint_is_told_of_in_a_sentence(arguments, capsys):
    done = command(capsys, *arguments)
    told = sentences(done.err)
    assert told, done.err
    assert all(line.startswith(SENTENCE) for line in told)
    assert "Warning:" not in done.err


@pytest.mark.parametrize("setting", ["error", "ignore"])
def test_whatever_python_does_with_warnings(flawed, setting):
    done = subprocess.run(
        [sys.executable, "-m", "ssdreg", "import", str(flawed), "--data-shape", str(SIDE)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONWARNINGS": setting})
    assert done.returncode == 0, done.stderr
    assert [line.startswith(SENTENCE) for line in sentences(done.stderr)] == [True]
    assert "Traceback" not in done.stderr
