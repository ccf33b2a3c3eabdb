"""`--ray` beside other options: what is refused, before Ray is looked for."""

from __future__ import annotations

from importlib.util import find_spec

import onnx
import pytest
from PIL import Image
from runtime_support.tiny_model import tiny_model
from ssdreg_runtime.backends import installed
from ssdreg_runtime.cli.main import main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(tiny_model(), "tiny.onnx")
    Image.new("RGB", (8, 8)).save("a.png")

    def run(*words):
        status = main(list(words))
        return status, capsys.readouterr().err
    return run


@pytest.mark.parametrize(("words", "said"), [
    ("--ray local --json --track", "--json, --track cannot be had with --ray"),
    ("--ray local --hide-scores", "--hide-scores cannot be had with --ray"),
    ("--ray local --workers 0", "--workers 0 detect nothing: give 1 or more"),
    ("--workers 2", "--format and --workers are of --ray ADDRESS"),
    ("--workers 0", "--format and --workers are of --ray ADDRESS"),
    ("--format jsonl --json", "--format and --workers are of --ray ADDRESS")])
def test_what_does_not_go_together_is_refused(call, words, said):
    status, told = call("tiny.onnx", "a.png", *words.split())
    assert status == 2
    assert told.startswith(f"ssdreg-detect: {said}")


def test_a_run_is_no_exported_detector(call):
    assert call("runs/first", "a.png", "--ray", "local") == (
        2, "ssdreg-detect: runs/first is no exported detector, which --ray needs: `ssdreg export "
           "runs/first` writes one\n")


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_the_extra_is_named_where_ray_is_missing(call):
    status, told = call("tiny.onnx", "a.png", "--ray", "local")
    assert status == 2
    assert told.startswith("ssdreg-detect: detecting on Ray needs its data library, which is not "
                           "installed here: run `pip install 'ray[data]")


@pytest.mark.skipif(find_spec("ray") is None or not installed(),
                    reason="Ray or a backend is not installed")
@pytest.mark.parametrize(("words", "said"), [
    ("--threshold 2", "--threshold 2 is no score"), ("--threads 0", "0 is no number of threads"),
    ("--only cat", "--only cat: the detector has no class of that name"),
    ("--device cuda:1", "--device cuda:1 cannot be chosen on a cluster")])
def test_what_makes_no_detector_is_told_before_ray_starts(call, words, said):
    status, told = call("tiny.onnx", "a.png", "--ray", "local", *words.split())
    assert (status, told[:len(said) + 15]) == (2, f"ssdreg-detect: {said}")
