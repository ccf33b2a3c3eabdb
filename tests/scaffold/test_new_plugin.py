"""`ssdreg new-plugin`: what it writes is a plug-in, proven in a fresh virtual environment."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from support import paths
from support.runs import SIDE, command, refused

from ssdreg.scaffold.new_plugin import FILES, STAND_IN

NAME = "tiny-net"
TEMPLATES = paths.PROJECT / "ssdreg" / "scaffold" / "templates" / "plugin"


def run(*arguments: object, cwd: Path) -> str:
    """Run a program, away from the sources, and return what it prints."""
    environ = {name: value for name, value in os.environ.items()
               if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run([str(each) for each in arguments], cwd=cwd, env=environ,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("new")
    run(sys.executable, "-m", "ssdreg", "new-plugin", NAME, "--out", out, cwd=out)
    return out / f"ssdreg-{NAME}"


@pytest.fixture(scope="module")
def wheel(folder, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", target, folder,
        cwd=target)
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The Python of a fresh environment in which pip has installed the wheel.

    ssdreg and what it needs are those of this environment, through a .pth file: nothing is
    downloaded.
    """
    environment = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment.parent)
    there = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python3*/site-packages")
    run(sys.executable, "-m", "pip", "--python", there, "install", "--quiet", "--no-deps",
        "--no-index", wheel, cwd=environment)
    (packages / "theirs.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
    return there


# What is written

def test_the_package_is_complete(folder):
    written = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert written >= {"setup.cfg", "pyproject.toml", "README.md", ".github/workflows/test.yml",
                       ".gitignore", "ssdreg_tiny_net/__init__.py", "ssdreg_tiny_net/py.typed",
                       "tests/test_ssdreg_tiny_net.py"}
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


def test_nothing_of_the_templates_is_left_over(folder):
    for file in folder.rglob("*"):
        text = f"{file}\n{file.read_text() if file.is_file() and file.suffix != '.pyc' else ''}"
        assert STAND_IN not in text
        assert "SSDREG_VERSION" not in text


def test_every_template_is_used():
    there = {str(file.relative_to(TEMPLATES)) for file in TEMPLATES.rglob("*")
             if file.is_file() and "__pycache__" not in file.parts}
    assert there == set(FILES)


def test_its_whole_test_is_three_lines(folder):
    text = (folder / "tests" / "test_ssdreg_tiny_net.py").read_text()
    assert text == ("from ssdreg.testing import conformance\n\n"
                    'test_conformance = conformance("ssdreg-tiny-net")\n')


def test_names_and_versions_are_filled_in(folder):
    import ssdreg
    setup = configparser.ConfigParser()
    setup.read(folder / "setup.cfg")
    assert setup["metadata"]["name"] == "ssdreg-tiny-net"
    assert "license" not in setup["metadata"]  # the author's choice
    assert setup["options"]["install_requires"].strip() == f"ssdreg>={ssdreg.__version__}"
    assert setup["options.entry_points"]["ssdreg"].strip() == "tiny-net = ssdreg_tiny_net"


def test_the_taps_are_counted(folder):
    module = ast.parse((folder / "ssdreg_tiny_net" / "__init__.py").read_text())
    texts = [node.value for node in ast.walk(module)
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in texts if re.fullmatch(r"stage\d.*", text)]


# What it is worth

@pytest.mark.network
def test_the_wheel_holds_the_package(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {
        "ssdreg_tiny_net"}
    assert "ssdreg_tiny_net/py.typed" in names


@pytest.mark.network
def test_its_tests_pass(folder, python, tmp_path):
    printed = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path,
                  folder / "tests", cwd=tmp_path)
    assert re.search(r"^14 passed", printed, re.MULTILINE), printed


@pytest.mark.network
def test_it_is_installed_there_and_not_here(python, tmp_path):
    where = run(python, "-c", "import ssdreg_tiny_net as it; print(it.__file__)", cwd=tmp_path)
    assert where.startswith(str(python.parents[1]))
    with pytest.raises(ModuleNotFoundError):
        __import__("ssdreg_tiny_net")


@pytest.mark.network
def test_a_detector_is_built_on_it(python, tmp_path):
    file = tmp_path / "ssd.json"
    printed = run(python, "-m", "ssdreg", "build", NAME, "--data-shape", 64, "--out", file,
                  cwd=tmp_path)
    assert printed.startswith("tiny-net with ssd at 64x64")
    assert file.is_file()


@pytest.mark.network
def test_a_detector_is_trained_on_it(python, tmp_path, tiny_shapes):
    out = tmp_path / "run"
    run(python, "-m", "ssdreg", "train", "--backbone", NAME, "--data-shape", SIDE, "--data",
        tiny_shapes, "--out", out, "--epochs", 1, "--batch-size", 8, cwd=tmp_path)
    assert (out / "ssd-0001.params").is_file()


# What is refused

@pytest.mark.parametrize(("name", "sentence"), [
    ("Tiny", "take small letters and digits, a letter first"),
    ("2tiny", "take small letters and digits, a letter first"),
    ("tiny--net", "take small letters and digits, a letter first"),
    ("../tiny", "take small letters and digits, a letter first"),
    ("tiny.net", "take small letters and digits, a letter first"),
    ("ssdreg-", "take small letters and digits, a letter first"),
    ("resnet-18", "there is a backbone called resnet18 already; take another name"),
])
def test_a_name_that_cannot_be(capsys, tmp_path, name, sentence):
    done = command(capsys, "new-plugin", name, "--out", tmp_path)
    assert refused(done, f"a plug-in cannot be called {name!r}: ")
    assert sentence in done.err
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_installed(capsys, tmp_path, monkeypatch):
    (tmp_path / "ssdreg_mine.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refused(command(capsys, "new-plugin", "mine", "--out", tmp_path / "out"),
                   "there is a package called ssdreg_mine already; take another name")


@pytest.mark.parametrize("name", ["mine", "ssdreg-mine"])
def test_nothing_is_overwritten(capsys, tmp_path, name):
    (tmp_path / "ssdreg-mine").mkdir()
    assert refused(command(capsys, "new-plugin", name, "--out", tmp_path),
                   f"{tmp_path / 'ssdreg-mine'} is there already, and is left as it is")
    assert [each.name for each in tmp_path.rglob("*")] == ["ssdreg-mine"]


def test_what_to_do_next_is_said(capsys, tmp_path):
    done = command(capsys, "new-plugin", "my_net", "--out", tmp_path / "new")
    folder = tmp_path / "new" / "ssdreg-my-net"
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"written: {folder}"
    assert "ssdreg show my_net" in done.out
    assert (folder / "ssdreg_my_net" / "__init__.py").is_file()
