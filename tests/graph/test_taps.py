from __future__ import annotations

import pytest
from support.nets import NETS, residual

import ssdreg
from ssdreg import Tap, TapError
from ssdreg.graph.taps import verify

SHAPES = ((64, 64), (96, 160), (101, 77))
BUILT_IN = ("vgg16_reduced", "inceptionv3", "resnet18", "resnet34", "resnet50", "resnet101",
            "resnet152", "resnet200", "resnet269")


def refused(symbol, taps, data_shape=64) -> str:
    with pytest.raises(TapError) as caught:
        verify(symbol, taps, data_shape)
    return str(caught.value)


# The mistake this library exists for: the feature layers of another depth.

RESNET50_TAPS = ssdreg.plan("resnet50").taps


def assert_says_what_a_person_needs(message: str) -> None:
    assert "not the ends of the backbone's stages" in message
    for tap in RESNET50_TAPS:
        assert f"{tap!r} is not the end of" in message
    assert "its stage (stride 16): 17 units are still to come before the resolution" in message
    assert "the last ends in '_plus29'" in message
    assert "'_plus12' and '_plus15' are both at stride 16: a stage has one end" in message
    assert "They use 28.0% of the backbone's weights" in message
    assert "; 72.0% are lost." in message
    assert "16: '_plus29' (1024 channels), 32: '_plus32' (2048 channels)" in message


@pytest.mark.parametrize("shape", [300, 512, (300, 500)])
def test_the_taps_of_resnet50_are_refused_on_resnet101(shape):
    symbol = ssdreg.get_backbone("resnet101").symbol()
    assert_says_what_a_person_needs(refused(symbol, RESNET50_TAPS, shape))


@pytest.mark.parametrize("layers", [RESNET50_TAPS, (*RESNET50_TAPS, "", "", "", "")])
def test_build_refuses_them_too(layers):
    with pytest.raises(TapError) as caught:
        ssdreg.build("resnet101", from_layers=layers)
    assert_says_what_a_person_needs(str(caught.value))


def test_declared_taps_of_another_depth_are_named_with_their_stage():
    taps = [ssdreg.get_backbone("resnet50").tap(stride) for stride in (16, 32)]
    message = refused(ssdreg.get_backbone("resnet101").symbol(), taps, 300)
    assert "'_plus12' is not the end of stage 3 (stride 16)" in message
    assert "'_plus15' is declared at stride 32 but lies at stride 16" in message
    assert "'_plus15' is declared with 2048 channels but has 1024" in message


def test_each_depth_refuses_the_taps_of_every_other():
    # 34 and 50 have the same units, and so the same ends
    depths = (18, 50, 101, 152, 200, 269)
    taps = {depth: ssdreg.plan(f"resnet{depth}").taps for depth in depths}
    for depth in depths:
        symbol = ssdreg.get_backbone(f"resnet{depth}").symbol()
        assert verify(symbol, taps[depth], 300).taps == taps[depth]
        for other in set(depths) - {depth}:
            assert "  - " in refused(symbol, taps[other], 300)


# Right taps pass, and the graph names the same ones.

@pytest.mark.parametrize("shape", [300, 512, (224, 320), (75, 640)])
@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_taps_are_what_the_graph_says(name, shape):
    backbone = ssdreg.get_backbone(name)
    found = verify(backbone.symbol(), backbone.taps, shape)
    assert [(end.stride, end.node, end.channels) for end in found.stages] == \
        [(tap.stride, tap.node, tap.channels) for tap in backbone.taps]
    assert 0.999 < found.coverage <= 1.0  # a ResNet's last normalisation lies behind the last tap


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("net", NETS)
def test_the_right_taps_of_small_nets(net, shape):
    make, ends = NETS[net]
    taps = [Tap(stage, stride, channels, node)
            for stage, (stride, node, channels) in enumerate(ends)]
    found = verify(make(), taps, shape)
    assert tuple((end.stride, end.node, end.channels) for end in found.stages) == ends
    assert found.taps == tuple(node for _, node, _ in ends)


def test_stage_ends_give_sizes_and_units():
    found = verify(residual(), ["s3u2_out"], (64, 96))
    assert [(end.height, end.width, end.units) for end in found.stages] == \
        [(32, 48, 0), (16, 24, 2), (8, 12, 2)]


@pytest.mark.parametrize(("net", "tap"), [
    ("residual", "s2u2_sum"),               # the sum itself, its activation behind it
    ("residual with h-swish", "s2u2_sum"),
    ("residual with h-swish", "s2u2_out_mul"),
    ("dense", "transition"),                # a transition's 1x1 convolution, before its pooling
    ("dense", "transition_relu"),
    ("inverted", "b3_expand_relu"),         # the expansion of the next block
    ("inverted", "b3_project"),
    ("separable", "dw4_relu"),              # a pointwise convolution still follows
    ("gated", "se1"),
    ("dilated", "c3"),
])
def test_what_may_follow_a_tap_in_its_stage(net, tap):
    assert verify(NETS[net][0](), [tap], 64).taps == (tap,)


# The five complaints, each with its own sentence.

def test_1_a_node_that_does_not_exist():
    message = refused(residual(), ["s3u2_ot"])
    assert "there is no node 's3u2_ot': did you mean 's3u2_out'" in message
    assert "there is no node 'zzz': the last ones are 'pool', 'flat', 'fc'" in \
        refused(residual(), ["zzz"])


def test_1_a_parameter_is_no_node_to_tap():
    assert "there is no node 's3u2_b_weight'" in refused(residual(), ["s3u2_b_weight"])


def test_2_another_stride_or_channel_count():
    message = refused(residual(), [Tap(2, 8, 17, "s2u2_out")])
    assert "'s2u2_out' is declared at stride 8 but lies at stride 4" in message
    assert "'s2u2_out' is declared with 17 channels but has 16" in message
    assert message.count("  - ") == 2


def test_3_out_of_order():
    message = refused(residual(), ["s3u2_out", "s2u2_out"])
    assert ("'s3u2_out' at stride 8 comes before 's2u2_out' at stride 4: "
            "the finest goes first") in message


def test_3_two_at_one_stride():
    message = refused(residual(), ["s3u2_sum", "s3u2_out"])
    assert "'s3u2_sum' and 's3u2_out' are both at stride 8: a stage has one end" in message


@pytest.mark.parametrize(("net", "tap", "meets"), [
    ("residual", "s2u2_b", "s2u2_sum"),
    ("dense", "b2l2_relu", "b2l2_cat"),
    ("inverted", "b2_out", "b2_sum"),
    ("gated", "se1_conv", None),
    ("two-branch stem", "left_relu", "stem"),
])
def test_4_off_the_trunk(net, tap, meets):
    message = refused(NETS[net][0](), [tap])
    if meets is None:  # squeezed to a single number: not even a picture
        assert f"{tap!r} is no feature map: its shape is (1, 8, 1, 1)" in message
    else:
        assert (f"{tap!r} is not on the trunk: it is inside a block, and another path goes around "
                f"it; the paths meet at {meets!r}") in message


@pytest.mark.parametrize(("net", "tap", "reason"), [
    ("residual", "s2u1_out", "stage (stride 4): 1 unit is still to come before the resolution "
                             "drops, the last ends in 's2u2_sum'"),
    ("dense", "b1l1_cat", "stage (stride 2): 1 unit is still to come"),
    ("inverted", "b1_out", "stage (stride 4): 1 unit is still to come"),
    ("separable", "pw2_relu", "stage (stride 4): the 3x3 convolution 'dw3' still follows"),
    ("gated", "dw1_relu", "stage (stride 4): the gate 'se1' still follows"),
    ("dilated", "c2_relu", "stage (stride 4): the 3x3 convolution 'c3' still follows"),
])
def test_5_not_the_end_of_its_stage(net, tap, reason):
    assert f"{tap!r} is not the end of its {reason}" in refused(NETS[net][0](), [tap])


def test_5_a_pooling_that_keeps_the_resolution():
    message = refused(ssdreg.get_backbone("vgg16_reduced").symbol(), ["relu5_3"], 300)
    assert "the 3x3 convolution 'fc6' still follows" in message


def test_every_complaint_is_in_one_message():
    message = refused(residual(), [Tap(3, 8, 32, "s3u1_out"), Tap(2, 4, 16, "nowhere"),
                                   Tap(1, 4, 16, "s2u2_b")])
    assert message.count("  - ") == 5  # unfinished, unknown, off the trunk, stage, out of order
    assert "The right tap for each stride is 2: 'stem_relu' (8 channels), 4: 's2u2_out'" in message


def test_behind_the_global_pooling_there_is_no_map():
    assert "'pool' is no feature map: its shape is (1, 32, 1, 1)" in refused(residual(), ["pool"])


def test_no_tap_at_all():
    assert "no tap is given" in refused(residual(), [])


def test_a_lone_text_is_not_a_list_of_taps():
    assert "taps='s3u2_out' must be a list or tuple" in refused(residual(), "s3u2_out")


# Coverage, worked out by hand: 3x3 weights and four values a channel of batch normalisation.

def test_coverage_counts_the_weights_upstream():
    stem = 3 * 8 * 9 + 8 * 4
    stage2 = ((8 * 16 * 9 + 16 * 4) + 16 * 16 * 9 + 8 * 16) + (16 * 16 * 9 + 16 * 4) + 16 * 16 * 9
    stage3 = (16 * 32 * 9 + 32 * 4) + 32 * 32 * 9 + 16 * 32 + (32 * 32 * 9 + 32 * 4) + 32 * 32 * 9
    found = verify(residual(), ["s2u2_out"], 64)
    assert (found.weights_used, found.weights) == (stem + stage2, stem + stage2 + stage3)
    assert found.coverage == pytest.approx((stem + stage2) / (stem + stage2 + stage3))


def test_the_classifier_does_not_count():
    found = verify(residual(), ["s3u2_out"], 64)
    assert found.coverage == 1.0


def test_the_message_gives_the_coverage():
    with pytest.raises(TapError) as caught:
        verify(residual(), ["s3u1_out"], 64)
    share = caught.value.coverage
    assert 0.5 < share < 0.7
    assert f"They use {share:.1%} of the backbone's weights" in str(caught.value)


def test_the_message_does_not_reassure_where_all_weights_are_used():
    with pytest.raises(TapError) as caught:
        verify(residual(), ["s3u2_out", "s2u2_out"], 64)
    assert caught.value.coverage is None
    assert "of the backbone's weights" not in str(caught.value)
