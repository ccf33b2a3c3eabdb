"""ssdreg where MXNet is not installed: what needs it says how to install it, the rest works.

The environment is a real one, with every package that is installed here but MXNet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.environments import PROJECT, clean

from ssdreg.compat.mxnet_package import INSTALL, MISSING
from ssdreg.deploy.model import random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.exporting import write_onnx

SENTENCE = "MXNet is not installed: run `pip install --no-deps mxnet==1.9.1`"


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment with everything but MXNet, and with no plug-in of others."""
    folder = tmp_path_factory.mktemp("without") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(("mxnet", "gluoncv")):
            (site / package.name).symlink_to(package)
    return folder / "bin" / "python"


def run(python: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *map(str, arguments)], cwd=folder, env=clean(),
                          capture_output=True, text=True, check=False)


def ssdreg(python: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run(python, folder, "-m", "ssdreg", *arguments)


def test_mxnet_is_not_there(python, tmp_path):
    assert "No module named 'mxnet'" in run(python, tmp_path, "-c", "import mxnet").stderr
    assert SENTENCE == MISSING


@pytest.mark.parametrize("arguments", [
    ("list",), ("list", "--json"), ("plugins",), ("env",), ("--help",), ("--version",),
    ("weights",)], ids=" ".join)
def test_what_needs_no_mxnet_works(python, tmp_path, arguments):
    done = ssdreg(python, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_environment_says_so(python, tmp_path):
    found = json.loads(ssdreg(python, tmp_path, "env", "--json").stdout)
    assert found["packages"]["mxnet"] is None
    assert (found["features"], found["gpus"], found["set_for_mxnet"]) == ([], 0, {})
    assert found["threads"] >= 1
    told = ssdreg(python, tmp_path, "env").stdout
    assert "mxnet (not installed)" in told
    assert f"MXNet features:     {SENTENCE}\n" in told
    assert "set for MXNet:      nothing, it is not installed\n" in told


def test_a_plugin_is_written(python, tmp_path):
    assert ssdreg(python, tmp_path, "new-plugin", "mynet").returncode == 0
    assert (tmp_path / "ssdreg-mynet" / "setup.cfg").is_file()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_run, tiny_shapes) -> Path:
    """A folder with what commands are called on."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "run").symlink_to(tiny_run)
    (folder / "DIR").symlink_to(tiny_shapes)
    (folder / "photo.jpg").symlink_to(sorted((tiny_shapes / "JPEGImages").iterdir())[0])
    return folder


@pytest.mark.parametrize("line", [
    "show resnet18", "draw resnet18 -o drawn.svg", "check", "check resnet18",
    "check --plugin ssdreg", "build resnet18", "data anchors --data DIR --backbone resnet18",
    "train --backbone resnet18 --data DIR --out new", "import run/deploy-symbol.json --out new",
    "eval run --data DIR", "quantize run --data DIR --backend mxnet --out new",
    "quantize run --data DIR --backend onnxruntime --out new.onnx",
    "predict run photo.jpg --backend mxnet", "bench resnet18", "export run",
    "audit run/deploy-symbol.json --layers _plus5", "audit --gluoncv", "demo"])
def test_what_needs_mxnet_says_how_to_install_it(python, folder, line):
    before = set(folder.iterdir())
    done = ssdreg(python, folder, *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ssdreg: {SENTENCE}\n"
    assert set(folder.iterdir()) == before


PYTHON = """
import ssdreg
from ssdreg.errors import DependencyError
from ssdreg.testing import conformance
names = [each.name for each in (*ssdreg.list_backbones(), *ssdreg.list_heads())]
assert "resnet101" in names and "ssd" in names
for call in (lambda: ssdreg.build("resnet18"), lambda: ssdreg.plan("resnet18"),
             lambda: ssdreg.get_backbone("resnet18").symbol(), lambda: conformance("ssdreg"),
             lambda: ssdreg.Detector("run", backend="mxnet"),
             lambda: ssdreg.load_checkpoint("run/ssd")):
    for again in range(2):
        try:
            call()
        except DependencyError as error:
            print(error)
"""


def test_python_says_it_too_and_says_it_again(python, folder):
    done = run(python, folder, "-c", PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{SENTENCE}\n" * 12


def test_a_plugins_tests_say_it_once(python, tmp_path):
    (tmp_path / "test_it.py").write_text(
        'from ssdreg.testing import conformance\ntest_conformance = conformance("ssdreg")\n')
    done = run(python, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path)
    assert done.returncode == 2
    assert SENTENCE in done.stdout
    assert "1 error" in done.stdout


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_an_exported_detector_detects(python, folder, tmp_path, backend):
    file = tmp_path / "detector.onnx"
    source = random_deploy_model("resnet18", 3, 64, overrides=Overrides(tap_strides=(8, 16)))
    write_onnx(source, file)
    for program in (("-m", "ssdreg", "predict"), ("-m", "ssdreg_runtime")):
        done = run(python, tmp_path, *program, file, folder / "photo.jpg", "--backend", backend)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "predictions").is_dir()


def test_every_place_has_the_same_line():
    assert f"MXNet is not installed: run `{INSTALL}`" == SENTENCE
    for place in ("README.md", "docs/installing.md", "docs/tutorial.md", "setup.cfg",
                  "ssdreg/scaffold/templates/plugin/workflow.yml",
                  "ssdreg/scaffold/templates/plugin/README.md"):
        assert INSTALL in (PROJECT / place).read_text(encoding="utf-8"), place
    assert f"install {INSTALL.partition('install ')[2]}" in \
        (PROJECT / "tools" / "make-venv").read_text(encoding="utf-8")
