"""What the demonstration says of the taps, and what it leaves alone; `make demo` runs the rest."""

from __future__ import annotations

import shutil

import pytest

import ssdreg
from ssdreg.errors import DataError, RunError
from ssdreg.scaffold import demo


def test_the_story_in_numbers():
    right, copied, derived = demo.story()
    assert [line.mebibytes for line in (right, copied, derived)] == pytest.approx(
        [118.9, 68.4, 191.6], abs=0.1)
    assert right.taps == copied.taps == ssdreg.plan("resnet50").from_layers[:2]
    assert derived.taps == ssdreg.plan("resnet101").from_layers[:2]
    # the deeper network with the copied taps is the smaller one
    assert copied.parameters < right.parameters < derived.parameters


def test_the_size_is_that_of_the_file(tmp_path):
    from ssdreg.mx import mx
    from ssdreg.runs.params import Params, write_params
    symbol = ssdreg.build("resnet50", demo.STORY_CLASSES, mode="deploy")
    args, _, auxs = symbol.infer_shape(data=(1, 3, 300, 300))
    write_params(tmp_path / "a.params", Params(
        {name: mx.nd.zeros(shape) for name, shape in zip(symbol.list_arguments(), args)
         if name != "data"},
        {name: mx.nd.zeros(shape) for name, shape in zip(symbol.list_auxiliary_states(), auxs)}))
    size = (tmp_path / "a.params").stat().st_size / demo.MEBIBYTE
    assert size == pytest.approx(demo.story()[0].mebibytes, abs=0.1)


def test_the_refusal_names_the_right_taps():
    said = demo.refusal()
    for tap in ssdreg.plan("resnet101").taps:
        assert f"{tap!r}" in said.splitlines()[-1]
    for tap in ssdreg.plan("resnet50").taps:
        assert f"{tap!r} is not the end of its stage (stride 16)" in said


def test_a_foreign_folder_is_left_alone(tmp_path, tiny_run):
    run = tmp_path / "run"
    run.mkdir()
    (run / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="run is in the way and is not the run of a demonstration"):
        demo.train_on_shapes(tmp_path)
    (run / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RunError, match=r"config\.json is not what `ssdreg train` wrote"):
        demo.train_on_shapes(tmp_path)
    assert (run / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "shapes").exists()


def test_a_run_of_ones_own_is_left_alone(tmp_path, tiny_run):
    shutil.copytree(tiny_run, tmp_path / "run")
    with pytest.raises(RunError, match="is not the run of a demonstration: choose another --out"):
        demo.train_on_shapes(tmp_path)
    assert (tmp_path / "run" / "ssd-0001.params").is_file()


def test_foreign_data_are_left_alone(tmp_path):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds files that are not a data set of shapes"):
        demo.train_on_shapes(tmp_path)
    assert (tmp_path / "shapes" / "mine.txt").read_text() == "mine"


def test_its_backbone_is_a_true_declaration():
    found = ssdreg.verify(demo.BACKBONE.symbol(), demo.BACKBONE.taps, demo.SHAPE)
    assert [end.node for end in found.stages] == [tap.node for tap in demo.BACKBONE.taps]
    plan = ssdreg.plan(demo.BACKBONE, 3, demo.SHAPE, sizes=demo.SIZES)
    assert len(plan.levels) == len(demo.SIZES)
