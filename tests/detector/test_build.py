"""The same call gives the same symbol, and the symbol holds what it should and no more."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import paths

import ssdreg
from ssdreg.mx import mx

ROOT = paths.PROJECT
BUILT_IN = ("vgg16_reduced", "inceptionv3", "resnet18", "resnet34", "resnet50", "resnet101",
            "resnet152", "resnet200", "resnet269")
CALLS = [
    ("resnet18", {"mode": "train"}),
    ("resnet18", {"mode": "deploy"}),
    ("resnet18", {"mode": "train", "head": "ssdlite", "loss": "focal", "data_shape": (128, 192)}),
    ("vgg16_reduced", {"mode": "train"}),
    ("inceptionv3", {"mode": "deploy", "num_classes": 3, "data_shape": 299}),
]
IDS = ["-".join(map(str, (name, *settings.values()))) for name, settings in CALLS]


def text(name, settings):
    return ssdreg.build(name, **settings).tojson()


@pytest.fixture(scope="module")
def first():
    """Each call's symbol, as text, built once in order."""
    return [text(*call) for call in CALLS]


def test_the_hundredth_symbol_is_the_first(first):
    assert {text(*CALLS[0]) for _ in range(100)} == {first[0]}


def test_the_order_of_builds_does_not_matter(first):
    assert [text(*call) for call in reversed(CALLS)] == first[::-1]


@pytest.mark.parametrize("index", range(len(CALLS)), ids=IDS)
def test_other_work_in_between_does_not_matter(first, index):
    # automatic names, made here, count up in the thread's own name manager
    x = mx.sym.Variable("data")
    others = x + x * 2 + mx.sym.Convolution(x, kernel=(1, 1), num_filter=1)
    assert others.name.startswith("_plus")
    assert text(*CALLS[index]) == first[index]


@pytest.mark.parametrize("index", range(len(CALLS)), ids=IDS)
@pytest.mark.parametrize("scope", [mx.name.NameManager, lambda: mx.name.Prefix("mine_")],
                         ids=["NameManager", "Prefix"])
def test_someones_own_names_do_not_matter(first, index, scope):
    x = mx.sym.Variable("data")
    with scope():
        before = x + x
        assert text(*CALLS[index]) == first[index]
        after = x + x
    # and theirs go on where they were
    assert (before.name[-len("_plus0"):], after.name[-len("_plus1"):]) == ("_plus0", "_plus1")


def test_threads_do_not_matter(first):
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda call: text(*call), CALLS * 6))
    assert made == first * 6


def test_another_process_does_not_matter(first):
    code = ("import hashlib, ssdreg\n"
            f"for name, settings in {CALLS[::-1]!r}:\n"
            "    text = ssdreg.build(name, **settings).tojson()\n"
            "    print(hashlib.sha256(text.encode()).hexdigest())\n")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    wanted = [hashlib.sha256(symbol.encode()).hexdigest() for symbol in first[::-1]]
    assert done.stdout.split() == wanted


def test_aliases_and_declarations_build_the_same(first):
    assert text("ResNet-18", {"mode": "train"}) == first[0]
    assert text(ssdreg.get_backbone("resnet18"), {"mode": "train"}) == first[0]
    plan = ssdreg.plan("resnet18")
    assert ssdreg.assemble(ssdreg.get_backbone("resnet18").symbol(), plan).tojson() == first[0]


def test_a_symbol_survives_saving(first, tmp_path):
    path = tmp_path / "detector-symbol.json"
    mx.sym.load_json(first[0]).save(str(path))
    assert mx.sym.load(str(path)).tojson() == first[0]


@pytest.mark.parametrize(("name", "head"), [
    *((name, "ssd") for name in BUILT_IN), ("vgg16_reduced", "ssdlite"), ("resnet50", "ssdlite")])
def test_train_and_deploy_share_every_parameter(name, head):
    train = ssdreg.build(name, head=head)
    deploy = ssdreg.build(name, head=head, mode="deploy")
    assert train.list_auxiliary_states() == deploy.list_auxiliary_states()
    assert set(train.list_arguments()) - set(deploy.list_arguments()) == {"label"}
    shapes = shapes_of(train, data=(2, 3, 300, 300), label=(2, 4, 5))
    assert shapes_of(deploy, data=(2, 3, 300, 300)).items() <= shapes.items()


def shapes_of(symbol, **inputs):
    arguments, _, auxiliary = symbol.infer_shape(**inputs)
    return {**dict(zip(symbol.list_arguments(), arguments)),
            **dict(zip(symbol.list_auxiliary_states(), auxiliary))}


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("mode", ["train", "deploy"])
def test_the_backbone_up_to_its_taps_and_nothing_behind(name, mode):
    backbone = ssdreg.get_backbone(name).symbol()
    taps = ssdreg.plan(name).taps
    inside = backbone.get_internals()
    wanted = nodes(mx.sym.Group([inside[f"{tap}_output"] for tap in taps]))
    behind = nodes(backbone) - wanted
    held = nodes(ssdreg.build(name, mode=mode))
    assert wanted <= held
    assert behind  # the classifier, at least
    assert not behind & held


def nodes(symbol):
    return {node["name"] for node in json.loads(symbol.tojson())["nodes"]}


@pytest.mark.parametrize("data_shape", [300, (256, 320), (320, 192)])
@pytest.mark.parametrize(("head", "loss"), [("ssd", "softmax"), ("ssd", "focal"),
                                            ("ssdlite", "softmax"), ("ssdlite", "focal")])
@pytest.mark.parametrize("name", ["vgg16_reduced", "resnet18"])
def test_outputs(name, head, loss, data_shape):
    settings = {"num_classes": 7, "data_shape": data_shape, "head": head, "loss": loss}
    plan = ssdreg.plan(name, **settings)
    data = (3, 3, *plan.data_shape)
    count = plan.anchors

    train = ssdreg.build(name, **settings)
    _, shapes, _ = train.infer_shape(data=data, label=(3, 5, 6))
    assert dict(zip(train.list_outputs(), shapes)) == {
        "cls_prob_output": (3, 8, count), "loc_loss_output": (3, count * 4),
        "cls_label_output": (3, count), "det_out_output": (3, count, 6)}

    deploy = ssdreg.build(name, mode="deploy", **settings)
    _, shapes, _ = deploy.infer_shape(data=data)
    assert dict(zip(deploy.list_outputs(), shapes)) == {"detection_output": (3, count, 6)}


@pytest.mark.parametrize("name", ["vgg16_reduced", "inceptionv3", "resnet18"])
@pytest.mark.parametrize("head", ["ssd", "ssdlite"])
@pytest.mark.parametrize("data_shape", [300, (256, 320)])
def test_the_plan_counts_levels_as_the_symbol_has_them(name, head, data_shape):
    plan = ssdreg.plan(name, data_shape=data_shape, head=head)
    inside = ssdreg.build(name, data_shape=data_shape, head=head, mode="deploy").get_internals()
    _, shapes, _ = inside.infer_shape(data=(1, 3, *plan.data_shape))
    by_output = dict(zip(inside.list_outputs(), shapes))
    anchors = [shape[1] for output, shape in by_output.items()
               if output.endswith("_anchors_output") and not output.startswith("multibox")]
    assert anchors == [level.anchors for level in plan.levels]
    for level in plan.levels:
        if level.node:
            assert by_output[f"{level.node}_output"] == (
                1, level.channels, level.height, level.width)


def test_unknown_modes_are_refused():
    with pytest.raises(ssdreg.PlanError, match=r"mode='test': there are train, deploy"):
        ssdreg.build("resnet18", mode="test")


def test_taps_of_another_depth_are_refused():
    # ResNet-50's layers lie in the middle of ResNet-101's third stage
    with pytest.raises(ssdreg.TapError, match="'_plus29'"):
        ssdreg.build("resnet101", from_layers=["_plus12", "_plus15", "", "", "", ""])
