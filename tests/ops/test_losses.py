"""The losses of `ssdreg.ops` and their gradients against plain NumPy in `numpy_ops`."""

from __future__ import annotations

import numpy as np
import pytest
from support import numpy_ops
from support.running import run, var

from ssdreg import ops
from ssdreg.mx import mx

SEEDS = range(4)


def random_classification(seed):
    rng = np.random.RandomState(seed)
    cls_pred = rng.normal(0, 2, (2, 4, 12)).astype("float32").astype("float64")
    return cls_pred, rng.randint(-1, 4, (2, 12)).astype("float64")


def classify(loss, cls_pred, cls_target, **settings):
    """Run a classification loss; return (probabilities, gradient in cls_pred)."""
    symbol = loss(var("cls_pred"), var("cls_target"), **settings)
    assert symbol.list_outputs() == ["cls_prob_output"]
    (prob,), gradients = run(symbol, cls_pred=cls_pred, cls_target=cls_target)
    assert not gradients["cls_target"].any()
    return prob, gradients["cls_pred"]


@pytest.mark.parametrize("seed", SEEDS)
def test_softmax_loss(seed):
    cls_pred, cls_target = random_classification(seed)
    prob, gradient = classify(ops.softmax_loss, cls_pred, cls_target)
    loss, want = numpy_ops.softmax_loss(cls_pred, cls_target)
    np.testing.assert_allclose(prob, numpy_ops.softmax(cls_pred), rtol=1e-5)
    np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-7)
    numeric = numpy_ops.numeric_gradient(
        lambda x: numpy_ops.softmax_loss(x, cls_target)[0], cls_pred)
    np.testing.assert_allclose(want, numeric, atol=1e-6)
    assert loss > 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.75, 0.5)])
def test_focal_loss(seed, alpha, gamma):
    cls_pred, cls_target = random_classification(seed)
    prob, gradient = classify(ops.focal_loss, cls_pred, cls_target, alpha=alpha, gamma=gamma)
    (softmax,), _ = run(mx.sym.softmax(var("x"), axis=1), x=cls_pred)
    np.testing.assert_array_equal(prob, softmax)
    want = numpy_ops.numeric_gradient(
        lambda x: numpy_ops.focal_loss(x, cls_target, alpha, gamma), cls_pred)
    np.testing.assert_allclose(gradient, want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", [ops.softmax_loss, ops.focal_loss])
def test_ignored_anchors_teach_nothing(loss):
    cls_pred, cls_target = random_classification(0)
    _, gradient = classify(loss, cls_pred, cls_target)
    ignored = cls_target == -1
    assert ignored.any()
    assert not gradient.transpose(0, 2, 1)[ignored].any()
    _, gradient = classify(loss, cls_pred, -np.ones_like(cls_target))
    assert not gradient.any()


@pytest.mark.parametrize("loss", [ops.softmax_loss, ops.focal_loss])
def test_classification_without_positive_anchors(loss):
    cls_pred, cls_target = random_classification(1)
    _, gradient = classify(loss, cls_pred, np.minimum(cls_target, 0))
    assert np.isfinite(gradient).all()
    assert gradient[:, 0].sum() < 0  # towards background


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_pulls_back_a_prediction_that_is_wholly_wrong(gamma):
    # a probability of exp(-100) is 0 in float32: its logarithm must not be taken from it
    cls_pred = np.array([[[100.0, 0.0, 100.0], [0.0, 100.0, 0.0]]])
    _, gradient = classify(ops.focal_loss, cls_pred, [[1, 0, 0]], gamma=gamma)
    weight = np.array([0.25, 0.75, 0])  # the third is wholly right
    assert gradient[0, 0] == pytest.approx(weight * [1, -1, 0], rel=1e-5)
    assert gradient[0, 1] == pytest.approx(weight * [-1, 1, 0], rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_smooth_l1_loss(seed):
    rng = np.random.RandomState(seed)
    loc_pred, loc_target = rng.normal(0, 1.5, (2, 2, 40))
    loc_mask = rng.randint(0, 2, (2, 40)).astype(float)
    goal = ops.Targets(var("loc_target"), var("loc_mask"), var("cls_target"))
    symbol = ops.smooth_l1_loss(var("loc_pred"), goal)
    assert symbol.list_outputs() == ["loc_loss_output"]
    (got,), gradients = run(symbol, loc_pred=loc_pred, loc_target=loc_target, loc_mask=loc_mask)
    loss, want = numpy_ops.smooth_l1_loss(loc_pred, loc_target, loc_mask)
    np.testing.assert_allclose(got, loss, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradients["loc_pred"], want, rtol=1e-4, atol=1e-7)
    numeric = numpy_ops.numeric_gradient(
        lambda x: numpy_ops.smooth_l1_loss(x, loc_target, loc_mask)[0].sum(), loc_pred)
    np.testing.assert_allclose(want * (loss > 0).sum(), numeric, atol=1e-4)


def test_smooth_l1_loss_without_positive_anchors():
    goal = ops.Targets(var("loc_target"), var("loc_mask"), var("cls_target"))
    zeros = np.zeros((1, 8))
    (got,), gradients = run(ops.smooth_l1_loss(var("loc_pred"), goal),
                            loc_pred=zeros + 5, loc_target=zeros, loc_mask=zeros)
    assert not got.any()
    assert not gradients["loc_pred"].any()


def boxes_around_anchors(offsets, variances):
    """Return corners (..., 4) of boxes from offsets (..., 4) to an anchor of side 1 at 0."""
    center, sides = offsets[..., :2] * variances[:2], np.exp(offsets[..., 2:] * variances[2:])
    return np.concatenate([center - sides / 2, center + sides / 2], axis=-1)


def giou(one, other):
    """Rezatofighi et al., Generalized Intersection over Union, 2019, algorithm 1."""
    shared = (np.minimum(one[..., 2:], other[..., 2:])
              - np.maximum(one[..., :2], other[..., :2])).clip(0).prod(-1)
    union = sum((box[..., 2:] - box[..., :2]).prod(-1) for box in (one, other)) - shared
    hull = (np.maximum(one[..., 2:], other[..., 2:])
            - np.minimum(one[..., :2], other[..., :2])).prod(-1)
    return shared / union - (hull - union) / hull


@pytest.mark.parametrize("seed", SEEDS)
def test_giou_loss(seed):
    rng = np.random.RandomState(seed)
    variances = np.array([0.1, 0.1, 0.2, 0.2])
    # far enough for boxes that do not meet their object
    loc_pred, loc_target = rng.normal(0, 4, (2, 2, 40))
    positive = rng.randint(0, 2, (2, 10)).astype(float)
    goal = ops.Targets(var("loc_target"), var("loc_mask"), var("cls_target"))
    symbol = ops.giou_loss(var("loc_pred"), goal, variances=tuple(variances))
    assert symbol.list_outputs() == ["loc_loss_output"]

    def loss(offsets):
        return positive * (1 - giou(boxes_around_anchors(offsets.reshape(2, 10, 4), variances),
                                    boxes_around_anchors(loc_target.reshape(2, 10, 4), variances)))
    (computed,), gradients = run(symbol, loc_pred=loc_pred, loc_target=loc_target,
                                 loc_mask=positive.repeat(4, axis=1))
    np.testing.assert_allclose(computed[..., 0], loss(loc_pred), rtol=1e-4, atol=1e-5)
    assert (computed > 1).any()
    numeric = numpy_ops.numeric_gradient(lambda x: loss(x).sum(), loc_pred)
    np.testing.assert_allclose(gradients["loc_pred"], 2 * numeric / positive.sum(), rtol=1e-3,
                               atol=1e-5)


def test_giou_loss_of_boxes_that_are_right_or_absurd():
    goal = ops.Targets(var("loc_target"), var("loc_mask"), var("cls_target"))
    symbol = ops.giou_loss(var("loc_pred"), goal, variances=(0.1, 0.1, 0.2, 0.2))
    zeros, ones = np.zeros((1, 8)), np.ones((1, 8))
    for prediction, mask in ((zeros + 5, zeros), (zeros, ones)):
        (computed,), gradients = run(symbol, loc_pred=prediction, loc_target=zeros, loc_mask=mask)
        assert not computed.any()
        assert np.isfinite(gradients["loc_pred"]).all()
    (computed,), gradients = run(symbol, loc_pred=zeros + 1e6, loc_target=zeros, loc_mask=ones)
    assert np.isfinite(computed).all()
    assert np.isfinite(gradients["loc_pred"]).all()
