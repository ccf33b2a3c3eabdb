"""Anchors and boxes, against every anchor that MXNet lays out."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from support.running import run, var

import ssdreg
from ssdreg import ops
from ssdreg.anchors.match import MATCHED, best_overlaps, grids, matches, shapes
from ssdreg.errors import DataError
from ssdreg.metrics.voc import iou_matrix


def random_boxes(count, seed=0, least=0.02):
    """Boxes of all sizes and shapes, some of them at the border of the image."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(least), 0, (count, 2)))
    corners = rng.uniform(-0.1, 1.1, (count, 2)) - sides / 2
    return np.clip(np.hstack([corners, corners + sides]), [0, 0, 0.01, 0.01], [0.99, 0.99, 1, 1])


def laid_out(plan):
    """The anchors (N, 4) of each level, as MXNet places them for the plan's detector."""
    found = []
    for index, level in enumerate(plan.levels):
        step = plan.steps[index] if plan.steps else None
        pair = step if step is None or isinstance(step, tuple) else (step, step)
        (anchors,), _ = run(
            ops.prior(var("feature"), plan.sizes[index], plan.ratios[index], pair, name="prior"),
            feature=np.zeros((1, 1, level.height, level.width)))
        found.append(anchors[0].astype(np.float64))
    return found


PLANS = {
    "square": lambda: ssdreg.plan("resnet18", 2, 128, tap_strides=(8, 16)),
    "wide": lambda: ssdreg.plan("resnet18", 2, (96, 160), tap_strides=(16, 32)),
    "steps": lambda: ssdreg.plan("vgg16_reduced", 2, 300),
    "three sizes, other ratios first": lambda: ssdreg.plan(
        "resnet18", 2, (160, 96), tap_strides=(32,), sizes=[(0.2, 0.3, 0.4)] * 4,
        ratios=[(0.5, 1.0)] * 4, steps=[(0.2, 0.3), 0.5, 0.5, 1.0]),
}


@pytest.mark.parametrize("name", PLANS)
def test_matching_is_that_of_all_anchors_of_mxnet(name):
    plan, boxes = PLANS[name](), random_boxes(600)
    found = matches(boxes, plan)
    overlaps = [iou_matrix(boxes, anchors) for anchors in laid_out(plan)]
    best = np.array([overlap.max(axis=1) for overlap in overlaps])
    # MXNet computes anchors in float32
    np.testing.assert_allclose(found.overlap, best.max(axis=0), atol=1e-5)
    np.testing.assert_allclose(best[found.level, np.arange(len(boxes))], best.max(axis=0),
                               atol=1e-5)
    for index, (level, overlap) in enumerate(zip(found.levels, overlaps)):
        # a pair at the threshold itself may fall to either side
        near = int((np.abs(overlap - MATCHED) < 1e-5).sum())
        assert abs(level.matched - int((best[index] >= MATCHED).sum())) <= near
        assert abs(level.positives - int((overlap >= MATCHED).sum())) <= near
        assert level.best == int((found.level == index).sum())
    assert sum(level.positives for level in found.levels) > 100
    assert 0 < found.share < 1


@pytest.mark.parametrize("name", PLANS)
def test_shapes_are_those_of_mxnet_in_its_order(name):
    plan = PLANS[name]()
    for level, (grid, anchors) in enumerate(zip(grids(plan), laid_out(plan))):
        kinds = shapes(grid, plan.sizes[level], plan.ratios[level])
        assert len(kinds) == plan.levels[level].anchors_per_cell
        sides = (anchors[:, 2:] - anchors[:, :2]).reshape(-1, len(kinds), 2)
        np.testing.assert_allclose(sides, np.broadcast_to(kinds, sides.shape), atol=1e-6)


def test_a_box_that_is_an_anchor_is_matched_in_full():
    plan = PLANS["wide"]()
    boxes = np.concatenate(laid_out(plan))
    found = matches(boxes, plan)
    np.testing.assert_allclose(found.overlap, 1, atol=1e-5)
    assert (found.share, found.boxes) == (1.0, plan.anchors)
    assert found.mean_overlap == pytest.approx(1, abs=1e-5)
    assert found.positives > 1


def test_sums_by_hand():
    # one cell, one anchor: the middle ninth of the image
    plan = ssdreg.plan("resnet18", 1, 32, tap_strides=(32,), sizes=[(1 / 3,)], ratios=[(1.0,)])
    assert [(level.height, level.width) for level in plan.levels] == [(1, 1)]
    third, middle = 1 / 3, (1 / 3, 1 / 3, 2 / 3, 2 / 3)
    # itself; its left half, IoU 0.5; the left third of the image, a third of which it covers
    boxes = [middle, (third, third, 0.5, 2 / 3), (0, 0, third, 1)]
    found = matches(boxes, plan)
    np.testing.assert_allclose(found.overlap, [1, 0.5, 0], atol=1e-12)
    (level,) = found.levels
    assert (level.best, found.mean_overlap) == (3, pytest.approx(0.5))
    grid, = grids(plan)
    one_off = np.array([[0.0, third, third, 2 / 3]])  # touches the anchor along an edge
    assert best_overlaps(one_off, grid, shapes(grid, (third,), (1.0,))) == pytest.approx(0)


def test_a_class_in_front_does_not_matter_and_neither_does_the_number_of_boxes():
    plan, boxes = PLANS["square"](), random_boxes(20000)
    found = matches(boxes, plan)
    with_class = np.column_stack([np.arange(len(boxes)) % 2, boxes])
    again = matches(with_class, plan)
    np.testing.assert_array_equal(found.overlap, again.overlap)
    assert found.levels == again.levels
    parts = [matches(boxes[:9000], plan), matches(boxes[9000:], plan)]
    assert found.boxes == 20000
    for index, level in enumerate(found.levels):
        assert level.matched == sum(part.levels[index].matched for part in parts)
        assert level.positives == sum(part.levels[index].positives for part in parts)


def test_larger_anchors_match_larger_boxes():
    plan = PLANS["square"]()
    large = matches(random_boxes(500, least=0.5), plan)
    small = matches(random_boxes(500, least=0.5) * 0.2, plan)
    assert large.level.mean() > small.level.mean() + 1
    halved = attrs.evolve(plan, sizes=tuple(tuple(size / 2 for size in level)
                                            for level in plan.sizes))
    assert matches(random_boxes(500, least=0.5), halved).share < large.share


@pytest.mark.parametrize(("boxes", "sentence"), [
    (np.zeros((0, 4)), r"boxes of shape \(0, 4\) cannot be matched"),
    ([], r"boxes of shape \(0,\) cannot be matched"),
    (np.zeros((2, 3)), r"boxes of shape \(2, 3\) cannot be matched"),
    ([(0, 0, 1, 1), (0.5, 0, 0.2, 1)], r"box 1 \(0.5, 0, 0.2, 1\) encloses nothing"),
    ([(0, 0, 1, float("nan"))], r"box 0 \(0, 0, 1, nan\) encloses nothing"),
])
def test_what_is_no_box_is_refused(boxes, sentence):
    with pytest.raises(DataError, match=sentence):
        matches(boxes, PLANS["square"]())
