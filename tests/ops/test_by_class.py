"""Detections of every class an anchor may be, held against NumPy, and written as ONNX."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ssdreg_runtime import Detector
from ssdreg_runtime.backends import installed, open_backend
from support.runs import SMALL

import ssdreg
from ssdreg import Head, PlanError, hookimpl, ops
from ssdreg.deploy.model import random_deploy_model
from ssdreg.deploy.mxnet_backend import MXNetBackend
from ssdreg.deploy.suppression import with_iou
from ssdreg.detector.by_class import find_detection_by_class
from ssdreg.detector.post_processing import ByClassProcessing
from ssdreg.errors import ModelError
from ssdreg.exporting import Options, to_onnx
from ssdreg.exporting.parity import HALF, compare
from ssdreg.graph.nodes import Net
from ssdreg.mx import mx
from ssdreg.registry import host as plugins

BATCH, CLASSES, COUNT = 2, 3, 300
RULES = ByClassProcessing(nms_topk=50, most=40)


def arrays(seed=1):
    """Return probabilities (B, C + 1, N), offsets (B, N * 4) and anchors (1, N, 4)."""
    rng = np.random.RandomState(seed)
    scores = np.exp(rng.normal(0, 2, (BATCH, CLASSES + 1, COUNT)))
    middle, half = rng.uniform(0, 1, (1, COUNT, 2)), rng.uniform(0.02, 0.3, (1, COUNT, 2))
    return {"prob": (scores / scores.sum(1, keepdims=True)).astype(np.float32),
            "loc": rng.normal(0, 2, (BATCH, COUNT * 4)).astype(np.float32),
            "anchors": np.concatenate((middle - half, middle + half), 2).astype(np.float32)}


def found(rules, given):
    symbol = ops.detection_by_class(*map(mx.sym.Variable, given), rules, CLASSES, COUNT)
    bound = symbol.bind(mx.cpu(), {name: mx.nd.array(array) for name, array in given.items()},
                        grad_req="null")
    return bound.forward()[0].asnumpy()


def expected(rules, prob, loc, anchors):
    """Return the detections of one image, as the rules are in words."""
    low, high = anchors[:, :2], anchors[:, 2:]
    offsets, variances = loc.reshape(-1, 4), np.array(rules.variances)
    center = offsets[:, :2] * variances[:2] * (high - low) + (high + low) / 2
    half = np.minimum(np.exp(offsets[:, 2:] * variances[2:]), rules.widest) * (high - low) / 2
    boxes = np.concatenate((center - half, center + half), 1).clip(0, 1)
    rows = []
    for label, scores in enumerate(prob[1:]):
        kept = []
        order = np.argsort(-scores, kind="stable")
        order = order[:rules.nms_topk] if rules.nms_topk > 0 else order
        for place in order[scores[order] > rules.threshold]:
            if all(overlap(boxes[place], boxes[other]) <= rules.nms_threshold for other in kept):
                kept.append(place)
        rows += [(label, scores[place], *boxes[place]) for place in kept]
    return np.array(sorted(rows, key=lambda row: -row[1])[:rules.most]).reshape(-1, 6)


def overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    inner = np.prod(np.maximum(sides, 0))
    union = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - inner
    return inner / union if union > 0 else 0


@pytest.mark.parametrize("rules", [
    RULES, ByClassProcessing(), ByClassProcessing(threshold=0.5, nms_threshold=0.3),
    ByClassProcessing(nms_topk=-1, most=10_000), ByClassProcessing(widest=1.2, most=7)])
def test_what_the_rules_say(rules):
    given = arrays()
    for image, rows in enumerate(found(rules, given)):
        wanted = expected(rules, given["prob"][image], given["loc"][image], given["anchors"][0])
        kept = rows[:, 0] >= 0
        assert len(rows) >= len(wanted) == kept.sum() > 0
        np.testing.assert_allclose(rows[kept], wanted, atol=1e-5)
        assert (rows[~kept] == -1).all()


def test_an_anchor_may_be_of_several_classes():
    rows = found(ByClassProcessing(), arrays())[0]
    boxes = [tuple(row[2:].round(6)) for row in rows if row[0] >= 0]
    assert len(set(boxes)) < len(boxes)


def test_nothing_is_found():
    assert (found(ByClassProcessing(threshold=1.0), arrays()) == -1).all()


def test_it_is_found_in_a_symbol():
    symbol = ops.detection_by_class(*map(mx.sym.Variable, arrays()), RULES, CLASSES, COUNT)
    net = Net.of(symbol)
    there = find_detection_by_class(net)
    assert [net.name(entry[0]) for entry in (there.probabilities, there.offsets, there.anchors)
            ] == ["prob", "loc", "anchors"]
    assert there.rules.widest == pytest.approx(RULES.widest)
    assert there.rules == ByClassProcessing(nms_topk=50, most=40, widest=there.rules.widest)
    assert find_detection_by_class(Net.of(ssdreg.build("resnet18", mode="deploy"))) is None


def test_other_suppression_is_none():
    rows = mx.sym.contrib.box_nms(mx.sym.Variable("data"))
    assert find_detection_by_class(Net.of(mx.sym.slice_axis(rows, axis=1, begin=0, end=5))) is None


def test_variances_are_alike_across_and_down():
    with pytest.raises(PlanError, match="must be alike across and down"):
        found(ByClassProcessing(variances=(0.1, 0.2, 0.2, 0.2)), arrays())


# In a detector

def detect(predictions, plan):
    rules = ByClassProcessing(nms_threshold=plan.nms_threshold, nms_topk=plan.nms_topk, most=40)
    prob = mx.sym.softmax(predictions.cls_pred, axis=1, name="cls_prob")
    return ops.detection_by_class(prob, predictions.loc_pred, predictions.anchors, rules,
                                  plan.num_classes, plan.anchors)


@pytest.fixture(scope="module")
def detector():
    head = Head(name="every_class", predict="ssdreg.heads.ssd:predict", detect=detect,
                summary="detects every class", paper="https://example.org")
    plugin = SimpleNamespace(ssdreg_heads=hookimpl(lambda: [head]),
                             ssdreg_backbones=hookimpl(lambda: [SMALL]))
    with plugins.register(plugin, "some"):
        yield random_deploy_model(SMALL, CLASSES, (64, 96), "every_class")


@pytest.fixture(scope="module")
def seen(detector):
    pixels = np.random.RandomState(3).randint(0, 256, (3, 64, 96, 3)).astype(np.uint8)
    return pixels, MXNetBackend(detector, 3).run(pixels)


def test_what_is_stated_of_it(detector, seen):
    rules = detector.post_processing
    assert (rules.threshold, rules.nms_threshold, rules.nms_topk) == (0.01, 0.5, 40)
    assert seen[1].shape == (3, 40, 6)
    assert (seen[1][..., 0] >= 0).all()


@pytest.mark.parametrize("runtime", installed())
@pytest.mark.parametrize(("options", "tolerance"), [
    (Options(batch=3), None), (Options(batch=None), None),
    (Options(batch=3, precision="float16"), HALF)], ids=["fixed", "dynamic", "float16"])
def test_the_same_as_onnx(detector, seen, runtime, options, tolerance):
    pixels, reference = seen
    written = to_onnx(detector, options).SerializeToString()
    parity = compare(reference, open_backend(written, runtime).run(pixels),
                     detector.post_processing, tolerance)
    assert parity.equal, parity.sentences
    assert parity.boxes == 120


@pytest.mark.parametrize("runtime", installed())
def test_a_file_that_takes_a_picture_and_another_threshold(detector, runtime):
    """Both are put into the file, whose suppression is another than an anchor's best class's."""
    plain = to_onnx(detector).SerializeToString()
    taking = to_onnx(detector, Options(input="image")).SerializeToString()
    picture = np.random.RandomState(4).randint(0, 256, (120, 77, 3)).astype(np.uint8)
    found = {}
    for iou in (None, 0.2):
        wanted, = Detector.on(open_backend(plain, runtime, iou=iou)).detect(picture)
        rows = open_backend(taking, runtime, iou=iou).run_picture(picture)
        np.testing.assert_allclose(rows, wanted.rows, rtol=0, atol=1e-3)
        found[iou] = rows
    assert not np.array_equal(found[None], found[0.2])
    with pytest.raises(ModelError, match="suppresses each class by itself, for which --iou goes"):
        with_iou(detector, 0.2)


def test_scores_and_boxes_without_suppression(detector):
    model = to_onnx(detector, Options(nms=False))
    assert [output.name for output in model.graph.output] == ["scores", "boxes"]
