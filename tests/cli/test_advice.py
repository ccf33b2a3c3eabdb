"""Commands that messages recommend: they are there, and they do what they were named for."""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import command

import ssdreg
from ssdreg.cli.main import parser
from ssdreg.runs.params import write_params
from ssdreg.runs.run import open_run

SOURCES = Path(ssdreg.__file__).parent
RUNTIME = SOURCES.parent / "runtime" / "ssdreg_runtime"
#: In backticks, or behind "with: ".
ADVICE = re.compile(r"`ssdreg ([^`]+)`|with: ssdreg (.+)")


def texts(file):
    """Yield every text of a module, with an X for each value that is put into it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X"
                          for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def advice():
    """Yield every command that a text of ours names, with the file it is in."""
    for folder in (SOURCES, RUNTIME):
        for file in sorted(folder.rglob("*.py")):
            for text in texts(file):
                for found in ADVICE.finditer(text):
                    words = " ".join((found.group(1) or found.group(2)).split())
                    yield str(file.relative_to(folder.parent)), words.split(" ")


def options_of(name):
    """Return the options of a command and of its own commands."""
    def gather(each):
        for action in each._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for sub in action.choices.values():
                    yield from gather(sub)
    commands = next(action for action in parser()._actions
                    if isinstance(action, argparse._SubParsersAction))
    return set(gather(commands.choices[name])) if name in commands.choices else None


def test_every_command_that_is_named_is_there():
    found = list(advice())
    assert len(found) > 20
    general = {*parser()._option_string_actions}
    for file, (name, *words) in found:
        if name == "COMMAND" or name in general:
            continue
        known = options_of(name)
        assert known is not None, f"{file}: there is no `ssdreg {name}`"
        for word in words:
            assert not word.startswith("--") or word.split("=")[0] in known, \
                f"{file}: `ssdreg {name}` has no {word}"


# Those with everything filled in are run as they stand.

def run(advised, **filled):
    words = [filled.get(word, word) for word in shlex.split(advised)]
    assert words[0] == "ssdreg"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        [str(SOURCES.parent), str(RUNTIME.parent)])}
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True,
                          check=False, env=environment)


def advised(text):
    line, = [line for line in text.splitlines() if "with: ssdreg " in line]
    return line.partition("with: ")[2]


@pytest.fixture
def odd_run(tmp_path, tiny_run):
    """A run in a folder whose name a shell would take apart."""
    return Path(shutil.copytree(tiny_run, tmp_path / "the run's & mine"))


@pytest.fixture
def image(tiny_shapes):
    return str(min((tiny_shapes / "JPEGImages").iterdir()))


def test_after_export(capsys, odd_run, image, tmp_path):
    done = command(capsys, "export", odd_run)
    looked = run(advised(done.out), IMAGE=image)
    assert looked.returncode == 0, looked.stderr
    done = command(capsys, "export", odd_run, "--no-nms", "--out", tmp_path / "raw.onnx")
    assert done.status == 0
    assert "with: ssdreg" not in done.out
    assert done.out.splitlines()[-1] == ("for a runtime of your own; `ssdreg predict` takes a file "
                                         "without --no-nms")


def test_after_import(capsys, odd_run, image, tmp_path):
    old = tmp_path / "old net"
    old.mkdir()
    found = open_run(odd_run)
    found.load_symbol().save(str(old / "deploy-symbol.json"))
    write_params(old / "deploy-0001.params", found.load_params())
    done = command(capsys, "import", old / "deploy", "--out", tmp_path / "new run", "--classes",
                   "circle,square,triangle", "--data-shape", found.plan.data_shape[0])
    assert done.status == 0, done.err
    looked = run(advised(done.out), IMAGE=image)
    assert looked.returncode == 0, looked.stderr


def test_after_training(capsys, odd_run, image):
    done = command(capsys, "train", "--resume", "--out", odd_run)
    assert done.status == 0
    curves = odd_run / "curves.png"
    assert done.out.splitlines()[-1] == f"drawn: {curves}, losses and mAP over the epochs"
    assert curves.read_bytes()[:4] == b"\x89PNG"
    looked = run(advised(done.out), IMAGE=image)
    assert looked.returncode == 0, looked.stderr


def test_after_an_interruption(capsys, odd_run, monkeypatch):
    from ssdreg.cli.commands import train
    from ssdreg.errors import Interrupted

    def interrupted(options):
        raise Interrupted
    monkeypatch.setattr(train, "_resume", interrupted)
    done = command(capsys, "train", "--resume", "--out", odd_run)
    assert done.status == 130
    went_on = run(advised(done.err))
    assert went_on.returncode == 0, went_on.stderr
