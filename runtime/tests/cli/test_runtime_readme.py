"""What the README of the runtime says, done."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from PIL import Image
from runtime_support.tiny_model import metadata, picture, tiny_model
from ssdreg_runtime.backends import installed
from ssdreg_runtime.cli.main import main

README = Path(__file__).parents[2] / "README.md"
RED, GREEN, BLACK = (200, 0, 0), (0, 150, 0), (0, 0, 0)


@pytest.mark.skipif(not installed(), reason="neither OpenVINO nor ONNX Runtime is installed")
def test_its_code_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("av", reason="PyAV, which reads videos, is not installed")
    from runtime_support.videos import colors, write_video
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    onnx.save(tiny_model(), "cells.onnx")
    for name in ("one", "two"):
        Image.fromarray(picture([RED, GREEN, BLACK, BLACK])).save(f"{name}.jpg")
    write_video(tmp_path / "clip.mp4", colors(3))
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert sum("(40, 20) ('red', 'green'" in line for line in lines) == 2
    assert "clip.mp4, frame 3 (0.08 s) {'width': 96, 'height': 64, 'objects': [{'class': 'red'" in (
        lines[-1])
    with Image.open("drawn.png") as drawn:
        # small pictures are enlarged
        assert drawn.size == (480, 240)


def test_its_commands_exist(capsys):
    calls = re.findall(r"ssdreg-detect .*", README.read_text(encoding="utf-8"))
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = capsys.readouterr().out
    options = {word for call in calls for word in call.split() if word.startswith("--")}
    assert options == {"--out", "--json-lines", "--list", "--ray", "--recursive", "--workers",
                       "--format"}
    # and those that sentences name
    options |= set(re.findall(r"`(--[a-z-]+)`", README.read_text(encoding="utf-8")))
    for option in options:
        assert option in usage


def test_its_table_has_every_key_of_the_metadata():
    text = README.read_text(encoding="utf-8")
    for key in metadata():
        assert f"`ssdreg_{key}`" in text
