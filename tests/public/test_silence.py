"""Only the command line shows anything: what a function does is told to `progress`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ssdreg
from ssdreg.progress import Note, Telling, Work

ROOT = Path(ssdreg.__file__).parent
#: Where a warning is an error and must not stop a command, it is written instead.
WRITTEN = {Path("registry/issues.py")}


def test_no_print_in_the_library():
    printing = {}
    for path in ROOT.rglob("*.py"):
        where = path.relative_to(ROOT)
        if where.parts[0] == "cli" or "templates" in where.parts or where in WRITTEN:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)
                 and isinstance(node.func, ast.Name) and node.func.id == "print"]
        lines += [node.lineno for node in ast.walk(tree)
                  if isinstance(node, (ast.Import, ast.ImportFrom))
                  and "ssdreg_runtime.system.progress" in ast.unparse(node)]
        if lines:
            printing[str(where)] = lines
    assert printing == {}


def test_a_work_and_its_end_are_told():
    told = []
    assert list(Telling(told.append, Work(what="counting", unit="things", total=2)).over("ab")) == [
        "a", "b"]
    assert [str(each) for each in told] == [
        "counting: 0 of 2 things", "counting: 1 of 2 things", "counting: 2 of 2 things",
        "counting: 2 of 2 things"]
    assert [each.ended for each in told] == [False, False, False, True]


def test_the_end_is_told_of_what_fails():
    told = []
    with pytest.raises(ZeroDivisionError), Telling(told.append, Work(what="counting")):
        raise ZeroDivisionError
    assert [each.ended for each in told] == [False, True]


def test_nobody_need_be_told():
    with Telling(None, Work(what="counting")) as telling:
        telling.advance()


@pytest.mark.parametrize(("event", "line"), [
    (Note("a sentence"), "a sentence"),
    (Work(what="quantising"), "quantising"),
    (Work(what="fetching", unit="bytes", done=2000), "fetching: 2,000 bytes"),
    (Work(what="training", at="epoch 1", unit="images", done=8, total=16, note="cls 1.0"),
     "epoch 1: 8 of 16 images, cls 1.0")])
def test_an_event_is_a_line(event, line):
    assert str(event) == line


def test_the_console_ends_its_bar_when_the_work_fails(capsys):
    console = ssdreg.Console()
    with pytest.raises(ZeroDivisionError), Telling(console, Work(what="counting", unit="things")):
        raise ZeroDivisionError
    # and shows what comes then
    assert list(Telling(console, Work(what="counting", unit="things")).over("ab")) == ["a", "b"]
    console(Note("done"))
    console("something else")
    assert tuple(capsys.readouterr()) == ("done\n", "")
