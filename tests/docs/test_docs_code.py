"""Every block of code in README and docs runs, in its order, on a small drawn data set.

The blocks of a document share a folder and, those in Python, their names, as for somebody who
follows it from top to bottom. What a block says that it prints it must print. One that begins with
the name of a file is saved under that name before it runs.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, redirect_stdout
from importlib.metadata import requires
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from packaging.requirements import Requirement
from ssdreg_runtime.cli.main import main as detect
from ssdreg_runtime.cli.main import parser as detect_parser
from support import checkpoints as files
from support.checkpoints import tarred
from support.configurations import FACTORY
from support.documents import DOCUMENTS, PROJECT, PYTHON, SHELL, SHOWN, blocks
from support.runs import SIDE, SMALL, command

import ssdreg
from ssdreg.cli.main import parser
from ssdreg.compat.mxnet_package import INSTALL
from ssdreg.registry import host as plugins

#: What commands are told besides, so that they are done in seconds, and what a new network is.
QUICKLY = {"train": ("--epochs", "1", "--batch-size", "8"),
           "quantize": ("--calibration-images", "4", "--rounds", "1", "--drop", "1")}
SMALLER = ("--data-shape", str(SIDE), "--backbone", SMALL.name)
#: The network that the tutorial makes, which is as small.
TUTORIALS = "toynet"
#: What of the reader's choice of a network is replaced in Python, and by what.
BACKBONE = ('backbone="resnet18", data=', f'backbone="{SMALL.name}", data=')
#: The port of servers in the documents; here it is a free one.
PORT = "8080"
#: Words that stand for something of the reader's, or take long, and what stands for them here.
REPLACED = {
    # here without the plug-in whose weights make it better
    "README.md": {"efficientnet-lite0 --data DIR": "resnet18 --data DIR",
                  "NAME,NAME": ",".join(ssdreg.plan("resnet50").taps),
                  'out="runs/second")':
                      'out="runs/second", data_shape=64, epochs=1, batch_size=8)',
                  "photos/ clip.mp4": "photo.jpg", '"one.jpg", "two.jpg"': '"photo.jpg"',
                  BACKBONE[0]: BACKBONE[1]},
    "docs/python.md": {"calibration_images=4, rounds=2": "calibration_images=4, rounds=1, drop=1",
                       BACKBONE[0]: BACKBONE[1]},
    "docs/tutorial.md": {"train=1200, val=100": "train=16, val=6"},
}
#: In the tutorial a package is built and installed, for which pip fetches what builds it.
MARKS = {"docs/tutorial.md": pytest.mark.network, "docs/precision.md": pytest.mark.slow}
#: Commands that say no, which is what they are shown for.
SAYS_NO = {("audit", "net-symbol.json"), ("audit", "symbol_factory.py")}
#: Why a command that has one of these words cannot run here; it must still be one that parses.
ELSEWHERE = {
    "efficientnet-lite0": "its plug-in's own tests run it, where that is installed",
    "BCCD": "readers get that data set themselves",
    "ssd300_vgg16.coco": "its weights are fetched; its plug-in's own tests run its network",
    "ssdlite320_mobilenet_v3_large.coco": "likewise",
    "fpn_small": "its plug-in's own tests run it",
    "bench": "it takes minutes; its own tests run it",
    "tune": "it takes minutes; its own tests run it",
    "openvino": "docs/precision.md quantises for the other backends, and tests for this one",
    "--ray": "the runtime's tests run it, where Ray is installed",
    "--gluoncv": "the tests of ssdreg-gluon run it, where GluonCV is installed",
}


@frozen(eq=False)
class Reader:
    """Who follows a document: the names of its Python so far, and pytest's means."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture
    #: Runs that another document has trained by the same words on the same files.
    trained: dict[tuple[str, ...], Path]
    names: dict = field(factory=lambda: {"__name__": "__main__"})
    #: Where servers of the document listen, and what ends them with it.
    port: int = field(factory=lambda: free_port())
    ending: ExitStack = field(factory=ExitStack)


@pytest.fixture(scope="module")
def given(tmp_path_factory, tiny_shapes, small):
    """A folder with what documents take for granted: images, a photo, files from elsewhere."""
    made, old = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("old")
    shutil.copytree(tiny_shapes, made / "DIR")
    shutil.copy(next((tiny_shapes / "JPEGImages").iterdir()), made / "photo.jpg")
    ssdreg.get_backbone("resnet101").symbol().save(str(made / "net-symbol.json"))
    (made / "symbol_factory.py").write_text(FACTORY)
    taps = files.taps_of(SMALL.name, 16, 32)
    files.write(old / "net", files.example_symbol(SMALL.name, taps, 2), SIDE)
    (old / "hyperparams.json").write_text(f'{{"image_shape": "{SIDE}"}}')
    tarred(old, made / "model.tar.gz")
    return made


@pytest.fixture(scope="module")
def trained():
    return {}


@pytest.fixture
def folder(tmp_path_factory, given, monkeypatch):
    """The reader's own folder, kept for those who read other documents."""
    made = tmp_path_factory.mktemp("reader")
    shutil.copytree(given, made, dirs_exist_ok=True)
    monkeypatch.chdir(made)
    monkeypatch.syspath_prepend(str(made))
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if is_below(made, sys.modules[name]):
            del sys.modules[name]
    forget_plugins()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def is_below(folder, module):
    return str(getattr(module, "__file__", None)).startswith(str(folder))


def forget_plugins():
    """Let plug-ins be looked for again, as in a new process."""
    plugins.forget()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("document", [
    pytest.param(name, marks=MARKS.get(name, ())) for name in DOCUMENTS])
def test_its_code_runs(document, folder, trained, monkeypatch, capsys):
    reader = Reader(monkeypatch, capsys, trained)
    with reader.ending:
        follow(document, reader)


def follow(document, reader):
    """Do what a document says, from top to bottom."""
    replaced = dict(REPLACED.get(document, {}))
    for block in blocks(document):
        text = block.text.replace(f":{PORT}", f":{reader.port}")
        for old, new in REPLACED.get(document, {}).items():
            if old in text:
                replaced.pop(old, None)
                text = text.replace(old, new)
        block = evolve(block, text=text)
        if block.language == PYTHON:
            run_python(block, reader)
        elif block.language == SHELL:
            for line in block.commands:
                PROGRAMS[line.program](line, block.where, reader)
        else:
            assert block.language in SHOWN, f"{block.where}: nothing runs {block.language!r}"
    assert not replaced, f"{document} no longer says {', '.join(replaced)}"


def run_python(block, reader):
    if block.file:
        Path(block.file).write_text(block.text, encoding="utf-8")
    # empty lines before it, so that an error shows the document's own line
    code = compile("\n" * (block.line - 1) + block.text, str(DOCUMENTS[block.document]), "exec")
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(code, reader.names)
    for text in block.prints:
        assert text in printed.getvalue(), f"{block.where} does not print {text}"


def run_ssdreg(line, where, reader):
    words = line.arguments
    if words[0] == "serve":
        start_server(words, where, reader)
        return
    if set(words) & set(ELSEWHERE):
        parser().parse_args(words)
        return
    # a run without a backbone goes on as the network it is, and a reader's own is small
    new = words[0] == "train" and "--backbone" in words and TUTORIALS not in words
    words = [*words, *QUICKLY.get(words[0], ()), *(SMALLER if new else ())]
    out = words[words.index("--out") + 1] if words[0] == "train" else ""
    if out and tuple(words) in reader.trained:
        shutil.copytree(reader.trained[tuple(words)], out)
        return
    with reader.monkeypatch.context() as patch:
        for name, value in line.settings.items():
            patch.setenv(name, value)
        done = command(reader.capsys, *words)
    wanted = 1 if tuple(words[:2]) in SAYS_NO else 0
    assert done.status == wanted, f"{where}: ssdreg {' '.join(words)}: {done.out}{done.err}"
    if out:
        kept = Path("as-trained", out).absolute()
        reader.trained[tuple(words)] = Path(shutil.copytree(out, kept))


def run_detect(line, where, reader):
    if set(line.arguments) & set(ELSEWHERE):
        detect_parser().parse_args(line.arguments)
        return
    reader.capsys.readouterr()
    status = detect(line.arguments)
    assert status == 0, f"{where}: {reader.capsys.readouterr().err}"


def start_server(words, where, reader):
    """Run a server in a process of its own, to the document's end."""
    process = reader.ending.enter_context(subprocess.Popen(
        [sys.executable, "-m", "ssdreg", *words, "--port", str(reader.port), "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    reader.ending.callback(process.terminate)
    said = process.stdout.readline()
    assert said.startswith("serving "), f"{where}: {said}{process.communicate()}"


def run_curl(line, where, reader):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(["curl", "--fail-with-body", *line.arguments], capture_output=True,
                          check=False)
    assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"


def run_make(line, where, reader):
    """Look for the target: most take minutes, and the tests are one of them."""
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(line.arguments) <= set(targets), f"{where}: there is no such target"


def run_pip(line, where, reader):
    """Install a folder that the document has made; others must be there to be installed."""
    action, *words = line.arguments
    assert action == "install", where
    for each in words:
        name = each.partition("[")[0]
        if each.startswith("--") or is_needed(each):
            continue
        if Path(each, "setup.cfg").is_file():
            install(each, reader)
        else:
            assert any((root / name / "setup.cfg").is_file()
                       for root in (PROJECT, PROJECT / "plugins")), f"{where}: {each} is nowhere"


def is_needed(word):
    """Tell whether this is MXNet as ssdreg installs it, or what ssdreg or its runtime needs."""
    if word == INSTALL.split()[-1]:
        return True
    asked = map(Requirement, (*requires("ssdreg"), *requires("ssdreg-runtime")))
    name = re.match(r"[\w.-]*", word)[0]
    return name in {each.name for each in asked if "extra" not in str(each.marker)}


def install(package, reader):
    """Install a package where only this test finds it."""
    site = Path("site-packages").absolute()
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, package],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reader.monkeypatch.syspath_prepend(str(site))
    # for the processes that a check starts
    reader.monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    forget_plugins()


def run_cp(line, where, reader):
    source, target = line.arguments
    shutil.copy(source, target)


def run_on_folder(line, where, reader):
    """Look for the folder: what these programs do is tested with the command that wrote it."""
    assert Path(line.arguments[-1]).is_dir(), where


PROGRAMS = {"ssdreg": run_ssdreg, "ssdreg-detect": run_detect, "make": run_make,
            "curl": run_curl,
            "pip": run_pip, "cp": run_cp, "pytest": run_on_folder, "python": run_on_folder}
