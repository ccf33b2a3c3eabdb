"""The wheels, installed by pip into empty virtual environments of different Pythons.

Needs pip's index. The environments take a while, so they are made once for all tests here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.environments import PROJECT, SOURCES, add, install, run

from ssdreg.compat.mxnet_package import INSTALL

SUPPORTED = ("3.13", "3.12", "3.11", "3.10", "3.9")
#: As the documentation has it, on a Python whose NumPy MXNet's metadata refuse.
MXNET = tuple(INSTALL.split()[2:])

#: Runs commands, builds a symbol and runs it once, so that the NumPy that pip chose is really used.
USE = """
import contextlib, io, json
import numpy as np, ssdreg
from ssdreg.cli.main import main
said = {}
for line in ("list", "env", "check resnet18"):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(line.split()) == 0, line
    said[line] = out.getvalue()
symbol = ssdreg.build("resnet18", 2, 64, mode="deploy")
from ssdreg.mx import mx
bound = symbol.simple_bind(mx.cpu(), grad_req="null", data=(1, 3, 64, 64))
bound.forward(is_train=False, data=mx.nd.ones((1, 3, 64, 64)))
print(json.dumps({**said, "numpy": np.__version__, "output": bound.outputs[0].asnumpy().shape}))
"""


@pytest.fixture(scope="module")
def this_python(runtime_wheel, ssdreg_wheel, tmp_path_factory) -> Path:
    programs = install(Path(sys.executable), tmp_path_factory.mktemp("this") / "venv",
                       runtime_wheel, ssdreg_wheel)
    if sys.version_info >= (3, 13):
        add(programs, *MXNET)
    return programs


@pytest.fixture(scope="module", params=["this_python", "other_python"])
def programs(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.network
@pytest.mark.parametrize(("built", "sources", "package"), [
    ("ssdreg_wheel", SOURCES["ssdreg"], "ssdreg"),
    ("runtime_wheel", SOURCES["ssdreg-runtime"], "ssdreg_runtime")])
def test_a_wheel_holds_every_module_and_no_tests(request, built, sources, package):
    names = zipfile.ZipFile(request.getfixturevalue(built)).namelist()
    expected = {str(file.relative_to(sources)) for file in (sources / package).rglob("*.py")}
    assert expected <= set(names)
    assert f"{package}/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {package}


def metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


@pytest.mark.network
def test_the_wheel_is_for_the_supported_pythons(ssdreg_wheel):
    told = metadata(ssdreg_wheel)
    assert "Requires-Python: >=3.9\n" in told
    for version in SUPPORTED:
        assert f"Classifier: Programming Language :: Python :: {version}\n" in told


def requirements(wheel: Path, python: str) -> dict[str, str]:
    """Return what a wheel asks for on a Python, without extras: versions by name."""
    asked = map(Requirement, re.findall(r"^Requires-Dist: (.+)$", metadata(wheel), re.MULTILINE))
    return {each.name: str(each.specifier) for each in asked
            if each.marker is None or each.marker.evaluate({"python_version": python, "extra": ""})}


@pytest.mark.network
@pytest.mark.parametrize("python", ["3.9", "3.12"])
def test_mxnet_is_asked_for_where_its_metadata_suit(ssdreg_wheel, python):
    assert requirements(ssdreg_wheel, python)["mxnet"] == MXNET[-1].partition("mxnet")[2]
    # whoever has NumPy 2 there keeps it: only MXNet's metadata say otherwise
    assert requirements(ssdreg_wheel, python)["numpy"] == ">=1.22"


@pytest.mark.network
@pytest.mark.parametrize("python", ["3.13", "3.14", "3.20"])
def test_from_3_13_on_numpy_is_2_and_mxnet_is_installed_by_hand(ssdreg_wheel, python):
    asked = requirements(ssdreg_wheel, python)
    assert "mxnet" not in asked
    assert asked["numpy"] == ">=2.1"
    # what it cannot be imported without
    assert "requests" in asked


@pytest.mark.network
def test_the_line_for_numpy_2_names_every_package(ssdreg_wheel, runtime_wheel):
    """Where pip would take MXNet's word on NumPy, nothing may be left to it."""
    text = (PROJECT / "docs" / "installing.md").read_text(encoding="utf-8").replace("\\\n", "")
    line = re.search(r"^pip install 'numpy>=2' (.+)$", text, re.MULTILINE)
    assert set(line[1].split()) == {*requirements(ssdreg_wheel, "3.12"),
                                    *requirements(runtime_wheel, "3.12")
                                    } - {"mxnet", "numpy", "ssdreg-runtime"}


@pytest.mark.parametrize("plugin", sorted(PROJECT.glob("plugins/*/setup.cfg")),
                         ids=lambda file: file.parent.name)
def test_no_plugin_bounds_python_or_numpy_from_above(plugin):
    text = plugin.read_text(encoding="utf-8")
    assert "python_requires = >=3.9\n" in text
    assert not re.search(r"^ *numpy.*<", text, re.MULTILINE)


@pytest.mark.network
def test_the_runtime_is_for_any_python_and_numpy(runtime_wheel):
    told = metadata(runtime_wheel)
    assert "Requires-Python: >=3.9\n" in told
    assert re.search(r"^Requires-Dist: numpy>=[0-9.]+$", told, re.MULTILINE)
    assert not re.search(r"^Requires-Dist: (mxnet|ssdreg)\b(?!-runtime)", told, re.MULTILINE)


@pytest.mark.network
def test_ssdreg_asks_for_the_runtime_beside_it(ssdreg_wheel):
    import ssdreg_runtime
    wanted = f"Requires-Dist: ssdreg-runtime=={ssdreg_runtime.__version__}\n"
    assert wanted in metadata(ssdreg_wheel)


@pytest.mark.slow
@pytest.mark.network
def test_the_command_runs(programs, tmp_path):
    import ssdreg
    assert ssdreg.__version__ in run(programs / "ssdreg", "--version", cwd=tmp_path)
    assert run(programs / "python", "-m", "ssdreg", "--version", cwd=tmp_path) == \
        run(programs / "ssdreg", "--version", cwd=tmp_path)


@pytest.fixture(scope="module")
def used(programs, tmp_path_factory) -> dict:
    """What commands and a symbol say there: in one process, since most need MXNet."""
    printed = run(programs / "python", "-c", USE, cwd=tmp_path_factory.mktemp("use"))
    return json.loads(printed.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.network
def test_the_list_names_the_backbones(used):
    for name in ("resnet101", "inceptionv3", "vgg16_reduced", "ssdlite"):
        assert name in used["list"]


@pytest.mark.slow
@pytest.mark.network
def test_the_environment_is_told(used):
    assert "1.9.1" in used["env"]


@pytest.mark.slow
@pytest.mark.network
def test_the_check_passes(used):
    assert used["check resnet18"]


@pytest.mark.slow
@pytest.mark.network
def test_a_detector_is_built_and_run(used):
    assert used["numpy"][0] in "12"
    # 64 pixels: 4x4 and 2x2 from the backbone, 1x1 behind it, with 4 anchors each
    assert used["output"] == [1, 84, 6]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("programs", ["other_python"], indirect=True)
def test_the_old_numpy_is_really_there(used):
    version = used["numpy"]
    assert int(version.split(".")[1]) < 24 or version == "1.26.0"


# What the Makefile does before it gets to pip

def find_python(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": path, "HOME": "/nonexistent"}
    return subprocess.run(["/bin/sh", str(PROJECT / "tools/find-python"), *arguments],
                          env=environ, capture_output=True, text=True, check=False)


def fake_python(folder: Path, name: str, answer: str, status: int = 0) -> None:
    """Write a program that answers the finder's question as a Python would."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\necho "{answer}"\nexit {status}\n')
    (folder / name).chmod(0o755)


def tools_only(folder: Path) -> str:
    """Make a folder of programs with the few tools a shell script needs, and no Python."""
    folder.mkdir(exist_ok=True)
    for tool in ("tr", "sh"):
        (folder / tool).symlink_to(shutil.which(tool))
    return str(folder)


def test_the_newest_tested_python_is_taken(tmp_path):
    path = tools_only(tmp_path / "bin")
    for version in ("3.8", "3.9", "3.11", "3.14"):
        fake_python(tmp_path / "bin", f"python{version}", version)
    assert find_python(path=path).stdout == f"{path}/python3.11\n"
    fake_python(tmp_path / "bin", "python3", "3.13")
    assert find_python(path=path).stdout == f"{path}/python3\n"


def test_a_newer_python_than_those_tested_is_taken_where_there_is_no_other(tmp_path):
    path = tools_only(tmp_path / "bin")
    fake_python(tmp_path / "bin", "python3.15", "3.15")
    fake_python(tmp_path / "bin", "python3.8", "3.8")
    assert find_python(path=path).stdout == f"{path}/python3.15\n"
    assert find_python(f"{path}/python3.15", path=path).stdout == f"{path}/python3.15\n"
    fake_python(tmp_path / "bin", "python3.9", "3.9")
    assert find_python(path=path).stdout == f"{path}/python3.9\n"


def test_a_shim_without_a_python_behind_is_passed_over(tmp_path):
    path = tools_only(tmp_path / "bin")
    fake_python(tmp_path / "shims", "python3.12", "pyenv: python3.12: command not found", 127)
    fake_python(tmp_path / "bin", "python3.12", "3.12")
    assert find_python(path=f"{tmp_path}/shims:{path}").stdout == f"{path}/python3.12\n"


def test_without_a_python_it_says_what_to_install(tmp_path):
    path = tools_only(tmp_path / "bin")
    fake_python(tmp_path / "bin", "python3.11", "3.11 lacks ensurepip", 1)
    found = find_python(path=path)
    assert (found.returncode, found.stdout) == (1, "")
    assert f"{path}/python3.11 is Python 3.11 lacks ensurepip" in found.stderr
    assert "ssdreg needs Python 3.9 or later" in found.stderr
    assert "python3-venv" in found.stderr


def test_a_python_that_is_named_is_checked(tmp_path):
    path = tools_only(tmp_path / "bin")
    fake_python(tmp_path / "bin", "old", "3.8")
    assert find_python(sys.executable, path=path).stdout == f"{sys.executable}\n"
    assert "old is Python 3.8" in find_python(f"{path}/old", path=path).stderr
    assert "There is no Python at /none." in find_python("/none", path=path).stderr


def test_make_lists_its_targets():
    listed = run("make", "-C", PROJECT, "--no-print-directory", cwd=PROJECT)
    assert [line.split()[1] for line in listed.splitlines()] == [
        "help", "demo", "test", "test-plugins", "test-other-numpy", "install-plugins", "lint",
        "docs", "check", "release-check", "clean"]
