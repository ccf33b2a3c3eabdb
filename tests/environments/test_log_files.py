"""Commands whose output goes to a file: plain lines, no carriage returns, nothing between."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from ssdreg_runtime.system import progress
from support.runs import DETECTOR

from ssdreg.cli.main import main

HOW_FAR = (r"\d[\d,]* of \d[\d,]* {unit} \(\d+%\), "
           r"(\d[\d.,]* {unit}/s, \d+:\d\d left|\d+:\d\d so far)")
EPOCH = r"epoch   \d +[\d.]+ img/s  cls [\d.]+  loc [\d.]+  mAP [\d.]+  AP [\d.]+  [\d.]+ (s|min|h)"


def lines_of(content: str) -> list[str]:
    assert "\r" not in content
    assert "\033" not in content
    return content.splitlines()


@pytest.fixture
def log(capfd, monkeypatch):
    """Run a command with its output in files, and a line as often as told; return the lines."""
    def run(interval: float, *command: object) -> list[str]:
        monkeypatch.setattr(progress, "LINE_INTERVAL", interval)
        capfd.readouterr()
        status = main(list(map(str, command)))
        written = "".join(capfd.readouterr())
        assert status == 0, written
        return lines_of(written)

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
        "drawn: |computed by |reached mAP ", line)]


def advice(lines):
    """Return what would likely help: all between what was reached and what is done."""
    first, last = (next(place for place, line in enumerate(lines) if line.startswith(start))
                   for start in ("reached mAP ", "done: "))
    return lines[first + 1:last]


def test_a_short_training_leaves_a_line_an_epoch(tmp_path, tiny_shapes):
    """As a queue runs it."""
    file = tmp_path / "job.log"
    with file.open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "ssdreg", *map(str, training(tiny_shapes, 2))], cwd=tmp_path,
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, check=False)
    lines = lines_of(file.read_bytes().decode())
    assert done.returncode == 0, lines
    assert len(matching(lines, EPOCH)) == 2
    assert any(line.startswith("there are few objects to learn from") for line in advice(lines))
    assert len(said_once(lines)) == 8
    assert len(lines) == 2 + 8 + len(advice(lines))


def test_a_long_training_tells_how_far_it_is(log, tiny_shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = log(0.05, *training(tiny_shapes, 2))
    how_far = HOW_FAR.format(unit="images")
    told = matching(lines, rf"epoch \d/2, step \d/2: {how_far}, cls [\d.]+ loc [\d.]+")
    assert told
    assert len(matching(lines, EPOCH)) == 2
    before = matching(lines, rf"(packing \w+|training): {how_far}")
    assert len(lines) == (len(told) + 2 + len(before) + len(said_once(lines))
                          + len(advice(lines)))


@pytest.mark.slow
def test_a_measurement_tells_what_it_is_at(log, tiny_run):
    lines = log(0.01, "bench", tiny_run, "--rounds", 3, "--no-peak", "--precisions", "float32")
    for words in ("starting [a-z]+ float32.*", "measuring"):
        assert matching(lines, f"{words}: " + HOW_FAR.format(unit="rounds"))


@pytest.mark.slow
def test_quantising_tells_what_it_is_at(log, tiny_run, tiny_shapes, tmp_path):
    lines = log(0.2, "quantize", tiny_run, "--data", tiny_shapes, "--calibration-images", 4,
                "--rounds", 3, "--drop", 1, "--out", tmp_path / "q.onnx")
    phase = "quantising, no layers kept in float32"
    assert phase in lines
    assert matching(lines, rf"{phase}: \d\d:\d\d so far")


def test_detecting_tells_how_far_it_is(log, tiny_run, tiny_shapes, tmp_path):
    lines = log(0.01, "predict", tiny_run, tiny_shapes / "JPEGImages", "--out", tmp_path)
    assert matching(lines, HOW_FAR.format(unit="images"))
    assert len([line for line in lines if " -> " in line]) == len(
        list((tiny_shapes / "JPEGImages").iterdir()))
