"""``ssdreg show``: the table and the JSON of a backbone taken apart."""

from __future__ import annotations

import json

import pytest
from support.runs import command, refused

import ssdreg
from ssdreg.detector.families import parameter_count

BUILT_IN = ("vgg16_reduced", "inceptionv3", "resnet18", "resnet269")


def shown(capsys, *arguments):
    done = command(capsys, "show", *arguments)
    assert (done.status, done.complaints) == (0, [])
    return done.out


def machine(capsys, *arguments):
    return json.loads(shown(capsys, *arguments, "--json"))


def test_a_backbone_in_a_table(capsys):
    lines = shown(capsys, "ResNet-50", "--data-shape", 224, "--num-classes", 3).splitlines()
    backbone, plan = ssdreg.get_backbone("resnet50"), ssdreg.plan("resnet50", 3, 224)
    parameters = parameter_count(backbone.symbol(), (224, 224))
    assert lines[0] == f"resnet50 at 224x224: {parameters:,} parameters, 4.09 G multiply-adds"
    assert lines[1].split() == ["stage", "stride", "cells", "channels", "blocks", "parameters",
                                "share", "multiply-adds", "share", "tap"]
    rows = lines[2:lines.index("")]
    assert [row.split()[0] for row in rows] == ["0", "1", "2", "3", "4", "last", "classifier",
                                                "total"]
    coarse = backbone.taps[-1]
    # its units by hand: 809 of 4,089 M
    assert rows[4].split() == ["4", "32", "7x7", "2048", "3", "14,974,976", "58.5%", "809.2", "M",
                               "19.8%", f"{coarse.node},", "feeds", "level", "1"]
    assert rows[0].endswith(f"  {backbone.taps[0].node}")
    assert rows[-1].split()[1:3] == [f"{parameters:,}", "100.0%"]
    # numbers end below one another
    ends = {row.index("%") for row in rows}
    assert len(ends) == 1

    assert lines[lines.index("") + 1] == (
        f"ssd on it, 3 classes: {plan.anchors:,} anchors; "
        f"the taps use 100.0% of the backbone's weights")
    levels = lines[lines.index("") + 3:]
    assert len(levels) == len(plan.levels)
    for index, (line, level) in enumerate(zip(levels, plan.levels)):
        assert line.split()[0] == str(index)
        assert (level.node or "level before") in line
        assert {f"{level.height}x{level.width}", f"{level.anchors:,}"} <= set(line.split())


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_json_adds_up(capsys, name):
    found = machine(capsys, name, "--data-shape", "256x320")
    parts = [*found["stages"], found["last_layers"], found["classifier"]]
    plan = ssdreg.plan(name, data_shape=(256, 320))
    backbone = ssdreg.get_backbone(name)
    for key in ("parameters", "multiply_adds"):
        assert sum(part[key] for part in parts) == found[key] > 0
        for stage in found["stages"]:
            assert sum(block[key] for block in stage["blocks"]) == stage[key]
    assert found["parameters"] == parameter_count(backbone.symbol(), (256, 320))
    assert found["data_shape"] == [256, 320]
    assert [(stage["stage"], stage["stride"], stage["channels"], stage["node"])
            for stage in found["stages"]] == [
        (tap.stage, tap.stride, tap.channels, tap.node) for tap in backbone.taps]
    assert [stage["node"] for stage in found["stages"] if stage["detects"]] == list(plan.taps)
    assert [level["anchors"] for level in found["plan"]["levels"]] == [
        level.anchors for level in plan.levels]
    assert 0 < found["weights_used"] <= found["weights"] < found["parameters"]


def test_options_reach_the_plan(capsys):
    found = machine(capsys, "resnet18", "--tap-strides", "8,16", "--head", "ssdlite",
                    "--num-classes", "7", "--sizes", "paper")["plan"]
    plan = ssdreg.plan("resnet18", 7, 300, "ssdlite", tap_strides=(8, 16), sizes="paper")
    assert (found["head"], found["num_classes"]) == ("ssdlite", 7)
    assert found["from_layers"] == list(plan.from_layers)
    assert found["sizes"] == [list(sizes) for sizes in plan.sizes]
    text = shown(capsys, "resnet18", "--tap-strides", "8,16")
    assert text.count("feeds level") == 2
    # the last stage is left out, which holds most of the weights
    assert "the taps use 24.9% of the backbone's weights" in text


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["resnet-51"], "no backbone is called 'resnet-51'"),
    (["resnet50", "--tap-strides", "7"], "has no tap at stride 7"),
    (["resnet50", "--data-shape", "16"], "take a larger data_shape"),
    (["resnet50", "--num-classes", "0"], "at least one class is needed"),
    (["resnet50", "--head", "sdd"], "no head is called 'sdd'"),
])
def test_bad_input_is_refused_in_one_sentence(capsys, arguments, sentence):
    assert refused(command(capsys, "show", *arguments), sentence)
