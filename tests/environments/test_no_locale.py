"""Commands whose output cannot hold every letter: names of files and classes are in any script.

Real processes, in a system without a locale and with standard streams that are ASCII.
"""

from __future__ import annotations

import ast
import csv
import json
import os
from pathlib import Path

import pytest
import ssdreg_runtime
from support.runs import DETECTOR, SIDE, UNUSED
from support.worlds import (
    ASCII,
    BARE,
    as_nobody,
    kept_in,
    open_folder,
    start,
    start_in_turn,
    to_nobody,
)

import ssdreg
from ssdreg.data.synthetic import write_shapes

PROJECT = Path(ssdreg.__file__).parents[1]
HEDGEHOG, LETTERS = "Ёж", "é×\U0001f600"
PIKE = "щука"
LATIN = os.fsdecode(b"caf\xe9.jpg")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data set with such classes, an image of such a name, and one whose name is no UTF-8."""
    folder = tmp_path_factory.mktemp("data") / "данные"
    write_shapes(folder, 8, 4, (SIDE, SIDE))
    for file in (folder / "Annotations").iterdir():
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("square", HEDGEHOG).replace("triangle", LETTERS),
                        encoding="utf-8")
    for inside, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        (folder / inside / f"000009{suffix}").rename(folder / inside / f"{PIKE}{suffix}")
    for file in (folder / "ImageSets" / "Main").iterdir():
        file.write_text(file.read_text(encoding="utf-8").replace("000009", PIKE),
                        encoding="utf-8")
    (folder / "JPEGImages" / LATIN).write_bytes(
        (folder / "JPEGImages" / f"{PIKE}.jpg").read_bytes())
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> dict[str, str]:
    return {"HOME": str(tmp_path_factory.mktemp("home"))}


def plain(done, status=0):
    """Check how a command ended, and that what it wrote is ASCII."""
    assert done.status == status, done.err
    done.out.decode("ascii")
    done.err.decode("ascii")
    return done


@pytest.fixture
def command(tmp_path, home):
    """Run a command as a process of its own, which has to end well."""
    def run(environ, *arguments, status=0):
        return plain(start("ssdreg", *arguments, cwd=tmp_path, environ={**home, **environ}), status)

    return run


TRAIN = ("train", *DETECTOR, "--out", "запуск", "--epochs", 1, "--batch-size", 8)
RESUME = ("train", "--resume", "--out", "запуск", "--epochs", 2)


def uses(data, *backends):
    """Return what is done with a run, by what it gives; quantised is for these backends."""
    images = data / "JPEGImages"
    return {
        "figures": ("eval", "запуск"),
        "table": ("eval", "запуск", "--json"),
        "pictures": ("predict", "запуск", images, "--threshold", 0, "--out", "рисунки"),
        "file": ("export", "запуск", "--out", "модель.onnx"),
        "objects": ("predict", "модель.onnx", images / f"{PIKE}.jpg", "--threshold", 0, "--json"),
        **{backend: ("quantize", "запуск", "--data", data, "--calibration-images", 2, "--no-eval",
                     "--backend", backend, "--out", out, "--json") for backend, out in backends},
        "times": ("bench", "запуск", "--rounds", 1, "--no-peak", "--precisions", "float32",
                  "--json", "--chart", "столбцы.svg")}


def anchors(data):
    return ("data", "anchors", "--data", data, "--backbone", "resnet18", "--data-shape", SIDE,
            "--out", "якоря.png")


def letters_are_letters(folder, data, trained, done):
    """Look at what a training, and what was done with its run, wrote and printed."""
    assert b"\\u0401\\u0436" in trained.out
    run = folder / "запуск"
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert {HEDGEHOG, LETTERS} < set(config["classes"])
    state = json.loads((run / "state.json").read_text(encoding="utf-8"))
    assert state["data"]["train"] == str(data)
    assert b"\\u0401\\u0436" in done["figures"].out
    assert HEDGEHOG in json.dumps(json.loads(done["table"].out), ensure_ascii=False)
    assert (folder / "рисунки" / f"{PIKE}.png").is_file()
    (seen,) = json.loads(done["objects"].out)
    assert {HEDGEHOG, LETTERS} <= {one["class"] for one in seen["objects"]}
    for name, ended in done.items():
        if name not in ("figures", "pictures", "file"):
            json.loads(ended.out)
    with (run / "log.csv").open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 3


def found_by_the_runtime(data, backend, **where):
    """Let the runtime detect what is in the pictures, by names that are letters."""
    found = plain(start("ssdreg-detect", "модель.onnx", data / "JPEGImages", "--threshold", 0,
                        "--json-lines", "--backend", backend, **where))
    seen = [json.loads(line) for line in found.out.splitlines()]
    # bytes that are no letters are lone surrogates, and letters are letters
    assert {Path(each["image"]).name for each in seen} >= {f"{PIKE}.jpg", LATIN}
    assert {HEDGEHOG, LETTERS} <= {one["class"] for each in seen for one in each["objects"]}
    return found


@pytest.mark.slow
def test_a_detector_from_images_to_another_format(command, home, data, tmp_path):
    # how letters are written does not depend on what quantises
    each = uses(data, ("onnxruntime", "кв.onnx"))
    where = {"cwd": tmp_path, "environ": {**home, **ASCII}}
    trained, _, *ended, _ = map(plain, start_in_turn(
        (*TRAIN, "--data", data), RESUME, *each.values(), anchors(data), **where))
    letters_are_letters(tmp_path, data, trained, dict(zip(each, ended)))
    # and in a system with a locale, which finds the data by the name that was written down
    command({"PYTHONUTF8": "1", **ASCII}, "eval", "запуск")
    for backend in ("openvino", "onnxruntime"):
        found_by_the_runtime(data, backend, **where)


@pytest.mark.slow
def test_a_detector_is_trained_and_used_by_a_user_without_a_home(home, data):
    """Nor a locale: every command that writes, reads or computes something.

    Where a program cannot be run as an unknown user, we are the user, and the home is there: that
    is said at the end, by skipping.
    """
    with open_folder() as folder:
        prefix = to_nobody()
        where = {"cwd": folder, "environ": BARE if prefix else {**home, **BARE}, "prefix": prefix}
        kept = [f"ssdreg: there is no home folder, {kept_in(folder)}"] if prefix else []
        trained = plain(start("ssdreg", *TRAIN, "--data", data, **where))
        assert but_for_data(line for line in trained.told if not line.startswith(UNUSED)) == kept
        # they are in that folder now, and nothing has to be written
        named = uses(data, ("onnxruntime", "кв.onnx"), ("openvino", "кв.xml"), ("mxnet", "кв"))
        warned = (
            ("weights",), ("env",), ("list",), ("show", "resnet18"), ("check", "resnet18"),
            ("plugins",), ("new-plugin", "tiny", "--out", "new"),
            ("import", "запуск/ssd-0001.params", "--out", "old", "--data-shape", SIDE,
             "--classes", "a,b,c"))
        # training draws its curves, and what draws them keeps its list of fonts; it is said once
        drawing = (RESUME, anchors(data), named["times"])
        others = (*(words for words in named.values() if words not in drawing), *warned)
        done = {words: plain(ended) for commands in (others, drawing)
                for words, ended in zip(commands, start_in_turn(*commands, **where))}
        silent = [named[name] for name in ("onnxruntime", "openvino", "mxnet", "times")]
        told = {RESUME: kept, anchors(data): ["drawn: якоря.png"]}
        for words, ended in done.items():
            lines = but_for_data(line for line in ended.told if words in silent
                                 or not line.startswith("ssdreg: warning: "))
            assert lines == [escaped(line) for line in told.get(words, [])], words
        letters_are_letters(folder, data, trained, {name: done[words]
                                                    for name, words in named.items()})
        for name in ("openvino", "onnxruntime", "mxnet"):
            assert name.encode() in done[named["times"]].out
        for backend in ("openvino", "onnxruntime"):
            assert found_by_the_runtime(data, backend, **where).told == []
        as_nobody()


def but_for_data(lines):
    """Return lines without those of the annotation that was renamed and names another picture."""
    issue = ("1 problem in the data:", "  1 x file name differs", escaped(
        f"  {PIKE}.xml: file name differs: it says that it is of 000009.jpg; by its own name it is "
        f"of {PIKE}.jpg, which is taken"))
    return [line for line in lines if line not in issue]


def escaped(line):
    """Return a line with words of the command line as they are shown where there is no locale."""
    seen = os.fsencode(line).decode("ascii", "surrogateescape")
    return seen.encode("ascii", "backslashreplace").decode("ascii")


NEEDS_NO_RUN = (
    ("list",), ("show", "resnet18"), ("plugins",), ("weights",), ("env",), ("check", "resnet18"),
    ("--help",), ("quantize", "--help"),
    ("build", "resnet18", "--data-shape", SIDE, "--out", "символ.json"),
    ("draw", "resnet18", "-o", "схема.svg"))
REFUSED = (
    ("ёж",), ("show", "ёж"), ("eval", "нет"),
    ("train", "--backbone", "resnet18", "--data", "нет", "--out", "x"),
    ("predict", "нет", "нет.jpg"), ("export", "нет"),
    ("data", "anchors", "--data", "нет", "--backbone", "resnet18"))


@pytest.fixture(scope="module", params=[BARE, ASCII], ids=["no locale", "ascii"])
def ended(request, home, tmp_path_factory):
    """How commands ended that need no run, and those that are refused, and their folder."""
    folder = tmp_path_factory.mktemp("commands")
    every = (*NEEDS_NO_RUN, *REFUSED)
    return folder, dict(zip(every, start_in_turn(*every, cwd=folder,
                                                 environ={**home, **request.param})))


@pytest.mark.parametrize("arguments", NEEDS_NO_RUN, ids=lambda words: " ".join(map(str, words)))
def test_what_needs_no_run(ended, arguments):
    plain(ended[1][arguments])


def test_what_needs_no_run_and_writes_a_file(ended):
    assert {"символ.json", "схема.svg"} <= {each.name for each in ended[0].iterdir()}


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda words: " ".join(map(str, words)))
def test_refusals_are_sentences(ended, arguments):
    assert plain(ended[1][arguments], status=2).told[-1].startswith("ssdreg: ")


def test_a_name_that_mxnet_cannot_open_is_a_sentence(command, data):
    done = command(ASCII, "train", *DETECTOR, "--data", data, "--out", LATIN, status=2)
    assert done.told[-1].startswith("ssdreg: ")
    assert "has a name whose bytes are not UTF-8" in done.told[-1]
    assert "rename it" in done.told[-1]


def test_class_names_that_are_no_utf_8_are_a_sentence(command, data, tmp_path):
    (tmp_path / "classes.txt").write_bytes(b"caf\xe9\n")
    done = command(ASCII, "import", "net", "--out", "run", "--classes", "classes.txt", status=2)
    assert "classes.txt is not text in UTF-8" in done.told[-1]


# What opens text names its encoding

SOURCES = [file for root in (PROJECT / "ssdreg", Path(ssdreg_runtime.__file__).parent,
                             *PROJECT.glob("plugins/*/ssdreg_*"), PROJECT / "benchmarks",
                             PROJECT / "docs")
           for file in sorted(root.rglob("*.py"))]
#: What is called so too and opens no file.
OTHERS = ("quantized.open", "tarfile.open")


def nameless(tree):
    """Give the lines that open text, or read what a process writes, in the locale's encoding."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(each.arg == "encoding" for each in node.keywords):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        named = {each.arg: ast.unparse(each.value) for each in node.keywords}
        modes = [named.get("mode", ""), *map(ast.unparse, node.args)]
        opens = name in ("open", "os.fdopen") or (last == "open" and not node.args)
        if ((last == "read_text" and not node.args)
                or (last == "write_text" and len(node.args) < 2)
                or (opens and not any("b'" in mode for mode in modes) and name not in OTHERS)
                or {"text", "universal_newlines"} & set(named)):
            yield node.lineno


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PROJECT)))
def test_the_encoding_is_named(file):
    assert list(nameless(ast.parse(file.read_text(encoding="utf-8")))) == []


def test_what_names_none_is_seen():
    text = ("open('x')\nopen('x', 'rb')\npath.read_text()\npath.read_text('utf-8')\n"
            "path.write_text(a)\nrun(x, text=True)\nrun(x, encoding='utf-8')\npath.open()\n"
            "path.open('rb')\npath.open(encoding='utf-8')\n")
    assert list(nameless(ast.parse(text))) == [1, 3, 5, 6, 8]
