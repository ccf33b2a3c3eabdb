"""Commands where there is no home folder, or one that cannot be written, or no such user.

Real processes of a user whom the system does not know; only the tests that need none run as us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import DETECTOR, UNUSED
from support.worlds import NOBODY, as_nobody, open_folder, start, start_in_turn

#: Below a file there is no folder, for root neither.
UNDER_A_FILE = str(Path(__file__) / "home")
NOTICE = "so caches are kept in {}; XDG_CACHE_HOME moves them"


@pytest.fixture
def folder():
    with open_folder() as made:
        yield made


def notice(folder: Path, user: int = NOBODY) -> str:
    return NOTICE.format(folder / f"ssdreg-{user}")


@pytest.mark.parametrize(("home", "why"), [
    (None, "there is no home folder"),
    ("/", "/.cache/ssdreg/matplotlib cannot be written (Permission denied)"),
    ("/nonexistent", "/nonexistent/.cache/ssdreg/matplotlib cannot be written "
                     "(Permission denied)"),
    ("{}/mine", "{}/mine/.cache/ssdreg/matplotlib cannot be written (Permission denied)")])
def test_a_picture_is_drawn_and_one_line_says_where_caches_are(folder, home, why):
    (folder / "mine").mkdir(mode=0o555)
    environ = {} if home is None else {"HOME": home.format(folder)}
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder, environ=environ,
                 prefix=as_nobody())
    assert done.status == 0, done.told
    assert done.told == [f"ssdreg: {why.format(folder)}, {notice(folder)}"]
    assert (folder / "taps.svg").is_file()
    assert (folder / f"ssdreg-{NOBODY}").stat().st_mode & 0o077 == 0


def test_matplotlibs_own_variable_is_named_where_it_is_set(folder):
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder,
                 environ={"HOME": str(folder), "MPLCONFIGDIR": UNDER_A_FILE})
    assert (done.status, len(done.told)) == (0, 1)
    assert done.told[0].endswith("; MPLCONFIGDIR moves them")


def test_a_cache_elsewhere_is_used_without_a_word(folder):
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder,
                 environ={"HOME": UNDER_A_FILE, "XDG_CACHE_HOME": str(folder / "caches")})
    assert (done.status, done.told) == (0, [])
    assert list((folder / "caches" / "ssdreg" / "matplotlib").iterdir())


def test_matplotlib_keeps_its_folders_where_they_can_be_written(folder):
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder,
                 environ={"HOME": str(folder)})
    assert (done.status, done.told) == (0, [])
    assert (folder / ".cache" / "matplotlib").is_dir()


def test_the_environment_is_left_as_it_was(folder):
    code = ("import os; before = dict(os.environ); import ssdreg.drawing.mpl\n"
            "assert dict(os.environ) == before")
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, env={
        "HOME": UNDER_A_FILE, "TMPDIR": str(folder), "PATH": os.environ["PATH"]})


@pytest.mark.slow
def test_a_detector_is_trained_and_used_by_a_user_without_a_home(folder, tiny_shapes):
    """Every command that writes, reads or computes something."""
    data = shutil.copytree(tiny_shapes, folder / "shapes")
    images = data / "JPEGImages"

    where = {"cwd": folder, "environ": {}, "prefix": as_nobody()}
    trained = start("ssdreg", "train", *DETECTOR, "--data", data, "--out", "run", "--epochs", 1,
                    "--batch-size", 8, **where)
    assert trained.status == 0, trained.told
    kept = f"ssdreg: there is no home folder, {notice(folder)}"
    assert [line for line in trained.told if not line.startswith(UNUSED)] == [kept]
    # they are in that folder now, and nothing has to be written
    warned = (
        ("eval", "run"), ("predict", "run", images), ("export", "run", "--out", "model.onnx"),
        ("weights",), ("env",), ("list",), ("show", "resnet18"), ("check", "resnet18"),
        ("plugins",), ("new-plugin", "tiny", "--out", "new"),
        ("import", "run/ssd-0001.params", "--out", "old", "--data-shape", 64, "--classes", "a,b,c"))
    silent = (
        *(("quantize", "run", "--data", data, "--calibration-images", 2, "--no-eval", "--backend",
           backend, "--out", out)
          for backend, out in (("onnxruntime", "q.onnx"), ("openvino", "q.xml"), ("mxnet", "q"))),
        ("bench", "run", "--rounds", 1, "--no-peak", "--precisions", "float32"))
    # training draws its curves, and what draws them keeps its list of fonts; that is said once
    drawing = (
        ("train", "--resume", "--out", "run", "--epochs", 2),
        ("data", "anchors", "--data", data, "--backbone", "resnet18", "--data-shape", 64, "--out",
         "anchors.png"))
    done = {command: ended for commands in ((*warned, *silent), drawing)
            for command, ended in zip(commands, start_in_turn(*commands, **where))}
    for command, ended in done.items():
        assert ended.status == 0, (command, ended.told)
        told = ended.told if command in silent else [
            line for line in ended.told if not line.startswith("ssdreg: warning: ")]
        assert told == {drawing[0]: [kept], drawing[1]: ["drawn: anchors.png"]}.get(command, [])
    for name in ("openvino", "onnxruntime", "mxnet"):
        assert name.encode() in done[silent[-1]].out
    for backend in ("openvino", "onnxruntime"):
        found = start("ssdreg-detect", "model.onnx", images, "--backend", backend, **where)
        assert (found.status, found.told) == (0, [])
