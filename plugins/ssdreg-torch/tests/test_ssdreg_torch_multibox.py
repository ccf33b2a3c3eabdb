"""Anchors, targets and detections: MXNet's to the bit, ties and odd settings included."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import ssdreg_torch.module  # noqa: E402, F401  (fills the table of translations)
from ssdreg_torch.translation import operation_of  # noqa: E402

from ssdreg.graph.nodes import Net  # noqa: E402
from ssdreg.mx import mx  # noqa: E402

contrib = mx.sym.contrib


def computed(op, arrays, **settings):
    """Return MXNet's outputs of an operator, and PyTorch's."""
    symbol = getattr(contrib, op)(*(mx.sym.Variable(f"input{index}")
                                    for index in range(len(arrays))), **settings)
    expected = getattr(mx.nd.contrib, op)(*map(mx.nd.array, arrays), **settings)
    found = operation_of(Net.of(symbol).last).infer(*map(torch.from_numpy, arrays))
    return ([output.asnumpy() for output in (expected if isinstance(expected, list)
                                             else [expected])],
            [output.numpy() for output in (found if isinstance(found, tuple) else (found,))])


@pytest.mark.parametrize("settings", [
    {"sizes": (.1, .141), "ratios": (1, 2, .5)},
    {"sizes": (.37, .447), "ratios": (1, 2, .5, 3, 1 / 3), "clip": True},
    {"sizes": (.2,), "ratios": (2, .5, 3)},
    {"sizes": (.1, .2, .3), "ratios": (1,), "steps": (.13, .07), "offsets": (.25, .75)}, {}])
@pytest.mark.parametrize("shape", [(38, 38), (5, 8), (1, 1), (3, 7)])
def test_anchors_are_mxnets_to_the_bit(settings, shape):
    (expected,), (anchors,) = computed(
        "MultiBoxPrior", [np.zeros((2, 3, *shape), np.float32)], **settings)
    np.testing.assert_array_equal(anchors, expected)


def anchors(generator, count, ties):
    if ties:
        # cells of a grid: objects between them overlap several to the same share
        side = int(count ** .5)
        corners = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) / side
        return np.concatenate([corners, corners + 2 / side], 1)[None].astype(np.float32)
    centers, sides = generator.uniform(0, 1, (count, 2)), generator.uniform(.05, .6, (count, 2))
    return np.concatenate([centers - sides / 2, centers + sides / 2], 1)[None].astype(np.float32)


def labels(generator, batch, objects, ties, most=None):
    corners = generator.uniform(0, .7, (batch, objects, 2))
    sides = generator.uniform(.05, .5, (batch, objects, 2))
    if ties:
        corners, sides = np.round(corners * 8) / 8, np.round(sides * 8 + 1) / 8
    classes = generator.integers(0, 4, (batch, objects, 1))
    rows = np.concatenate([classes, corners, corners + sides], 2).astype(np.float32)
    for image in range(batch):
        rows[image, generator.integers(0, objects + 1):] = -1
    return rows


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("settings", [
    {"negative_mining_ratio": 3.0, "negative_mining_thresh": .5}, {"negative_mining_ratio": -1.0},
    {"negative_mining_ratio": 1.5, "negative_mining_thresh": .4, "overlap_threshold": .7,
     "variances": (.1, .1, .2, .2)},
    {"negative_mining_ratio": 3.0, "negative_mining_thresh": .5, "ignore_label": -2.0,
     "minimum_negative_samples": 5}])
def test_targets_are_mxnets(settings, ties):
    generator = np.random.default_rng(5)
    crowded = ((64, 30), (9, 20)) if settings["negative_mining_ratio"] < 0 else ()
    for count, objects in ((400, 8), (1600, 1), (3600, 12), *crowded):
        boxes = anchors(generator, count, ties)
        scores = generator.normal(0, 3, (6, 5, boxes.shape[1])).astype(np.float32)
        if ties:
            scores = np.round(scores)
        rows = labels(generator, 6, objects, ties)
        expected, found = computed("MultiBoxTarget", [boxes, rows, scores], **settings)
        np.testing.assert_array_equal(found[2], expected[2])
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)


def test_an_object_that_nothing_overlaps_gets_no_anchor():
    boxes = np.array([[[0, 0, .2, .2], [.1, .1, .3, .3]]], np.float32)
    rows = np.array([[[1, .8, .8, .9, .9], [0, .1, .1, .3, .3]]], np.float32)
    expected, found = computed("MultiBoxTarget", [boxes, rows, np.zeros((1, 3, 2), np.float32)])
    assert found[2].tolist() == expected[2].tolist() == [[0, 1]]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("settings", [
    {"nms_topk": 400, "nms_threshold": .45}, {}, {"force_suppress": True, "nms_topk": 100},
    {"clip": False, "threshold": .3}, {"nms_threshold": -1.0}, {"nms_threshold": 1.5},
    {"nms_threshold": .6, "variances": (.1, .1, .2, .2), "threshold": .05}])
def test_detections_are_mxnets(settings, ties):
    generator = np.random.default_rng(7)
    for count in (1225, 49):
        boxes = anchors(generator, count, ties)
        scores = generator.normal(0, 2, (3, 5, boxes.shape[1]))
        scores = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        offsets = generator.normal(0, 1, (3, boxes.shape[1] * 4))
        if ties:
            scores, offsets = np.round(scores, 1), offsets * 0
        (expected,), (found,) = computed(
            "MultiBoxDetection", [scores.astype(np.float32), offsets.astype(np.float32), boxes],
            **settings)
        np.testing.assert_array_equal(found[..., 0], expected[..., 0])
        kept = expected[..., 0] >= 0
        assert kept.any()
        np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-5, atol=1e-6)
