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
from support.worlds import NOBODY, as_nobody, open_folder, start

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

    def command(*arguments, program="ssdreg"):
        done = start(program, *arguments, cwd=folder, environ={}, prefix=as_nobody())
        assert done.status == 0, (arguments, done.told)
        return done

    trained = command("train", *DETECTOR, "--data", data, "--out", "run", "--epochs", 1,
                      "--batch-size", 8)
    assert [line for line in trained.told if not line.startswith(UNUSED)] == [
        f"ssdreg: there is no home folder, {notice(folder)}"]
    # they are in that folder now, and nothing has to be written
    for arguments in (("train", "--resume", "--out", "run", "--epochs", 2), ("eval", "run"),
                      ("predict", "run", images), ("export", "run", "--out", "model.onnx"),
                      ("weights",), ("env",), ("list",), ("show", "resnet18"),
                      ("check", "resnet18"), ("plugins",), ("new-plugin", "tiny", "--out", "new"),
                      ("import", "run/ssd-0001.params", "--out", "old", "--data-shape", 64,
                       "--classes", "a,b,c")):
        done = command(*arguments)
        # training draws its curves, and what draws them keeps its list of fonts
        kept = trained.told[:1] if arguments[0] == "train" else []
        assert [line for line in done.told if not line.startswith("ssdreg: warning: ")] == kept
    for backend in ("openvino", "onnxruntime"):
        done = command("model.onnx", images, "--backend", backend, program="ssdreg-detect")
        assert done.told == []
    command("data", "anchors", "--data", data, "--backbone", "resnet18", "--data-shape", 64,
            "--out", "anchors.png")
    for backend, out in (("onnxruntime", "q.onnx"), ("openvino", "q.xml"), ("mxnet", "q")):
        done = command("quantize", "run", "--data", data, "--calibration-images", 2, "--no-eval",
                       "--backend", backend, "--out", out)
        assert done.told == []
    done = command("bench", "run", "--rounds", 1, "--no-peak", "--precisions", "float32")
    assert done.told == []
    for name in ("openvino", "onnxruntime", "mxnet"):
        assert name.encode() in done.out
