from __future__ import annotations

import inspect
import random
import re

import attrs
import pytest

import ssdreg
from ssdreg import Plan, PlanError, Preprocessing, Preset, plan
from ssdreg.detector.overrides import Overrides

NAN, INF = float("nan"), float("inf")
FIVE = ("vgg16_reduced", "inceptionv3", "resnet18", "resnet50", "resnet101")


def sides(made) -> list[tuple[int, int]]:
    return [(level.height, level.width) for level in made.levels]


def refused(backbone="resnet50", **overrides) -> str:
    with pytest.raises(PlanError) as caught:
        plan(backbone, **overrides)
    return str(caught.value)


# Known detectors, number by number.

def test_ssd300_on_vgg16_is_the_papers():
    made = plan("vgg16_reduced", 20, 300)
    assert sides(made) == [(side, side) for side in (38, 19, 10, 5, 3, 1)]
    assert made.anchors == 8732  # Liu et al. 2016, section 3.1
    assert made.from_layers == ("relu4_3", "relu7", "", "", "", "")
    assert made.num_filters == (512, -1, 512, 256, 256, 256)
    assert made.strides == (-1, -1, 2, 2, 1, 1)
    assert made.pads == (-1, -1, 1, 1, 0, 0)
    assert made.normalizations == (20.0, -1, -1, -1, -1, -1)
    assert made.sizes == ((0.1, 0.141), (0.2, 0.272), (0.37, 0.447), (0.54, 0.619),
                          (0.71, 0.79), (0.88, 0.961))
    third = 1 / 3
    assert made.ratios == ((1, 2, 0.5), *[(1, 2, 0.5, 3, third)] * 3, (1, 2, 0.5), (1, 2, 0.5))
    assert [step * 300 for step in made.steps] == pytest.approx([8, 16, 32, 64, 100, 300])


def test_ssd512_on_vgg16_is_the_examples():
    made = plan("vgg16_reduced", 20, 512)
    assert sides(made) == [(side, side) for side in (64, 32, 16, 8, 4, 2, 2)]
    assert made.sizes == ((0.07, 0.1025), (0.15, 0.2121), (0.3, 0.3674), (0.45, 0.5196),
                          (0.6, 0.6708), (0.75, 0.8216), (0.9, 0.9721))


def test_resnet50_at_300_is_the_examples():
    made = plan("resnet50", 20, 300)
    assert made.from_layers == ("_plus12", "_plus15", "", "", "", "")
    assert made.num_filters == (-1, -1, 512, 256, 256, 128)
    assert sides(made) == [(side, side) for side in (19, 10, 5, 3, 2, 1)]
    assert made.anchors == 4 * 361 + 6 * 100 + 6 * 25 + 6 * 9 + 4 * 4 + 4 * 1
    assert made.steps == ()


def test_the_papers_formula_is_there_by_name():
    made = plan("resnet50", sizes="paper")
    scales = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
    expected = [(low, (low * high) ** 0.5) for low, high in zip(scales, scales[1:])]
    for sizes, wanted in zip(made.sizes, expected):
        assert sizes == pytest.approx(wanted)


@pytest.mark.parametrize(("levels", "sizes"), [
    (1, ((0.2, 0.424),)),
    (2, ((0.1, 0.141), (0.2, 0.424))),
    (3, ((0.1, 0.141), (0.2, 0.424), (0.9, 1.2))),
])
def test_few_levels_have_sizes_too(levels, sizes):
    made = plan("resnet50", from_layers=("_plus12", *[""] * (levels - 1)))
    assert made.sizes == sizes


# Whatever the shape: no level empty, none repeated, everything adds up.

def shapes(count: int) -> list[tuple[int, int]]:
    chance = random.Random(7)
    return [(chance.randint(80, 700), chance.randint(80, 700)) for _ in range(count)] + \
        [(80, 80), (80, 700), (700, 80), (512, 512), (300, 300), (96, 97)]


@pytest.mark.parametrize("backbone", FIVE)
def test_levels_of_any_shape(backbone):
    source = ssdreg.get_backbone(backbone)
    for shape in shapes(14):
        made = plan(backbone, 20, shape)
        maps = sides(made)
        count = len(made.from_layers)
        assert all(min(size) >= 1 for size in maps), shape
        if source.preset(shape) is None:
            assert maps[-1] == (1, 1), shape
            areas = [height * width for height, width in maps]
            assert areas == sorted(set(areas), reverse=True), shape
        for name in ("num_filters", "strides", "pads", "sizes", "ratios", "normalizations"):
            assert len(getattr(made, name)) == count, (shape, name)
        assert made.anchors == sum(
            height * width * (len(sizes) + len(ratios) - 1)
            for (height, width), sizes, ratios in zip(maps, made.sizes, made.ratios))
        assert all(low < high for low, high in zip(made.sizes, made.sizes[1:]))


@pytest.mark.parametrize("shape", [(150, 210), (300, 300)])
@pytest.mark.parametrize("backbone", ["resnet18", "vgg16_reduced", "inceptionv3"])
def test_the_symbol_has_what_the_plan_says(backbone, shape):
    made = plan(backbone, 3, shape)
    symbol = ssdreg.build(backbone, 3, shape, mode="deploy")
    internals = symbol.get_internals()
    _, outputs, _ = internals.infer_shape(data=(2, 3, *shape))
    found = dict(zip(internals.list_outputs(), outputs))
    assert found["detection_output"] == (2, made.anchors, 6)
    for tap, level in zip(made.taps, made.levels):
        assert found[f"{tap}_output"] == (2, level.channels, level.height, level.width)


# Overrides

def test_detect_picks_taps_by_stride():
    made = plan("resnet50", tap_strides=(8, 16, 32))
    assert made.taps == ("_plus6", "_plus12", "_plus15")
    assert [level.channels for level in made.levels[:4]] == [512, 1024, 2048, 256]
    assert plan("resnet50", tap_strides=[32, 16]).taps == ("_plus12", "_plus15")


def test_detect_puts_a_preset_aside():
    made = plan("vgg16_reduced", tap_strides=(8, 16))
    assert sides(made)[-1] == (1, 1)
    assert made.steps == ()


def test_a_preset_may_give_steps_alone():
    source = attrs.evolve(ssdreg.get_backbone("resnet50"), presets=(
        Preset(data_shape=300, steps=(16, 32, 64, 100, 150, 300)),))
    assert plan(source).steps[0] == pytest.approx(16 / 300)


def test_from_layers_sets_the_number_of_levels():
    made = plan("resnet50", from_layers=["_plus6_output", " _plus12 ", ""])
    assert made.from_layers == ("_plus6", "_plus12", "")
    assert sides(made) == [(38, 38), (19, 19), (10, 10)]


@pytest.mark.parametrize(("field", "value", "stored"), [
    ("num_filters", [-1, -1, 64, 64, 32, 32], (-1, -1, 64, 64, 32, 32)),
    ("num_filters", [1024, 2048, 64, 64, 32, 32], (1024, 2048, 64, 64, 32, 32)),
    ("strides", [-1, -1, 1, 2, 2, 2], (-1, -1, 1, 2, 2, 2)),
    ("pads", [-1, -1, 0, 1, 1, 1], (-1, -1, 0, 1, 1, 1)),
    ("sizes", [[0.1 * level] for level in range(1, 7)],
     tuple((0.1 * level,) for level in range(1, 7))),
    ("ratios", [[1, 2]] * 6, ((1, 2),) * 6),
    ("normalizations", [20, -1, -1, -1, -1, -1], (20, -1, -1, -1, -1, -1)),
    ("steps", [0.1, 0.2, 0.3, 0.4, 0.5, (0.6, 0.7)],
     (0.1, 0.2, 0.3, 0.4, 0.5, (0.6, 0.7))),
    ("steps", [], ()),
    ("variances", [0.1, 0.1, 0.3, 0.3], (0.1, 0.1, 0.3, 0.3)),
    ("nms_threshold", 0.45, 0.45),
    ("nms_topk", -1, -1),
    ("force_suppress", True, True),
    ("loss", "focal", "focal"),
    ("box_loss", "giou", "giou"),
    ("preprocessing", Preprocessing(std=(58, 57, 57)), Preprocessing(std=(58, 57, 57))),
])
def test_every_field_can_be_overridden(field, value, stored):
    made = plan("resnet50", **{field: value})
    assert getattr(made, field) == stored
    derived = plan("resnet50")
    assert made != derived or stored == getattr(derived, field)
    assert hash(made) == hash(plan("resnet50", **{field: value}))


def test_what_depends_on_an_override_follows_it():
    made = plan("resnet50", strides=(-1, -1, 1, 2, 2, 2), sizes=[[0.5]] * 6, ratios=[[1]] * 6,
                normalizations=(20, -1, -1, -1, -1, -1))
    assert sides(made)[1:] == [(10, 10), (10, 10), (5, 5), (3, 3), (2, 2)]
    assert made.anchors == 361 + 100 + 100 + 25 + 9 + 4
    assert made.num_filters[:2] == (1024, -1)  # a tap with L2 normalisation has its channels


def test_a_plan_is_frozen_and_hashable():
    made = plan("resnet50")
    assert {made: 1}[plan("ResNet-50", 20, (300, 300))] == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.loss = "focal"


# What a head asks of its plan

def head(**defaults):
    return ssdreg.Head(name="own", summary="a head with numbers of its own",
                       paper="https://example.org", predict="ssdreg.heads.ssd:predict",
                       defaults=ssdreg.PlanDefaults(**defaults))


def test_a_head_that_asks_for_nothing_has_the_plan_of_ssd():
    for backbone in FIVE:
        made = plan(backbone, head=head())
        assert attrs.evolve(made, head="ssd") == plan(backbone)


def test_a_head_may_take_every_tap_of_a_stride_and_coarser():
    backbone = ssdreg.get_backbone("resnet50")
    for stride, strides in ((8, (8, 16, 32)), (32, (32,)), (64, backbone.tap_strides)):
        made = plan(backbone, head=head(least_stride=stride))
        assert made.taps == tuple(backbone.tap(each).node for each in strides)
    made = plan(backbone, head=head(least_stride=8), tap_strides=(16,))
    assert made.taps == (backbone.tap(16).node,)


@pytest.mark.parametrize(("most", "shape", "count"), [(0, 300, 2), (2, 300, 4), (9, 300, 6),
                                                      (2, 64, 3)])
def test_a_head_may_limit_the_levels_behind_the_taps(most, shape, count):
    made = plan("resnet50", data_shape=shape, head=head(extra_levels=most))
    assert len(made.levels) == count
    usual = plan("resnet50", data_shape=shape)
    assert sides(made) == sides(usual)[:count]
    assert made.num_filters == usual.num_filters[:count]


def test_a_head_may_have_as_many_channels_on_every_level():
    made = plan("vgg16_reduced", head=head(channels=96))
    assert {level.channels for level in made.levels} == {96}
    assert made.projections[:2] == (96, 96)
    assert set(made.normalizations) == {-1}  # a projected tap needs no scale
    assert made.num_filters[2:] == (96,) * (len(made.levels) - 2)
    named = plan("vgg16_reduced", head=head(channels=96), from_layers=made.from_layers)
    assert attrs.evolve(named, steps=made.steps) == made


def test_published_numbers_are_for_heads_that_leave_the_levels_to_the_backbone():
    ssd = plan("vgg16_reduced")
    assert plan("vgg16_reduced", head=head(ratios=(1, 2))).steps == ssd.steps != ()
    for defaults in ({"least_stride": 8}, {"extra_levels": 4}, {"channels": 32}):
        assert plan("vgg16_reduced", head=head(**defaults)).steps == ()


def test_a_head_may_have_its_sizes_in_cells():
    own = head(cells=(3, 4), ratios=(1, 0.5))
    made = plan("resnet50", head=own)
    for level, sizes in zip(made.levels, made.sizes):
        # no less than the image, where three cells are more than that
        assert sizes[0] == pytest.approx(min(3 / level.height, 1))
        assert sizes[1] == pytest.approx(sizes[0] * 4 / 3)
        assert level.anchors_per_cell == 3
    assert set(made.ratios) == {(1, 0.5)}
    assert plan("resnet50", head=own, sizes="head") == made
    assert plan("resnet50", head=own, sizes="example").sizes == plan("resnet50").sizes
    assert plan("resnet50", sizes="head") == plan("resnet50")


def test_the_losses_are_the_heads():
    own = attrs.evolve(head(), losses=("giou", "focal"))
    assert plan("resnet50", head=own).loss == "giou"
    assert plan("resnet50", head=own, loss="focal").loss == "focal"
    assert "loss must be giou or focal, not 'softmax', for the head 'own'" in refused(
        head=own, loss="softmax")


@pytest.mark.parametrize(("overrides", "message"), [
    ({}, "level 1 has 2048 channels and level 0 has 1024: the levels of the head 'own' share "
         "their predictors, and must have the same number"),
    ({"projections": [64, 64, -1], "num_filters": [-1, -1, 64],
      "ratios": [(1,), (1,), (1, 2)]},
     "level 2 has 3 anchors a cell and level 0 has 2"),
])
def test_levels_that_share_predictors_must_be_alike(overrides, message):
    assert message in refused(head=head(uniform=True, extra_levels=1), **overrides)


@pytest.mark.parametrize("defaults", [
    {"least_stride": 0}, {"extra_levels": -1}, {"channels": 0}, {"channels": 1.5},
    {"cells": (4, 0)}, {"ratios": (-1,)}, {"uniform": "yes"}])
def test_defaults_that_cannot_be_are_refused(defaults):
    with pytest.raises((TypeError, ValueError), match=next(iter(defaults))):
        ssdreg.PlanDefaults(**defaults)


# Errors, as their reader sees them.

@pytest.mark.parametrize(("arguments", "message"), [
    # a shape too small
    ({"data_shape": 16}, "level 1 ('_plus15') would be 1x1 cells, as level 0 is: the input is too "
                         "small for this backbone's detection taps; take a larger data_shape or "
                         "fewer tap_strides"),
    ({"backbone": "vgg16_reduced", "data_shape": 8},
     "level 1 ('relu7') cannot be reached: the backbone does not accept an input of 8x8 pixels, "
     "at node 'pool4': kernel size (2) exceeds input (1 padded to 1); take a larger data_shape"),
    ({"backbone": "inceptionv3", "data_shape": (300, 64)},
     "level 2 ('ch_concat_mixed_10_chconcat') cannot be reached: the backbone does not accept an "
     "input of 300x64 pixels"),
    ({"from_layers": ("_plus15", "", ""), "data_shape": 32, "pads": (-1, 1, 0)},
     "level 2 would be empty: a 3x3 convolution with stride 2 and pad 0 does not fit the 1x1 map "
     "of level 1; take a larger data_shape or fewer levels"),
    # a shape that is none
    ({"data_shape": 0}, "data_shape=0 is neither a side in pixels nor (height, width)"),
    ({"data_shape": 300.0}, "data_shape=300.0 is neither"),
    ({"data_shape": "300"}, "data_shape='300' is neither"),
    ({"data_shape": (3, 300, 300)}, "data_shape=(3, 300, 300) is neither"),
    ({"num_classes": 0}, "num_classes=0: at least one class is needed"),
    # taps
    ({"tap_strides": (64,)}, "tap_strides=(64,): backbone 'resnet50' has no tap at stride 64: "
                        "its taps are at 2, 4, 8, 16, 32"),
    ({"tap_strides": ()}, "tap_strides=() must list at least one stride, each once"),
    ({"tap_strides": (16, 16)}, "tap_strides=(16, 16) must list at least one stride, each once"),
    ({"tap_strides": 16}, "tap_strides=16 must be a list or tuple"),
    ({"from_layers": "_plus12"}, "from_layers='_plus12' must be a list or tuple"),
    ({"from_layers": ("", "_plus12")}, "must name backbone nodes first and then \"\""),
    ({"from_layers": ("_plus1222", "")}, "level 0: there is no node '_plus1222': did you mean"),
    ({"from_layers": ("_plus12", "fc1")},
     "level 1: 'fc1' is no feature map: its shape is (1, 1000)"),
    # an entry per level
    ({"num_filters": (-1, -1, 8)}, "num_filters has 3 entries, but there are 6 levels (0 to 5); "
                                   "give from_layers too to change their number"),
    ({"steps": (0.1, 0.2)}, "steps has 2 entries, but there are 6 levels"),
    ({"sizes": 5}, "sizes=5 must be a list or tuple"),
    ({"sizes": "exmple"}, "sizes='exmple' is no scheme: there are example, paper"),
    # entries that cannot be
    ({"sizes": (0.1,) * 6}, "level 0: sizes must hold positive numbers, at least one, not 0.1"),
    ({"sizes": ((0.1,),) * 5 + ((),)}, "level 5: sizes must hold positive numbers"),
    ({"ratios": ((1,),) * 4 + ((1, -2),) * 2}, "level 4: ratios must hold positive numbers"),
    ({"num_filters": (-1, -1, "a", 8, 8, 8)}, "level 2: num_filters must hold a whole number"),
    ({"num_filters": (-1, -1, 8, 0, 8, 8)},
     "level 3 is made by a convolution: its stride (2) and channels (0) must be positive"),
    ({"num_filters": (7, -1, 8, 8, 8, 8)},
     "level 0 is the backbone's '_plus12': its entries in strides and pads must be -1, not -1 and "
     "-1, and in num_filters -1 or its channels (1024), not 7"),
    ({"strides": (-1, 2, 2, 2, 2, 2)}, "level 1 is the backbone's '_plus15'"),
    ({"strides": (-1, -1, 2, 2, 2, 0)}, "level 5 is made by a convolution: its stride (0)"),
    ({"pads": (-1, -1, -1, 1, 1, 1)}, "its pad (-1) not negative"),
    ({"normalizations": (0,) * 6}, "level 0: normalizations must hold a positive number, or -1"),
    ({"steps": (0,) * 6}, "level 0: steps must hold a positive number, or two of them"),
    ({"steps": ((0.1, 0.1, 0.1),) * 6}, "level 0: steps must hold a positive number, or two"),
    # the rest
    ({"variances": (0.1, 0.2)}, "variances must be four positive numbers, not (0.1, 0.2)"),
    ({"nms_threshold": 7}, "nms_threshold must be a number above 0, at most 1, not 7"),
    ({"nms_topk": 0}, "nms_topk must be a positive whole number, or -1 for all, not 0"),
    ({"force_suppress": "no"}, "force_suppress must be True or False, not 'no'"),
    ({"loss": "hinge"}, "loss must be softmax or focal, not 'hinge'"),
    ({"box_loss": "l2"}, "box_loss must be smooth_l1 or giou, not 'l2'"),
    ({"preprocessing": (1, 2, 3)}, "preprocessing must be a ssdreg.Preprocessing, not (1, 2, 3)"),
    # no numbers
    ({"sizes": ((NAN,),) * 6}, "level 0: sizes must hold positive numbers, at least one, not (nan"),
    ({"sizes": ((0.1, INF),) * 6}, "level 0: sizes must hold positive numbers, at least one"),
    ({"ratios": ((1, NAN),) * 6}, "level 0: ratios must hold positive numbers, at least one"),
    ({"normalizations": (NAN,) * 6}, "level 0: normalizations must hold a positive number"),
    ({"normalizations": (True,) * 6}, "level 0: normalizations must hold a positive number"),
    ({"steps": (INF,) * 6}, "level 0: steps must hold a positive number, or two of them"),
    ({"variances": (0.1, 0.1, NAN, 0.2)}, "variances must be four positive numbers"),
    ({"nms_threshold": NAN}, "nms_threshold must be a number above 0, at most 1, not nan"),
    ({"nms_topk": INF}, "nms_topk must be a positive whole number, or -1 for all, not inf"),
    ({"num_classes": True}, "num_classes=True: at least one class is needed"),
    # no names
    ({"backbone": 5}, "backbone must be the name of a backbone, not 5"),
    ({"head": 5}, "head must be the name of a head, not 5"),
    ({"loss": 5}, "loss must be the name of a loss, not 5"),
    ({"box_loss": 5}, "box_loss must be the name of a loss of boxes, not 5"),
    ({"from_layers": ("_plus12", 5)}, "level 1: from_layers must hold the name of a node, or"),
    ({"tap_strides": ("a", 16)}, "tap_strides=('a', 16) must list at least one stride"),
])
def test_errors_say_what_and_where(arguments, message):
    assert message in refused(**arguments)


@pytest.mark.parametrize("function", [plan, ssdreg.build])
def test_a_misspelt_argument_is_none(function):
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        function("resnet50", size=3)


@pytest.mark.parametrize("function", [plan, ssdreg.build])
def test_arguments_are_named_and_typed(function):
    """What an editor completes: all that may be given, and nothing that takes any name."""
    found = [each for each in inspect.signature(function).parameters.values()
             if each.kind is not each.POSITIONAL_OR_KEYWORD]
    assert [each.name for each in found] == [each.name for each in attrs.fields(Overrides)]
    assert all(each.kind is each.KEYWORD_ONLY for each in found)
    assert all(each.annotation is not each.empty for each in found)
    given = Overrides()
    assert {each.name: each.default for each in found} == {
        each.name: getattr(given, each.name) for each in found}
    for name in ("variances", "nms_threshold", "nms_topk", "force_suppress"):
        assert getattr(given, name) == getattr(attrs.fields(Plan), name).default


# A plan is held to the same as arguments are, however it is made.

@pytest.mark.parametrize(("field", "value"), [
    ("num_classes", 0), ("num_classes", 2.5), ("data_shape", (300, -1)), ("data_shape", "300"),
    ("head", 5), ("from_layers", ("", "_plus12", "", "", "", "")), ("from_layers", "_plus12"),
    ("num_filters", (-1, -1, 8)), ("num_filters", (7, -1, 512, 256, 256, 128)),
    ("num_filters", (-1, -1, 0, 256, 256, 128)), ("strides", (-1, 2, 2, 2, 2, 2)),
    ("strides", (-1, -1, 2, 2, 2, 0)), ("pads", (-1, -1, -1, 1, 1, 1)), ("pads", 1),
    ("sizes", ((0.1,),) * 5 + ((),)), ("sizes", ((NAN,),) * 6), ("ratios", ((1, -2),) * 6),
    ("normalizations", (0,) * 6), ("projections", (0,) * 6), ("projections", (-1,) * 5 + (8,)),
    ("steps", (0.1, 0.2)), ("steps", ((0.1, 0.1, 0.1),) * 6), ("variances", (0.1, 0.2)),
    ("nms_threshold", INF), ("nms_topk", 0), ("force_suppress", 1), ("loss", 5),
    ("box_loss", 5), ("preprocessing", None),
])
def test_a_plan_refuses_what_an_argument_may_not_be(field, value):
    made = plan("resnet50")
    with pytest.raises(PlanError) as caught:
        attrs.evolve(made, **{field: value})
    if (field, value) != ("preprocessing", None):  # which is to be derived, as an argument
        assert str(caught.value) == refused(**{field: value})


def level(made, index, **changes):
    return tuple(attrs.evolve(each, **changes) if place == index else each
                 for place, each in enumerate(made.levels))


@pytest.mark.parametrize(("index", "changes", "message"), [
    (2, {"height": 4}, "level 2 has 4x5 cells, but what makes it has 5x5"),
    (2, {"height": -5}, "level 2: height must be a positive whole number, not -5"),
    (0, {"width": 1.5}, "level 0: width must be a positive whole number, not 1.5"),
    (3, {"channels": 8}, "level 3 has 8 channels, but what makes it has 256"),
    (1, {"anchors_per_cell": 9}, "level 1 has 9 anchors a cell, but its sizes and ratios make 6"),
    (1, {"node": "_plus14"}, "level 1 is '_plus15' in from_layers and '_plus14' in levels"),
])
def test_levels_are_those_that_follow(index, changes, message):
    made = plan("resnet50")
    with pytest.raises(PlanError, match=f"^{re.escape(message)}$"):
        attrs.evolve(made, levels=level(made, index, **changes))


@pytest.mark.parametrize("levels", [(), (5,) * 6, 5])
def test_levels_are_levels(levels):
    with pytest.raises(PlanError, match="levels"):
        attrs.evolve(plan("resnet50"), levels=levels)


def test_other_sizes_may_be_more_or_fewer():
    made = plan("resnet50")
    other = made.with_sizes([[0.1, 0.2, 0.3]] * 6)
    assert [each.anchors_per_cell for each in other.levels] == [
        each.anchors_per_cell + 1 for each in made.levels]
    assert other.with_sizes(made.sizes) == made
    with pytest.raises(PlanError, match="anchors a cell, but its sizes and ratios make"):
        attrs.evolve(made, sizes=other.sizes)
