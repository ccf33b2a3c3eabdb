"""Formats of data sets as plug-ins: installed, registered by hand, and failing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from support import drawn
from support.documents import blocks
from support.wheels import install_wheels, write_wheel

import ssdreg
from ssdreg.data import available_splits, read_dataset
from ssdreg.data.reading import recognize
from ssdreg.errors import DataError, PluginError, PluginWarning
from ssdreg.registry.data_format import CERTAIN, NO

PROJECT = Path(ssdreg.__file__).parents[1]
OWN = ("voc", "coco", "yolo", "csv", "labelme", "cvat", "manifest", "sagemaker")


@pytest.fixture(scope="module")
def kitti() -> str:
    """The module that docs/data.md shows."""
    (text,) = (block.text for block in blocks("docs/data.md") if block.file == "kitti.py")
    return text


@pytest.fixture(scope="module")
def site(kitti, tmp_path_factory):
    """A folder with the distribution of it, and of one whose every function raises."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    write_wheel(wheels, "some-kitti", kitti)
    write_wheel(wheels, "bad-format", """
from ssdreg import DataFormat, hookimpl

@hookimpl
def ssdreg_datasets():
    yield DataFormat(name="bad", summary="raises", recognize=lose, splits=lose, read=lose)

def lose(*arguments):
    raise KeyError("lost")
""")
    install_wheels(wheels, target)
    return target


@pytest.fixture
def run(site, tmp_path):
    """Run a command where both are installed."""
    def start(*words, status=0, **settings):
        done = subprocess.run(
            [sys.executable, "-m", "ssdreg", *map(str, words)], capture_output=True, text=True,
            cwd=tmp_path, check=False, env={
                **os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(PROJECT))), **settings})
        assert done.returncode == status, done.stderr
        return done
    return start


@pytest.fixture
def drive(tmp_path, kitti):
    """A data set in that format."""
    names: dict = {}
    exec(compile(kitti, "kitti.py", "exec"), names)
    folder = tmp_path / "drive"
    folder.mkdir()
    names["sample"](folder)
    return folder


def test_an_installed_format_is_recognised_named_and_listed(run, drive):
    told = json.loads(run("data", "check", drive, "--json", SSDREG_PLUGINS="some-kitti").stdout)
    assert (told["format"], told["images"], told["classes"]) == ("kitti", 3, {"Car": 3})
    assert told["issues"] == []
    for name in ("kitti", "some-kitti:kitti"):
        assert run("data", "check", drive, "--format", name).stdout.startswith(f"{drive}: kitti, 3")
    (listed,) = (plugin for plugin in json.loads(run("plugins", "--json").stdout)
                 if plugin["distribution"] == "some-kitti")
    assert (listed["state"], listed["data_formats"]) == ("ok", ["kitti"])
    assert "1 data format" in run("plugins").stdout


def test_one_that_raises_takes_no_other_down(run, drive):
    done = run("data", "check", drive)
    assert done.stdout.startswith(f"{drive}: kitti, 3 images")
    assert "plug-in bad-format:net failed when its format 'bad' was to recognise" in done.stderr
    assert "KeyError: 'lost'" in done.stderr
    told = run("data", "check", drive, "--format", "bad", status=2)
    assert told.stderr == (f"ssdreg: the format 'bad' could not read {drive}: KeyError: 'lost'\n")


def test_conformance_of_an_installed_format(run):
    done = run("check", "--plugin", "some-kitti")
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:]] == [
        ["the", "package", "ok", "2"], ["format", "kitti", "ok", "4"]]
    bad = run("check", "--plugin", "bad-format", status=1).stdout
    assert "bad-format: format bad: recognises: KeyError: 'lost'" in bad
    assert "it declares no sample: a function that writes a small data set of it" in bad


def test_those_that_come_with_ssdreg_are_first_and_keep_their_names(tmp_path):
    assert tuple(each.name for each in ssdreg.list_data_formats())[:len(OWN)] == OWN
    assert ssdreg.get_data_format("LabelMe").name == "labelme"
    mine = attrs.evolve(ssdreg.get_data_format("coco"), recognize=lambda contents: NO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        with ssdreg.register(plugin(mine), name="thief"):
            assert ssdreg.get_data_format("thief:coco").recognize is mine.recognize
            assert ssdreg.get_data_format("coco").recognize is not mine.recognize
            drawn.coco(tmp_path)
            assert len(read_dataset(tmp_path, format="thief:coco").samples) == 5
    with pytest.raises(ssdreg.UnknownNameError, match="called 'koko': did you mean coco"):
        ssdreg.get_data_format("koko")


def plugin(*formats):
    return SimpleNamespace(ssdreg_datasets=ssdreg.hookimpl(lambda: formats))


def test_two_that_are_both_sure_are_not_chosen_between(tmp_path):
    sure = attrs.evolve(ssdreg.get_data_format("coco"), name="sure",
                        recognize=lambda contents: CERTAIN)
    drawn.coco(tmp_path)
    with ssdreg.register(plugin(sure), name="mine"), pytest.raises(
            DataError, match="is laid out as coco and sure: say by --format"):
        recognize(tmp_path)
    assert recognize(tmp_path).name == "coco"


@pytest.mark.parametrize(("read", "sentence"), [
    (lambda *_: 1 / 0, "the format 'mine' could not read .*: ZeroDivisionError: division by zero"),
    (lambda *_: [], "the format 'mine' gave list for .*, which is no AnnotatedSet")])
def test_what_a_reader_may_not_do(tmp_path, read, sentence):
    mine = attrs.evolve(ssdreg.get_data_format("coco"), name="mine", read=read)
    with ssdreg.register(plugin(mine), name="notebook"), pytest.raises(PluginError, match=sentence):
        read_dataset(tmp_path, format="mine")


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"name": "a b"}, "name must be of letters"), ({"summary": ""}, "summary"),
    ({"read": "nowhere"}, "read must be a callable or 'module:function', not 'nowhere'"),
    ({"sample": 3}, "sample must be a callable or 'module:function', not 3"),
    ({"aliases": "ab"}, "aliases must be a list or tuple of names")])
def test_a_declaration_that_cannot_be(changes, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        attrs.evolve(ssdreg.get_data_format("coco"), **changes)


def registered(**functions):
    """Register a plug-in's format, of which some functions do what they may not."""
    data_format = ssdreg.DataFormat(**{
        "name": "bad", "summary": "bad", "recognize": lambda contents: NO,
        "splits": lambda path: (), "read": lambda *arguments: None, **functions})
    plugin = SimpleNamespace(ssdreg_datasets=ssdreg.hookimpl(lambda: [data_format]))
    return ssdreg.register(plugin, name="strange")


def lose(error):
    raise error


@pytest.mark.parametrize(("answer", "words"), [
    (lambda contents: lose(DataError("it is mine, and damaged")), "it is mine, and damaged"),
    (lambda contents: 99, "99 is neither NO, POSSIBLE nor CERTAIN")])
def test_what_recognising_may_not_do(tmp_path, answer, words):
    with registered(recognize=answer), pytest.warns(PluginWarning, match=words):
        assert recognize(drawn.voc(tmp_path)).name == "voc"


def test_splits_that_raise_are_their_plugins_fault(tmp_path):
    sentence = r"the format 'bad' could not list the splits of .*: KeyError: 'lost'"
    splits = {"splits": lambda path: lose(KeyError("lost"))}
    with registered(**splits), pytest.raises(PluginError, match=sentence):
        available_splits(drawn.voc(tmp_path), "bad")
