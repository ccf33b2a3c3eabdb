"""Commands whose output goes to a file: plain lines, no carriage returns, nothing between."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.runs import DETECTOR

#: Calls the command line with lines that come as often as the first argument says.
OFTEN = """
import sys
from ssdreg_runtime.system import progress
progress.LINE_INTERVAL = float(sys.argv[1])
from ssdreg.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
HOW_FAR = (r"\d[\d,]* of \d[\d,]* {unit} \(\d+%\), "
           r"(\d[\d.,]* {unit}/s, \d+:\d\d left|\d+:\d\d so far)")
EPOCH = r"epoch   \d +[\d.]+ img/s  cls [\d.]+  loc [\d.]+  mAP [\d.]+  [\d.]+ (s|min|h)"


@pytest.fixture
def log(tmp_path):
    """Run a command into a file, as a queue does, and return the file's lines."""
    def run(*command: object) -> list[str]:
        file = tmp_path / "job.log"
        with file.open("wb") as stream:
            done = subprocess.run(list(map(str, command)), cwd=tmp_path, stdin=subprocess.DEVNULL,
                                  stdout=stream, stderr=subprocess.STDOUT, check=False)
        content = file.read_bytes()
        assert done.returncode == 0, content.decode()
        assert b"\r" not in content
        assert b"\033" not in content
        return content.decode().splitlines()

    return run


def matching(lines, pattern):
    return [line for line in lines if re.fullmatch(pattern, line)]


def training(data, epochs):
    return ("train", *DETECTOR, "--data", data, "--out", "run", "--epochs", epochs,
            "--batch-size", 8)


def said_once(lines):
    """Return what is there to train and to validate on, from what, and what became of it."""
    return [line for line in lines if re.match(
        "starts from |ssdreg: warning: this detector uses |resnet18, ssd at |validates on |done: |"
        "drawn: ", line)]


def test_a_short_training_leaves_a_line_an_epoch(log, tiny_shapes):
    lines = log(sys.executable, "-m", "ssdreg", *training(tiny_shapes, 2))
    assert len(matching(lines, EPOCH)) == 2
    assert len(lines) == 2 + len(said_once(lines)) == 2 + 6


def test_a_long_training_tells_how_far_it_is(log, tiny_shapes):
    lines = log(sys.executable, "-c", OFTEN, 0.05, *training(tiny_shapes, 2))
    how_far = HOW_FAR.format(unit="images")
    told = matching(lines, rf"epoch \d/2, step \d/2: {how_far}, cls [\d.]+ loc [\d.]+")
    assert told
    assert len(matching(lines, EPOCH)) == 2
    before = matching(lines, rf"(packing \w+|training): {how_far}")
    assert len(lines) == len(told) + 2 + len(before) + len(said_once(lines))


@pytest.mark.slow
def test_a_measurement_tells_what_it_is_at(log, tiny_run):
    lines = log(sys.executable, "-c", OFTEN, 0.01, "bench", tiny_run, "--rounds", 3, "--no-peak",
                "--precisions", "float32")
    for words in ("starting [a-z]+ float32.*", "measuring"):
        assert matching(lines, f"{words}: " + HOW_FAR.format(unit="rounds"))


@pytest.mark.slow
def test_quantising_tells_what_it_is_at(log, tiny_run, tiny_shapes):
    lines = log(sys.executable, "-c", OFTEN, 0.2, "quantize", tiny_run, "--data", tiny_shapes,
                "--calibration-images", 4, "--rounds", 3, "--out", "q.onnx")
    phase = "quantising, no layers kept in float32"
    assert phase in lines
    assert matching(lines, rf"{phase}: \d\d:\d\d so far")


def test_detecting_tells_how_far_it_is(log, tiny_run, tiny_shapes):
    lines = log(sys.executable, "-c", OFTEN, 0.01, "predict", tiny_run,
                tiny_shapes / "JPEGImages")
    assert matching(lines, HOW_FAR.format(unit="images"))
    assert len([line for line in lines if " -> " in line]) == len(
        list((tiny_shapes / "JPEGImages").iterdir()))
