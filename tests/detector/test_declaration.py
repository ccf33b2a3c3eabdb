"""A declaration that is not complete, one that says why, and what a choice leaves unused."""

from __future__ import annotations

import json
import warnings

import attrs
import pytest
from support.nets import NETS, classifier, conv_relu, inverted, relu, residual
from support.runs import command

import ssdreg
from ssdreg import DetectorWarning, StopsAt, Tap, TapError
from ssdreg.detector.declaration import LEAST_COVERAGE, verify_backbone
from ssdreg.detector.families import check
from ssdreg.graph.finding import complete
from ssdreg.mx import mx

sym = mx.sym
REASON = "its objects are small"


def taps_of(net, first=1):
    return tuple(Tap(stage, stride, channels, node)
                 for stage, (stride, node, channels) in enumerate(NETS[net][1], start=first))


def declare(build=residual, taps=None, **changes):
    taps = taps_of("residual") if taps is None else taps
    return ssdreg.Backbone(**{"name": "mine", "family": "mine", "depth": 1, "build": build,
                              "taps": taps, "paper": "https://example.org", **changes})


def complaint(backbone, data_shape=64):
    with pytest.raises(TapError) as caught:
        verify_backbone(backbone, data_shape)
    return str(caught.value)


# Complete

@pytest.mark.parametrize("shape", [64, (96, 160)])
@pytest.mark.parametrize("net", NETS)
def test_small_nets_of_every_kind(net, shape):
    make, ends = NETS[net]
    found = verify_backbone(declare(make, taps_of(net)), shape)
    assert [end.node for end in found.stages] == [node for _, node, _ in ends]
    assert verify_backbone(declare(make, ()), shape).stages == found.stages
    # a stem may be stage 0, the first stage 1
    assert verify_backbone(declare(make, taps_of(net, first=0)), shape) == found


def test_coverage_is_that_of_what_detects():
    taps = taps_of("residual")
    all_of_it = verify_backbone(declare(tap_strides=(4, 8)), 64)
    half = verify_backbone(declare(tap_strides=(2, 4)), 64)
    assert (all_of_it.coverage, all_of_it.taps) == (1.0, (taps[1].node, taps[2].node))
    assert 0.2 < half.coverage < 0.4
    assert half == attrs.evolve(ssdreg.verify(residual(), taps[:2], 64))


def test_a_preset_detects_what_it_says():
    preset = ssdreg.Preset(data_shape=64, tap_strides=(4, 8))
    made = declare(tap_strides=(2, 4), presets=(preset,))
    assert verify_backbone(made, 64).coverage == 1.0
    assert verify_backbone(made, 96).coverage < LEAST_COVERAGE


# Not complete

def test_a_forgotten_tap_is_named_with_what_it_costs():
    first, second, last = taps_of("residual")
    said = complaint(declare(taps=(first, second)))
    assert ("the last tap is missing: 's3u2_out' (stride 8, 32 channels) ends a stage behind "
            "'s2u2_out' and is not declared") in said
    share = verify_backbone(declare(tap_strides=(2, 4)), 64).coverage
    assert f"They use {share:.1%} of the backbone's weights" in said
    assert f"{1 - share:.1%} are lost" in said
    assert "8: 's3u2_out' (32 channels)" in said
    said = complaint(declare(taps=(second, last)))
    assert "the first tap is missing: 'stem_relu' (stride 2, 8 channels)" in said
    assert "weights" not in said  # none is lost
    assert "a tap is missing: 's2u2_out' (stride 4, 16 channels)" in complaint(
        declare(taps=(first, attrs.evolve(last, stage=3))))


@pytest.mark.parametrize(("net", "index", "node", "rest"), [
    ("residual", 1, "s2u2_sum", "s2u2_out"),          # the activation behind a sum
    ("separable", 2, "dw4_relu", "pw4_relu"),         # a pair's pointwise convolution
    ("dilated", 1, "c3", "c3_relu"),
])
def test_a_tap_in_front_of_the_end(net, index, node, rest):
    taps = list(taps_of(net))
    channels = {"dw4_relu": 32}.get(node, taps[index].channels)
    taps[index] = attrs.evolve(taps[index], node=node, channels=channels)
    said = complaint(declare(NETS[net][0], taps))
    assert f"{node!r} is not quite the end of stage {index + 1}" in said
    assert f"{rest!r} still belongs to its last block" in said
    # whoever chooses layers for one detector may
    assert ssdreg.verify(NETS[net][0](), taps, 64).taps[index] == node


def test_a_tap_behind_the_end_has_all_of_its_stage():
    stem, middle, last = taps_of("inverted")
    expanded = attrs.evolve(middle, node="b3_expand_relu", channels=48)
    assert verify_backbone(declare(inverted, (stem, expanded, last)), 64).taps == (
        "b3_expand_relu", "b3_out")


@pytest.mark.parametrize(("numbers", "wrong"), [
    ((1, 2, 4), {"s3u2_out": 3}), ((0, 1, 3), {"s3u2_out": 2}), ((2, 2, 3), {"stem_relu": 1}),
    ((2, 3, 4), {"stem_relu": 0, "s2u2_out": 1, "s3u2_out": 2}),
    ((3, 2, 1), {"stem_relu": 1, "s3u2_out": 3}),
])
def test_a_stage_number_that_is_not_its_place(numbers, wrong):
    taps = [attrs.evolve(tap, stage=number) for tap, number in zip(taps_of("residual"), numbers)]
    said = complaint(declare(taps=taps))
    for node, place in wrong.items():
        assert f"{node!r} is declared as the end of stage " in said
        assert f"is stage {place} of " in said
    assert said.count("  - ") == len(wrong)


def test_a_trunk_that_goes_on_behind_the_last_tap():
    def build():
        x = conv_relu(conv_relu(sym.Variable("data"), "c2", 8, stride=2), "c4", 8, stride=2)
        x = sym.Convolution(x, num_filter=8, kernel=(3, 3), stride=(2, 1), pad=(1, 1), name="tall")
        return classifier(relu(x, "tall_relu"))
    taps = (Tap(1, 2, 8, "c2_relu"), Tap(2, 4, 8, "c4_relu"))
    said = complaint(declare(build, taps))
    assert ("the trunk goes on behind the last tap, 'c4_relu', with 'tall' (stride 8x4) up to "
            "'tall_relu': declare where that ends, or say with stops_at why it is left out") in said
    assert "40.6% are lost" in said
    stated = declare(build, taps, stops_at=StopsAt(4, "the rest reads lines of text"))
    assert verify_backbone(stated, 64).taps == ("c2_relu", "c4_relu")


def test_one_pointwise_convolution_may_follow_the_last_stage_and_no_second():
    def build(count):
        x = conv_relu(conv_relu(sym.Variable("data"), "c2", 8, stride=2), "c4", 8, stride=2)
        for index in range(count):
            x = conv_relu(sym.Dropout(x), f"c4_pw{index}", 8, kernel=1)
        x = conv_relu(x, "s4", 8, groups=8)
        x = conv_relu(x, "narrow", 8, kernel=1)
        for index in range(count):
            x = conv_relu(x, f"wide{index}", 64, kernel=1)
        return classifier(x)
    taps = (Tap(1, 2, 8, "c2_relu"), Tap(2, 4, 8, "narrow_relu"))
    assert verify_backbone(declare(lambda: build(1), taps), 64).taps[-1] == "narrow_relu"
    said = complaint(declare(lambda: build(2), taps))
    assert "the trunk goes on behind the last tap, 'narrow_relu', with 'wide1' (stride 4) up to " \
           "'wide1_relu'" in said


def test_stages_in_branches_are_not_lost_unseen():
    def build():
        x = conv_relu(sym.Variable("data"), "c2", 8, stride=2)
        fine, coarse = (conv_relu(x, name, 8, stride=2) for name in ("left", "right"))
        return mx.sym.Group([classifier(fine), sym.Flatten(coarse)])
    said = complaint(declare(build, (Tap(1, 2, 8, "c2_relu"),)))
    assert "the network is no chain of stages: behind 'c2_relu' (stride 2) it parts into " in said


def test_what_prepares_the_picture_is_no_stage():
    def build():
        data = sym.Variable("data")
        x = sym.broadcast_sub(data, sym.mean(data, axis=(2, 3), keepdims=True), name="centred")
        return classifier(conv_relu(conv_relu(x, "c2", 8, stride=2), "c4", 8, stride=2))
    assert [tap.node for tap in ssdreg.find_taps(build(), 64)] == ["c2_relu", "c4_relu"]


# Left out on purpose

def test_a_backbone_that_stops_early_says_why():
    taps = taps_of("residual")[:2]
    made = declare(taps=taps, tap_strides=(2, 4), stops_at=StopsAt(4, REASON))
    found = verify_backbone(made, 64)
    assert found.coverage < 0.4
    checked, = check([made])
    assert (checked.passed, checked.issues, checked.stops_at) == (True, (), made.stops_at)
    assert checked.coverage == found.coverage
    # undeclared taps are found, and the coarsest up to the stop detect
    assert complete(declare(taps=(), stops_at=StopsAt(4, REASON))).tap_strides == (2, 4)


def test_a_stem_that_is_left_out_on_purpose():
    taps = taps_of("residual")[1:]
    assert verify_backbone(declare(taps=taps, starts_at=4), 64).coverage == 1.0


@pytest.mark.parametrize(("changes", "message"), [
    ({"stops_at": StopsAt(16, REASON)}, "has no tap at stride 16: its taps are at 2, 4, 8"),
    ({"stops_at": StopsAt(4, REASON), "tap_strides": (4, 8)},
     "stops_at says that detection stops at stride 4, but tap_strides goes to 8"),
    ({"stops_at": StopsAt(4, REASON), "tap_strides": (2,)},
     "stops_at says that detection stops at stride 4, but tap_strides goes to 2"),
    ({"stops_at": StopsAt(4, REASON), "tap_strides": (2, 4),
      "presets": (ssdreg.Preset(data_shape=64, tap_strides=(4, 8)),)},
     "stops_at says that detection stops at stride 4, but the preset for 64 goes to 8"),
    ({"starts_at": 4}, "starts_at=4 must be the stride of the first of its declared taps"),
    ({"starts_at": 2, "taps": ()}, "starts_at=2 must be the stride of the first"),
    ({"starts_at": 8, "taps": taps_of("residual")[2:]},
     "starts_at=8 would leave out more than a stem at stride 2: it can be 4 at most"),
])
def test_statements_that_contradict_the_declaration(changes, message):
    with pytest.raises(ValueError, match="backbone 'mine'") as caught:
        declare(**changes)
    assert message in str(caught.value)


def test_a_reason_is_needed():
    with pytest.raises(ValueError, match="reason"):
        StopsAt(4, "")
    with pytest.raises(TypeError, match="StopsAt"):
        declare(stops_at=4)


# What check and show say

@pytest.fixture
def registered():
    """Register a ResNet that stops at stride 16, and one that uses little without a word."""
    resnet = ssdreg.get_backbone("resnet18")

    class Plugin:
        @ssdreg.hookimpl
        def ssdreg_backbones(self):
            yield attrs.evolve(resnet, name="stated", aliases=(), family="stated",
                               tap_strides=(8, 16), stops_at=StopsAt(16, REASON))
            yield attrs.evolve(resnet, name="silent", aliases=(), family="silent",
                               tap_strides=(8, 16))
    with ssdreg.registry.host.register(Plugin()):
        yield


def table(text):
    return {line.split()[0]: line.split()[1:4] for line in text.splitlines() if line[:1] == "s"}


@pytest.mark.usefixtures("registered")
def test_check_prints_the_reason(capsys):
    done = command(capsys, "check", "stated")
    assert (done.status, done.complaints) == (0, [])
    assert f"\nstated: stops at stride 16 on purpose: {REASON}\n" in done.out
    done = command(capsys, "check", "stated", "--json")
    assert json.loads(done.out)[0]["stops_at"] == {"stride": 16, "reason": REASON}


@pytest.mark.usefixtures("registered")
def test_check_fails_where_much_is_unused_without_a_word(capsys):
    done = command(capsys, "check", "silent")
    assert done.status == 1
    share = table(done.out)["silent"][-1]
    assert float(share.rstrip("%")) / 100 < LEAST_COVERAGE
    sentence = done.out.split("\n\n")[-1]
    assert sentence.startswith(f"silent: at every input size: detection uses {share} of the "
                               f"backbone's weights")
    assert ("less than 80%: what lies behind '_plus5' feeds nothing; add stride 32 to tap_strides, "
            "or say why not with stops_at=ssdreg.StopsAt(16, \"the reason\")") in sentence
    assert done.out.count("detection uses") == 1


@pytest.mark.usefixtures("registered")
def test_show_prints_the_reason_of_its_own_choice_only(capsys):
    sentence = f"it stops at stride 16 on purpose: {REASON}"
    assert sentence in command(capsys, "show", "stated").out
    assert "on purpose" not in command(capsys, "show", "stated", "--tap-strides", "8").out
    assert "on purpose" not in command(capsys, "show", "silent").out
    done = command(capsys, "show", "stated", "--json")
    assert json.loads(done.out)["stops_at"] == {"stride": 16, "reason": REASON}


def test_a_wrong_tap_is_not_reassured_by_the_table(capsys):
    resnet = ssdreg.get_backbone("resnet18")
    first, *others = resnet.taps

    class Plugin:
        @ssdreg.hookimpl
        def ssdreg_backbones(self):
            yield attrs.evolve(resnet, name="skewed", aliases=(), family="skewed",
                               taps=(attrs.evolve(first, channels=1), *others))
    with ssdreg.registry.host.register(Plugin()):
        done = command(capsys, "check", "skewed")
    assert done.status == 1
    assert table(done.out)["skewed"][::2] == ["WRONG", "-"]
    assert "100" not in done.out
    assert done.out.count("is declared with 1 channels but has 64") == 1


# A user's choice for one detector

def test_a_choice_that_leaves_much_unused_is_warned_of():
    with pytest.warns(DetectorWarning) as caught:
        ssdreg.build("resnet18", data_shape=300, tap_strides=(8, 16))
    message, = {str(each.message) for each in caught}
    node = ssdreg.get_backbone("resnet18").tap(16).node
    assert message.startswith("this detector uses 24.9% of the weights of resnet18 (")
    assert message.endswith(f"what lies behind {node!r} feeds nothing")
    assert caught[0].filename == __file__


@pytest.mark.usefixtures("registered")
def test_a_backbones_own_statement_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error", DetectorWarning)
        ssdreg.build("stated", data_shape=300)
        ssdreg.build("resnet18", data_shape=300)
        ssdreg.build("resnet18", data_shape=300, tap_strides=(8, 32))
    with pytest.warns(DetectorWarning):
        ssdreg.build("stated", data_shape=300, tap_strides=(8,))
    with pytest.warns(DetectorWarning):
        ssdreg.build("silent", data_shape=300)


@pytest.mark.parametrize(("settings", "warned"), [
    ({"data_shape": 20}, True), ({"data_shape": (64, 20)}, True), ({"data_shape": 64}, False),
    ({"data_shape": 32, "tap_strides": (8, 32)}, False), ({"data_shape": 32}, True)])
def test_an_input_without_cells_is_warned_of(settings, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ssdreg.build("resnet18", **settings)
    found = [str(each.message) for each in caught if issubclass(each.category, DetectorWarning)]
    assert bool(found) == warned
    if warned:
        assert "can tell no two objects apart: give a larger data_shape, or finer" in found[0]


def test_the_command_says_it_in_one_line(capsys):
    done = command(capsys, "build", "resnet18", "--tap-strides", "8,16")
    assert (done.status, len(done.complaints)) == (0, 1)
    assert done.complaints[0].startswith("ssdreg: warning: this detector uses 24.9%")


def test_a_wrong_declaration_is_refused_whatever_is_chosen(capsys):
    resnet = ssdreg.get_backbone("resnet18")

    class Plugin:
        @ssdreg.hookimpl
        def ssdreg_backbones(self):
            yield attrs.evolve(resnet, name="short", aliases=(), family="short",
                               taps=resnet.taps[:-1], tap_strides=(8, 16))
    with ssdreg.registry.host.register(Plugin()):
        done = command(capsys, "build", "short", "--tap-strides", "8")
    assert done.status == 2
    assert "the last tap is missing: '_plus7' (stride 32, 512 channels)" in done.err
