"""The conformance kit: a good backbone passes, one that breaks a promise fails that check alone."""

from __future__ import annotations

import itertools
import re

import attrs
import pytest
from ssdreg_runtime.system.installing import install

import ssdreg
from ssdreg.detector.built import BuiltBackbone
from ssdreg.heads.multibox import detect as multibox_detect
from ssdreg.heads.ssd import predict as ssd_predict
from ssdreg.mx import mx
from ssdreg.testing import BACKBONE_CHECKS, ConformanceError, Examination, Subject, checks_for
from ssdreg.testing.checks import EXPORT
from ssdreg.testing.small import smallest_detector

sym = mx.sym
CHANNELS = (4, 8, 8, 8, 8)


def same(x):
    return x


def unit(x, name, channels, stride=2, no_bias=True, activation="tanh"):
    x = sym.Convolution(x, num_filter=channels, kernel=(3, 3), stride=(stride, stride),
                        pad=(1, 1), no_bias=no_bias, name=f"{name}_conv")
    x = sym.BatchNorm(x, fix_gamma=False, name=f"{name}_bn")
    return sym.Activation(x, act_type=activation, name=f"{name}_act")


def net(first=same, third=same, inside=same, classifier="classifier", **settings):
    """Build five stages of one unit.

    `first` and `third` change what these stages get; `inside` a map in the middle of the third,
    which has a second unit then.
    """
    x = first(sym.Variable("data"))
    for stage, channels in enumerate(CHANNELS, start=1):
        x = third(x) if stage == 3 else x
        if stage == 3 and inside is not same:
            x = inside(unit(x, "s3a", channels, **settings))
            x = unit(x, "s3", channels, stride=1, **settings)
        else:
            x = unit(x, f"s{stage}", channels, **settings)
    x = sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool")
    return sym.FullyConnected(sym.Flatten(x), num_hidden=10, name=classifier)


TAPS = tuple(ssdreg.Tap(stage, 2**stage, channels, f"s{stage}_act")
             for stage, channels in enumerate(CHANNELS, start=1))


def with_tap(number, **changes):
    """Return the taps with another declaration of one."""
    return tuple(attrs.evolve(tap, **changes) if tap.stage == number else tap for tap in TAPS)


def backbone(build=net, **changes):
    return ssdreg.Backbone(**{"name": "mine", "family": "mine", "depth": 5, "build": build,
                              "taps": TAPS, "paper": "https://example.org/mine", **changes})


def examined(made, head=None):
    """Return the sentences of the checks that fail, by check, and the checks not looked at."""
    subject = Subject("strangers-nets", made, head)
    seen = Examination(subject)
    verdicts = [seen.verdict(check) for check in checks_for(subject)]
    return ({each.check: each.sentence for each in verdicts if each.issue},
            {each.check for each in verdicts if each.failed_needs})


def issue(made, check, head=None):
    """Return what the one check that fails says; see that what needs it is not looked at."""
    failed, waiting = examined(made, head)
    assert list(failed) == [check]
    assert waiting == {each.name for each in BACKBONE_CHECKS if depends(each, check)}
    title = made.name if head is None else f"{head.name} on {made.name}"
    who, _, sentence = failed[check].partition(f": {title}: {check}: ")
    assert who == "strangers-nets"
    assert "\n" not in sentence
    return sentence


def depends(check, name):
    return any(need.name == name or depends(need, name) for need in check.needs)


@pytest.mark.parametrize("made", [
    backbone(), backbone(taps=()), backbone(tap_strides=(4, 8, 16, 32)),
    backbone(tap_strides=(4, 8), stops_at=ssdreg.StopsAt(8, "its objects are small")),
    backbone(taps=TAPS[1:], starts_at=4),
    backbone(taps=TAPS[:-1], stops_at=ssdreg.StopsAt(16, "nothing is that large")),
    # the noise of rounding is all the gradient that a bias in front of a normalisation has
    backbone(lambda: net(no_bias=False)),
    # MXNet's default: a scale that is 1 whatever its parameter holds
    backbone(lambda: net(first=lambda x: sym.BatchNorm(x, name="bn_data"))),
    # a constant
    backbone(lambda: net(first=lambda x: sym.broadcast_mul(x, sym.Variable(
        "colour_weight", shape=(1, 3, 1, 1), lr_mult=0)))),
], ids=["declared", "found", "four taps", "first taps", "no stem",
        "no end", "biases", "fixed scale", "constant"])
def test_a_good_backbone_passes(made):
    assert examined(made) == ({}, set())


def raises():
    raise KeyError("weights of 1998")


def test_a_symbol_that_cannot_be_built():
    assert issue(backbone(raises), "symbol") == \
        "its symbol cannot be built: KeyError: 'weights of 1998'"
    assert issue(backbone("no_such_module:build"), "symbol") == (
        "its symbol cannot be built: ModuleNotFoundError: No module named 'no_such_module'")


def test_names_that_count_on():
    numbers = itertools.count(1)
    said = issue(backbone(lambda: net(classifier=f"fc{next(numbers)}")), "symbol")
    assert re.match("its symbol is another one when it is built again: .*fc1_weight.* became "
                    ".*fc2_weight.*; names and settings must follow from the declaration", said)


def test_taps_inside_a_stage():
    def build():
        return net(third=lambda x: unit(x, "s2b", 8, stride=1))
    assert issue(backbone(build), "taps") == (
        "at every input size: 's2_act' is not the end of stage 2 (stride 4): the 3x3 convolution "
        "'s2b_conv' still follows before the resolution drops. The right tap for each stride is "
        "2: 's1_act' (4 channels), 4: 's2b_act' (8 channels), 8: 's3_act' (8 channels), "
        "16: 's4_act' (8 channels), 32: 's5_act' (8 channels)")


def test_a_forgotten_tap():
    said = issue(backbone(taps=TAPS[:-1]), "taps")
    assert said.startswith("at every input size: the last tap is missing: 's5_act' (stride 32, 8 "
                           "channels) ends a stage behind 's4_act' and is not declared. They use ")
    assert re.search(r"\d+\.\d% are lost\. The right tap for each stride is 2: 's1_act'", said)


def test_taps_that_detection_leaves_unused():
    said = issue(backbone(tap_strides=(2, 4)), "coverage")
    assert said.startswith("at every input size: detection uses ")
    assert said.endswith("add stride 8 and 16 and 32 to tap_strides, or say why not with "
                         "stops_at=ssdreg.StopsAt(4, \"the reason\")")


def test_a_network_that_does_not_take_every_input():
    def build():
        return net(third=lambda x: sym.slice_axis(x, axis=2, begin=0, end=75, name="cut"))
    said = issue(backbone(build), "taps")
    assert said.startswith("at 224x224: the backbone does not accept an input of 224x224 pixels, "
                           "at node 'cut'")
    assert "300x300" not in said


def test_a_network_for_one_input_size():
    def build():
        return net(third=lambda x: sym.slice_axis(x, axis=2, begin=0, end=56, name="fixed"))
    assert issue(backbone(build), "declared") == (
        "its tap 's3_act' is declared at stride 8, but 32 more pixels each way make its map 28x28 "
        "into 28x32")


@pytest.mark.parametrize(("taps", "sentence"), [
    (with_tap(4, channels=16), "'s4_act' is declared with 16 channels but has 8"),
    (with_tap(5, stride=64), "'s5_act' is declared at stride 64 but lies at stride 32"),
    (with_tap(3, stage=4), "'s3_act' is declared as the end of stage 4, but stride 8 is stage 3 of "
                           "5, the first being stage 1"),
])
def test_false_declarations(taps, sentence):
    assert issue(backbone(taps=taps), "taps") == (
        f"at every input size: {sentence}. The right tap for each stride is 2: 's1_act' (4 "
        f"channels), 4: 's2_act' (8 channels), 8: 's3_act' (8 channels), 16: 's4_act' (8 "
        f"channels), 32: 's5_act' (8 channels)")


def test_a_deeper_one_that_is_smaller():
    said = issue(backbone(family="resnet", depth=19), "family")
    assert said.startswith("is deeper (19) than resnet18 (18) but has fewer or as many parameters")


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda x: sym.sqrt(x - 1000.0),
     "its tap 's3_act' holds values that are not finite in training, from random weights"),
    (lambda x: sym.Cast(x, dtype="float64"),
     "RuntimeError: at node 's3_conv': This layer requires uniform type. Expected 'float64' v.s. "
     "given 'float32' at 'weight'"),
    (lambda x: sym.broadcast_mul(x, sym.Variable("colors", shape=(1, 8, 1, 1))),
     "ValueError: Unknown initialization pattern for colors"),
])
def test_values(change, sentence):
    assert sentence in issue(backbone(lambda: net(inside=change)), "forward")


def test_parameters_of_one_name():
    def change(x):
        ones = [sym.Convolution(x, weight=sym.Variable("one_weight"), no_bias=True, num_filter=3,
                                kernel=(1, 1), name=name) for name in ("left", "right")]
        return sym.elemwise_add(*ones)
    # the sum is a stage end of its own, in front of the first tap
    assert issue(backbone(lambda: net(first=change), starts_at=2), "forward") == (
        "several of its parameters are called 'one_weight', and MXNet knows them by name: share "
        "one variable, or name them apart")


def test_values_that_are_lost_only_in_inference():
    # the running moments never follow the batch's: 1e13 is still 1e13 behind each of them
    def change(x):
        for index in range(4):
            x = sym.BatchNorm(x * 1e13, momentum=1.0, name=f"never{index}")
        return x
    assert issue(backbone(lambda: net(inside=change)), "forward") == (
        "its tap 's3_act' holds values that are not finite in inference, from random weights")


def test_values_that_an_activation_hides():
    def change(x):
        return sym.sqrt(x - 1000.0)
    said = issue(backbone(lambda: net(inside=change, activation="relu")), "training")
    assert re.match(r"the gradients of \d+ parameters are not finite in one training step", said)


def smallest(build):
    return smallest_detector(BuiltBackbone.of(backbone(build)))


@pytest.mark.parametrize(("least", "size"), [(16, (64, 96)), (100, (128, 160))])
def test_the_smallest_input_that_will_do(least, size):
    def change(x):
        return sym.slice_axis(x, axis=2, begin=0, end=least, name="cut")
    assert smallest(lambda: net(first=change)).plan.data_shape == size


def test_no_input_is_large_enough():
    def change(x):
        return sym.slice_axis(x, axis=2, begin=0, end=600, name="cut")
    with pytest.raises(ConformanceError, match=r"^no detector can be planned from 64x96 to 512x544 "
                                               r"pixels: .*does not accept an input of 512x544"):
        smallest(lambda: net(first=change))


def test_what_no_gradient_reaches():
    said = issue(backbone(lambda: net(inside=sym.BlockGrad)), "training")
    assert said == ("one training step does not move 's1_conv_weight', 's1_bn_gamma', "
                    "'s1_bn_beta' and 6 more: no gradient reaches what leads to the taps")


def test_a_classifier_with_the_heads_names():
    said = issue(backbone(lambda: net(classifier="s5_act_cls_pred_conv")), "training")
    assert said == ("'s5_act_cls_pred_conv_weight', 's5_act_cls_pred_conv_bias' of the backbone "
                    "lead to no tap of the detector, but are parameters of it: the head uses their "
                    "names")


@mx.operator.register("conformance_same")
class Same(mx.operator.CustomOpProp):
    """An operator written in Python that gives back what it gets."""

    def create_operator(self, ctx, shapes, dtypes):
        return SameOperator()


class SameOperator(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], in_data[0])

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0])


def test_an_operator_that_files_do_not_hold():
    said = issue(backbone(lambda: net(third=lambda x: sym.Custom(
        x, op_type="conformance_same", name="mine"))), "files")
    assert said == ("its node 'mine' is an operator written in Python: a saved detector is of no "
                    "use where the plug-in has not been imported")


def test_a_batch_that_is_not_its_pictures():
    def change(x):
        return sym.broadcast_sub(x, sym.mean(x, axis=0, keepdims=True), name="centred")
    said = issue(backbone(lambda: net(first=change)), "batch")
    assert re.fullmatch(r"its tap 's1_act' sees other pictures of the batch in inference: a "
                        r"picture's map differs by \d+\.\d% from that of the picture alone", said)


# Heads

def head(**changes):
    return ssdreg.Head(**{"name": "twin", "summary": "SSD", "paper": "https://example.org",
                          "predict": ssd_predict, **changes})


def shifted(column, by):
    """Return a head's `detect` that adds to a column of the detections."""
    def detect(predictions, plan):
        found = multibox_detect(predictions, plan)
        columns = list(sym.split(found, num_outputs=6, axis=2))
        columns[column] = columns[column] + by
        return sym.Concat(*columns, dim=2, name="detection")
    return detect


def test_a_good_head_passes():
    assert examined(backbone(), head()) == ({}, set())


@pytest.mark.parametrize(("column", "by", "sentence"), [
    (0, -1e3, "its detector finds nothing at all from random weights"),
    (0, 3, "its detector finds class "),
    (1, 1, "its detections have scores outside 0..1"),
    (2, -1, "its detections have boxes outside the image, or with sides turned round"),
])
def test_detections(column, by, sentence):
    assert issue(backbone(), "detections", head(detect=shifted(column, by))).startswith(sentence)


def test_a_head_that_does_not_learn():
    def predict(symbol, plan):
        made = ssd_predict(symbol, plan)
        return attrs.evolve(made, loc_pred=sym.BlockGrad(made.loc_pred))
    said = issue(backbone(), "training", head(predict=predict))
    assert said.startswith("one training step does not move 's4_act_loc_pred_conv_weight'")


# Exported

def test_an_operator_that_onnx_does_not_have():
    def odd(x):
        return sym.gammaln(x * x + 1, name="odd")
    said = issue(backbone(lambda: net(inside=odd)), "export")
    assert said.startswith("gammaln at node 'odd' cannot be written as ONNX: ")


def test_a_translation_that_is_wrong(monkeypatch):
    from ssdreg.exporting.operators import activations
    monkeypatch.setitem(activations.ACTIVATIONS, "tanh", "Softsign")
    said = issue(backbone(), "export")
    assert re.match(r"written as ONNX it detects otherwise: \d+ of \d+ boxes differ; image 0: "
                    r"class \d of score ", said)


def test_without_onnxruntime_it_is_written_and_not_run(monkeypatch):
    monkeypatch.setattr("ssdreg_runtime.backends.installed", lambda: ())
    seen = Examination(Subject("strangers-nets", backbone()))
    verdict = seen.verdict(EXPORT)
    assert verdict.passed
    assert verdict.sentence == (
        "strangers-nets: mine: export: not looked at: it can be written as ONNX, but not run here: "
        f"the package onnxruntime is not installed; run `{install('onnxruntime')}`")
