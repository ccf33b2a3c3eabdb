"""`ssdreg COMMAND > /dev/full`: one sentence, whatever the command writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

FULL = Path("/dev/full")
SENTENCE = ("ssdreg: standard output cannot be written: No space left on device; free some space "
            "on its disk\n")


def run(*arguments, out=subprocess.PIPE, unbuffered="", **options):
    return subprocess.run([sys.executable, "-m", "ssdreg", *map(str, arguments)], stdout=out,
                          stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, **options)


@pytest.mark.skipif(not FULL.is_char_device(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", ["--help", "--version", "list", "list --json", "predict --help",
                                   "show resnet18", "env", "plugins"])
def test_a_full_output_is_a_sentence(words, unbuffered):
    with FULL.open("w") as full:
        done = run(*words.split(), out=full, unbuffered=unbuffered)
    assert (done.returncode, done.stderr) == (2, SENTENCE)


@pytest.mark.skipif(not FULL.is_char_device(), reason="there is no /dev/full here")
def test_an_error_is_told_also_where_the_output_is_full():
    with FULL.open("w") as full:
        done = run("show", "no-such-backbone", out=full)
    assert done.returncode == 2
    assert "no-such-backbone" in done.stderr
    assert "standard output" not in done.stderr


def test_an_array_is_closed_when_a_stream_ends_in_an_error(tiny_run, tmp_path):
    Image.new("RGB", (32, 24)).save(tmp_path / "a.png")
    (tmp_path / "stdin").write_bytes(b"")
    with (tmp_path / "stdin").open() as empty:
        done = run("predict", tiny_run, tmp_path / "a.png", "-", "--json", stdin=empty)
    assert done.returncode == 2
    assert done.stderr.startswith("ssdreg: ")
    assert [each["image"] for each in json.loads(done.stdout)] == [str(tmp_path / "a.png")]
