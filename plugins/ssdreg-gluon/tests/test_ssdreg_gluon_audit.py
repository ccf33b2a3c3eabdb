"""The SSD presets of GluonCV 0.10.5, judged: two of them tap the inside of a bottleneck."""

from __future__ import annotations

import importlib.util
import io
import math
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from ssdreg.cli.main import main

if importlib.util.find_spec("gluoncv") is None:
    pytest.skip("GluonCV is not installed (pip install gluoncv==0.10.5)", allow_module_level=True)

#: Preset: verdict, channels of the declared taps and of the right ones, by stride.
EXPECTED = {
    "ssd_300_vgg16_atrous_voc": ("right", {8: 512, 16: 1024}, {8: 512, 16: 1024}),
    "ssd_512_vgg16_atrous_voc": ("right", {8: 512, 16: 1024}, {8: 512, 16: 1024}),
    "ssd_512_resnet18_v1_voc": ("right", {16: 256, 32: 512}, {16: 256, 32: 512}),
    "ssd_512_resnet50_v1_voc": ("right", {16: 1024, 32: 2048}, {16: 1024, 32: 2048}),
    "ssd_512_resnet101_v2_voc": ("wrong", {16: 256, 32: 512}, {16: 1024, 32: 2048}),
    "ssd_512_resnet152_v2_voc": ("wrong", {8: 128, 16: 256, 32: 512},
                                 {8: 512, 16: 1024, 32: 2048}),
    "ssd_512_mobilenet1_0_voc": ("right", {16: 512, 32: 1024}, {16: 512, 32: 1024}),
    "ssd_300_mobilenet1_0_lite_coco": ("right", {16: 512, 32: 1024}, {16: 512, 32: 1024}),
    "ssd_300_mobilenet0_25_voc": ("right", {16: 128, 32: 256}, {16: 128, 32: 256}),
    # layer3's stride is set to 1: layer2 ends where layer3 goes on, and layer4 is at 16
    "ssd_300_resnet34_v1b_voc": ("altered", {8: 128, 16: 512}, {8: 256, 16: 512}),
}
README = Path(__file__).parents[3] / "README.md"
#: Values in the parameters and running moments of MXNet's own SSD example with VGG-16 at 300,
#: which GluonCV's preset repeats layer by layer.
VGG16_300 = 26_285_486


@pytest.fixture(scope="module")
def audit():
    from ssdreg.auditing import audit_gluoncv
    return audit_gluoncv()


@pytest.fixture(scope="module")
def found(audit):
    return {each.preset: each for each in audit.items}


def channels(layers):
    return {layer.stride: layer.channels for layer in layers}


def test_every_preset_is_judged(audit, found):
    assert {name: (each.verdict, channels(each.declared), channels(each.right))
            for name, each in found.items()} == EXPECTED
    assert not audit.passed


def test_no_preset_of_the_model_zoo_is_missing(audit):
    from gluoncv import model_zoo
    named = [name for each in audit.items for name in (each.preset, *each.also)]
    assert sorted(named) == sorted(name for name in vars(model_zoo) if name.startswith("ssd_")
                                   and callable(vars(model_zoo)[name]))
    assert len(named) >= 24


@pytest.mark.parametrize("name", EXPECTED)
def test_declared_channels_are_what_the_built_detector_reads(found, name):
    """The levels' own shapes, from the detector and not from the audit's graph."""
    from gluoncv import model_zoo

    from ssdreg.auditing.gluoncv_presets import block_outputs, record_preset
    from ssdreg.mx import mx
    preset = record_preset(name, vars(model_zoo)[name])
    levels = mx.sym.Group(block_outputs(preset.build().features))
    _, shapes, _ = levels.infer_shape_partial(data=(1, 3, preset.side, preset.side))
    taps = list(channels(found[name].declared).items())
    # 10 cells of 300 pixels are at stride 32: maps are rounded up at every step
    assert [(2 ** round(math.log2(preset.side / shape[2])), shape[1])
            for shape in shapes[:len(taps)]] == taps


def test_wrong_presets_leave_weights_unused_and_the_others_none(found):
    for each in found.values():
        if each.verdict == "wrong":
            assert 0.6 < each.share < 0.85
            assert each.published < each.corrected
            assert len(each.reasons) == len(each.declared)
            assert all("is inside a block, and another path goes around it" in reason
                       for reason in each.reasons)
        else:
            assert each.share > 0.999


def test_the_altered_one_says_what_follows(found):
    reason, = found["ssd_300_resnet34_v1b_voc"].reasons
    assert "is the end of a stage of resnet34_v1b, but the detector took a stride away" in reason
    assert "6 units follow on maps of the same 38x38 cells" in reason
    assert found["ssd_300_resnet34_v1b_voc"].corrected is None


def test_sizes_are_those_of_the_detector_with_values(found):
    from gluoncv import model_zoo

    from ssdreg.auditing.gluoncv_presets import record_preset
    from ssdreg.mx import mx
    assert found["ssd_300_vgg16_atrous_voc"].published == VGG16_300
    name = "ssd_300_mobilenet0_25_voc"
    detector = record_preset(name, vars(model_zoo)[name]).build()
    detector.initialize()
    detector(mx.nd.zeros((1, 3, 300, 300)))
    values = sum(parameter.data().size for parameter in detector.collect_params().values()
                 if not isinstance(parameter, mx.gluon.Constant))
    assert found[name].published == found[name].corrected == values


def test_corrected_sizes_differ_by_the_units_left_out_and_the_wider_taps(found):
    """Count ResNet-101's difference by hand, from the numbers of the network and the head."""
    each = found["ssd_512_resnet101_v2_voc"]
    unused = each.weights - each.weights_used
    # the last normalisation of a pre-activation network, and its running moments, lie behind
    # its last sum; whatever else was left out comes back
    behind = 4 * 2048
    per_cell = (4, 6, 6, 6, 4, 4)[:2]
    predictors = sum(3 * 3 * anchors * (21 + 4) * (right.channels - declared.channels)
                     for anchors, declared, right in zip(per_cell, each.declared, each.right))
    transition = 512 * (each.right[-1].channels - each.declared[-1].channels)
    assert each.corrected - each.published == unused - behind + predictors + transition


@pytest.fixture(scope="module")
def told():
    """What the command returns, and the lines that it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = main(["audit", "--gluoncv", "--markdown"])
    return status, printed.getvalue().splitlines()


def test_the_command_fails_and_prints_the_table(told):
    status, lines = told
    assert status == 1
    rows = [line for line in lines if line.startswith("| ssd_")]
    assert len(rows) == len(EXPECTED)
    assert [row.split(" | ")[0][2:] for row in rows if "**WRONG**" in row] == [
        "ssd_512_resnet101_v2_voc", "ssd_512_resnet152_v2_voc"]
    assert any(row.startswith("| ssd_512_resnet50_v1_voc, _coco, _custom |") for row in rows)


@pytest.mark.skipif(not README.is_file(), reason="the sources of ssdreg are not around")
def test_the_readme_shows_what_is_found(told):
    held = README.read_text(encoding="utf-8").partition("<!-- audit -->")[2]
    held = held.partition("<!-- /audit -->")[0].strip().splitlines()
    assert len(held) == len(EXPECTED) + 2
    assert [line for line in held if line not in told[1]] == []


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_is_there_again_afterwards(audit):
    import torch
    assert sys.modules["torch"] is torch
