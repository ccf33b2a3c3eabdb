"""Help, version and list without MXNet; build; what all commands share."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.runs import UNUSED, command, refused

import ssdreg
from ssdreg.cli.commands import COMMANDS
from ssdreg.training.options import FINE_TUNING, TrainOptions

NAMES = [each.NAME for each in COMMANDS]


def process(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python anew: ``python -m ssdreg`` with arguments, or code."""
    return subprocess.run([sys.executable, *(("-c", code) if code else ("-m", "ssdreg")),
                           *arguments], capture_output=True, text=True, check=False)


# What comes without MXNet

@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"],
                                       ["list", "--markdown"], ["train", "--help"]])
def test_mxnet_is_not_imported_to_answer(arguments):
    done = process(*arguments, code="""
import sys
from ssdreg.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
print("status", status, "mxnet" in sys.modules, "matplotlib" in sys.modules)
""")
    assert done.stdout.endswith("status 0 False False\n"), done.stderr


def test_mxnet_is_not_imported_by_importing_ssdreg():
    done = process(code="import sys, ssdreg; print('mxnet' in sys.modules)")
    assert done.stdout == "False\n"


def test_every_command_has_one_summary(capsys):
    top = " ".join(command(capsys, "--help").out.split())
    for each in COMMANDS:
        assert f"{each.NAME} {each.SUMMARY}" in top
        own = command(capsys, each.NAME, "--help")
        assert own.status == 0
        sentence = each.SUMMARY[0].upper() + each.SUMMARY[1:] + "."
        assert sentence in " ".join(own.out.split())


def test_version():
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"ssdreg {ssdreg.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["fly"]])
def test_an_unknown_command_names_those_there_are(capsys, arguments):
    done = command(capsys, *arguments)
    assert done.status == 2
    if arguments:
        assert "invalid choice: 'fly'" in done.err
        assert all(name in done.err for name in NAMES)
    else:
        assert "COMMAND" in done.err


def test_options_show_their_defaults(capsys):
    text = " ".join(command(capsys, "train", "--help").out.split())
    assert (f"passes over the data (default: {TrainOptions().epochs}, from weights "
            f"{FINE_TUNING['epochs']})") in text
    assert f"of sgd and nag (default: {TrainOptions().momentum})" in text
    assert "the network's input in pixels (default: 300)" in text
    assert "(default: None)" not in text
    assert "SUPPRESS" not in text


# list

def test_list_names_backbones_and_heads(capsys):
    done = command(capsys, "list")
    lines = done.out.splitlines()
    assert done.status == 0
    assert lines[0].split()[:2] == ["backbone", "family"]
    names = [line.split()[0] for line in lines[1:lines.index("")]]
    assert names == [each.name for each in ssdreg.list_backbones()]
    assert any(line.startswith("resnet50 ") and "16: _plus12, 1024; 32: _plus15, 2048" in line
               for line in lines)
    assert [line.split()[0] for line in lines[lines.index("") + 1:]] == [
        "head", *(each.name for each in ssdreg.list_heads())]


def test_list_for_machines(capsys):
    listed = json.loads(command(capsys, "list", "--json").out)
    found = next(each for each in listed["backbones"] if each["name"] == "resnet101")
    assert (found["family"], found["depth"]) == ("resnet", 101)
    assert found["taps"][-1] == {"stage": 4, "stride": 32, "channels": 2048, "node": "_plus32"}
    assert {each["name"] for each in listed["heads"]} == {each.name for each in ssdreg.list_heads()}


def test_list_of_names_like_a_pattern(capsys):
    names = [each.name for each in ssdreg.list_backbones()]
    for pattern, found in (("resnet*", [name for name in names if name.startswith("resnet")]),
                           ("resnet1??", [name for name in names if len(name) == 9
                                          and name.startswith("resnet1")]),
                           ("inceptionv3", ["inceptionv3"])):
        done = command(capsys, "list", pattern)
        assert [line.split()[0] for line in done.out.splitlines()[1:]] == found
        listed = json.loads(command(capsys, "list", pattern, "--json").out)
        assert [each["name"] for each in listed["backbones"]] == found
        assert listed["heads"] == []
    several = json.loads(command(capsys, "list", "inception*", "resnet5*", "--json").out)
    assert [each["name"] for each in several["backbones"]] == ["inceptionv3", "resnet50"]
    assert command(capsys, "list", "ssd*").out.startswith("head ")
    assert refused(command(capsys, "list", "yolo*"), "nothing is called like yolo*: ")


def test_list_as_a_table_for_the_readme(capsys):
    lines = command(capsys, "list", "--markdown").out.splitlines()
    assert lines[0] == "| backbone | family | detection taps (stride: node, channels) |"
    assert lines[1] == "| --- | --- | --- |"
    assert "| resnet50 | resnet | 16: _plus12, 1024; 32: _plus15, 2048 |" in lines
    assert len(lines) == 2 + len(ssdreg.list_backbones())
    assert command(capsys, "list", "--markdown", "--json").status == 2


def test_a_reader_who_goes_away_is_no_error():
    end, start = os.pipe()
    os.close(end)
    try:
        done = subprocess.run([sys.executable, "-m", "ssdreg", "list"], stdout=start,
                              stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(start)
    assert (done.returncode, done.stderr) == (2, "")


# build

def test_build_shows_the_levels_and_writes_a_symbol(capsys, tmp_path):
    from ssdreg.mx import mx
    file = tmp_path / "new" / "ssd.json"
    done = command(capsys, "build", "ResNet-18", "--num-classes", 3, "--data-shape", "96x128",
                   "--tap-strides", "8,16", "--mode", "deploy", "--out", file)
    assert done.status == 0
    assert [line.startswith(UNUSED) for line in done.err.splitlines()] == [True]
    lines = done.out.splitlines()
    plan = ssdreg.plan("resnet18", 3, (96, 128), tap_strides=(8, 16))
    assert lines[0] == (f"resnet18 with ssd at 96x128, 3 classes: {plan.anchors:,} anchors, "
                        f"taps verified")
    assert lines[2].split()[:5] == ["0", "_plus3", "128", "12x16", "768"]
    assert len(lines) == 2 + len(plan.levels) + 1
    assert lines[-1] == f"written: {file}"
    assert [each.name for each in file.parent.iterdir()] == ["ssd.json"]
    symbol = mx.sym.load(str(file))
    _, shapes, _ = symbol.infer_shape(data=(2, 3, 96, 128))
    assert symbol.list_outputs() == ["detection_output"]
    assert shapes == [(2, plan.anchors, 6)]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["resnet-51"], "no backbone is called 'resnet-51': did you mean resnet50 or resnet"),
    (["resnet50", "--head", "sdd"], "no head is called 'sdd': did you mean ssd"),
    (["resnet50", "--tap-strides", "7"], "has no tap at stride 7: its taps are at 2, 4, 8, 16, 32"),
    (["resnet50", "--tap-strides", "16,16"], "must list at least one stride, each once"),
    (["resnet50", "--data-shape", "16"], "take a larger data_shape"),
    (["resnet50", "--num-classes", "0"], "at least one class is needed"),
    (["resnet50", "--sizes", "0.1/0.2"], "sizes has 2 entries, but there are 6 levels"),
    (["resnet50", "--sizes", "huge"], "huge"),
    (["resnet50", "--loss", "hinge"], "loss must be softmax or focal, not 'hinge'"),
])
def test_build_refuses_in_one_sentence(capsys, tmp_path, arguments, sentence):
    file = tmp_path / "ssd.json"
    assert refused(command(capsys, "build", *arguments, "--out", file), sentence)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--data-shape", "large"], "'large' is neither a side nor HEIGHTxWIDTH in pixels"),
    (["--data-shape", "300x"], "'300x' is neither a side nor HEIGHTxWIDTH in pixels"),
    (["--data-shape", "1x2x3"], "'1x2x3' is neither a side nor HEIGHTxWIDTH in pixels"),
    (["--data-shape", "0"], "'0' is neither a side nor HEIGHTxWIDTH in pixels"),
    (["--tap-strides", "8,x"], "'8,x' is no list of whole numbers, as 8,16,32"),
    (["--sizes", "0.1,x"], "'0.1,x' is neither a scheme nor a list of sizes"),
])
def test_an_argument_that_cannot_be_read_is_named(capsys, arguments, sentence):
    done = command(capsys, "build", "resnet18", *arguments)
    assert done.status == 2
    assert f"argument {arguments[0]}: {sentence}" in done.err.splitlines()[-1]


def test_a_file_that_cannot_be_written_is_a_sentence(capsys, tmp_path):
    (tmp_path / "file").write_text("mine")
    done = command(capsys, "build", "resnet18", "--out", tmp_path / "file" / "ssd.json")
    assert done.status == 2
    assert str(tmp_path / "file") in done.err
    assert "Traceback" not in done.err
    (tmp_path / "folder").mkdir()
    done = command(capsys, "build", "resnet18", "--out", tmp_path / "folder")
    assert done.status == 2
    assert done.err == f"ssdreg: {tmp_path / 'folder'}: Is a directory\n"
    assert {each.name for each in tmp_path.iterdir()} == {"file", "folder"}
