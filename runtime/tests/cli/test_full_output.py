"""Standard output that takes nothing more, and arrays of JSON whose stream ends in an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from PIL import Image
from runtime_support.tiny_model import picture, tiny_model
from ssdreg_runtime.backends import installed

FULL = Path("/dev/full")
SENTENCE = ("standard output cannot be written: No space left on device; free some space on its "
            "disk\n")
COMMAND = "import sys; from ssdreg_runtime.cli.{} import main; sys.exit(main())"

needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="there is no /dev/full here")
needs_backend = pytest.mark.skipif(not installed(), reason="neither OpenVINO nor ONNX Runtime is "
                                                           "installed")


def run(folder, *arguments, module="main", out=subprocess.PIPE, unbuffered="", **options):
    return subprocess.run([sys.executable, "-c", COMMAND.format(module), *arguments], cwd=folder,
                          stdout=out, stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("output")
    onnx.save(tiny_model(), str(made / "tiny.onnx"))
    for name in "ab":
        Image.fromarray(picture(((200, 0, 0),), (32, 24))).save(made / f"{name}.png")
    return made


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(("module", "arguments"), [
    ("main", ["--help"]), ("main", ["--version"]), ("serve", ["--help"]),
    pytest.param("main", ["tiny.onnx", "a.png", "--json"], marks=needs_backend),
    pytest.param("main", ["tiny.onnx", "a.png", "b.png", "--json-lines"], marks=needs_backend),
    pytest.param("main", ["tiny.onnx", "a.png"], marks=needs_backend)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value)
def test_a_full_output_is_a_sentence(folder, module, arguments, unbuffered):
    with FULL.open("w") as full:
        done = run(folder, *arguments, module=module, out=full, unbuffered=unbuffered)
    program = {"main": "ssdreg-detect", "serve": "ssdreg-serve"}[module]
    assert (done.returncode, done.stderr) == (2, f"{program}: {SENTENCE}")


@needs_full
@needs_backend
def test_a_full_output_hides_no_other_error(folder):
    (folder / "stdin").write_bytes(b"")
    with FULL.open("w") as full, (folder / "stdin").open() as empty:
        done = run(folder, "tiny.onnx", "a.png", "c.png", "--json", out=full, stdin=empty)
    assert done.returncode == 2
    assert done.stderr == ("ssdreg-detect: c.png is not there: give an image or a folder of "
                           "images, or a video\n")


def test_help_without_an_output_ends_as_usual(folder):
    done = run(folder, "--help", out=None, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")


@needs_backend
@pytest.mark.parametrize("before", [[], ["a.png"], ["a.png", "b.png"]], ids=len)
def test_an_array_is_closed_when_a_stream_ends_in_an_error(folder, before):
    (folder / "stdin").write_bytes(b"")
    with (folder / "stdin").open() as empty:
        done = run(folder, "tiny.onnx", *before, "-", "--json", stdin=empty)
    assert done.returncode == 2
    assert done.stderr.startswith("ssdreg-detect: ")
    assert len(done.stderr.splitlines()) == 1
    assert [each["image"] for each in json.loads(done.stdout)] == before


@needs_backend
def test_an_array_is_not_begun_where_nothing_could_be_looked_at(folder):
    done = run(folder, "tiny.onnx", "c.png", "--json")
    assert (done.returncode, done.stdout) == (2, "")
