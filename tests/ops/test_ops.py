"""Priors, targets and detections of `ssdreg.ops` against plain NumPy in `numpy_ops`."""

from __future__ import annotations

import numpy as np
import pytest
from support import numpy_ops
from support.running import run, var

from ssdreg import ops
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.mx import mx

VARIANCES = (0.1, 0.1, 0.2, 0.2)
PADDING = [-1.0] * 5
SEEDS = range(4)


def random_boxes(rng, count):
    corners = rng.uniform(0, 0.7, (count, 2))
    return np.hstack([corners, corners + rng.uniform(0.1, 0.5, (count, 2))])


def random_label(rng, objects, rows, columns=5, classes=3):
    """Labels of a batch, as float32: `objects` lists how many objects each image has."""
    label = -np.ones((len(objects), rows, columns))
    for image, count in enumerate(objects):
        label[image, :count, 0] = rng.randint(0, classes, count)
        label[image, :count, 1:5] = random_boxes(rng, count)
        label[image, :count, 5:] = rng.randint(0, 2, (count, columns - 5))
    return label.astype("float32")


# --- prior -------------------------------------------------------------------------------------

@pytest.mark.parametrize("cells", [(1, 1), (3, 3), (2, 5), (7, 4)])
@pytest.mark.parametrize(("sizes", "ratios"), [
    ((0.2,), (1.0,)),
    ((0.1, 0.141), (1.0, 2.0, 0.5)),
    ((0.3, 0.4, 0.5), (1.0, 2.0, 0.5, 3.0, 1 / 3)),
    ((0.3, 0.4), (4.0, 1.0)),
])
@pytest.mark.parametrize("step", [None, (0.25, 0.125)])
def test_prior(cells, sizes, ratios, step):
    symbol = ops.prior(var("feature"), sizes, ratios, step, name="prior")
    (got,), _ = run(symbol, feature=np.zeros((2, 5, *cells)))
    want = numpy_ops.prior(*cells, sizes, ratios, step)
    assert got.shape == (1, cells[0] * cells[1] * (len(sizes) + len(ratios) - 1), 4)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_prior_of_ratio_1_is_square_in_pixels():
    # an image of 128 x 256 pixels on a map of 4 x 8 cells
    (got,), _ = run(ops.prior(var("feature"), (0.5,), (1.0,), name="prior"),
                    feature=np.zeros((1, 1, 4, 8)))
    x1, y1, x2, y2 = got[0, 0]
    assert (y2 - y1) * 128 == pytest.approx(64)
    assert (x2 - x1) * 256 == pytest.approx(64)
    assert [(x1 + x2) / 2 * 256, (y1 + y2) / 2 * 128] == pytest.approx([16, 16])


# --- targets -----------------------------------------------------------------------------------

def targets(anchors, label, cls_pred, **settings):
    """Run the operator; return loc_target, loc_mask and cls_target."""
    goal = ops.targets(var("anchors"), var("label"), var("cls_pred"), variances=VARIANCES,
                       **settings)
    symbol = mx.sym.Group([goal.loc_target, goal.loc_mask, goal.cls_target])
    outputs, _ = run(symbol, anchors=[anchors], label=label, cls_pred=cls_pred)
    return outputs


def assert_targets_agree(anchors, label, cls_pred, **settings):
    got = targets(anchors, label, cls_pred, **settings)
    want = numpy_ops.targets(anchors, label, cls_pred, VARIANCES, **settings)
    for mine, theirs in zip(got, want):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    return got


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("negative_ratio", [3.0, 1.5, -1.0])
@pytest.mark.parametrize("columns", [5, 6, 8])
def test_targets(seed, negative_ratio, columns):
    rng = np.random.RandomState(seed)
    anchors = random_boxes(rng, 60).astype("float32")
    label = random_label(rng, objects=(4, 0, 1), rows=5, columns=columns)
    cls_pred = rng.normal(0, 2, (3, 4, 60)).astype("float32")
    _, mask, cls = assert_targets_agree(anchors, label, cls_pred, negative_ratio=negative_ratio)
    positive = (cls > 0).sum(axis=1)
    assert positive[0] >= 4
    np.testing.assert_array_equal(mask.reshape(3, 60, 4).sum(axis=(1, 2)), positive * 4)
    assert not mask.reshape(3, -1)[1].any()
    assert (cls[1] == 0).any()  # an image without objects teaches what background is
    assert (cls[1] <= 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_with_more_objects_than_anchors(seed):
    rng = np.random.RandomState(seed)
    anchors = random_boxes(rng, 3).astype("float32")
    label = random_label(rng, objects=(9,), rows=9)
    _, _, cls = assert_targets_agree(anchors, label, np.zeros((1, 4, 3), "float32"))
    assert (cls > 0).all()


@pytest.mark.parametrize(("ratio", "kept"), [(3.0, 3), (1.5, 2), (-1.0, 6)])
def test_targets_without_any_object(ratio, kept):
    random = np.random.RandomState(0)
    anchors = random_boxes(random, 6).astype("float32")
    cls_pred = random.normal(0, 2, (2, 4, 6)).astype("float32")
    loc, mask, cls = assert_targets_agree(anchors, np.array([[PADDING] * 3] * 2), cls_pred,
                                          negative_ratio=ratio)
    assert not loc.any()
    assert not mask.any()
    # as many as one object has beside it, those that look least like background
    assert (cls == 0).sum(axis=1).tolist() == [kept, kept]
    certain = numpy_ops.softmax(cls_pred)[:, 0]
    for image in (0, 1):
        assert set(np.flatnonzero(cls[image] == 0)) == set(np.argsort(certain[image])[:kept])


def test_a_negative_keeps_as_many_anchors_as_the_other_images_on_average():
    random = np.random.RandomState(1)
    anchors = random_boxes(random, 80).astype("float32")
    label = random_label(random, objects=(4, 0, 1, 0), rows=5)
    _, _, cls = targets(anchors, label, random.normal(0, 2, (4, 4, 80)).astype("float32"))
    one, negative, other, second = (cls == 0).sum(axis=1)
    assert negative == second == int(np.ceil((one + other) / 2))
    assert one != other


def test_rows_behind_the_first_padding_row_are_not_read():
    anchors = [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]
    label = [[[0, 0, 0, 0.5, 0.5], PADDING, [1, 0.5, 0.5, 1, 1]]]
    _, _, cls = targets(anchors, label, np.zeros((1, 3, 2)), negative_ratio=-1.0)
    assert cls.tolist() == [[1, 0]]


def test_padding_must_be_minus_1_throughout():
    with pytest.raises(mx.MXNetError, match=r"-1\.0f"):
        targets([[0, 0, 0.5, 0.5]], [[[-1, 0, 0, 0, 0]]], np.zeros((1, 2, 1)))


def test_offsets_by_hand():
    # the anchor is 0.2 wide and 0.4 tall around (0.3, 0.4); the object 0.4 x 0.4 around (0.4, 0.4)
    loc, mask, cls = targets([[0.2, 0.2, 0.4, 0.6]], [[[2, 0.2, 0.2, 0.6, 0.6]]],
                             np.zeros((1, 4, 1)))
    assert loc[0] == pytest.approx([0.1 / 0.2 / 0.1, 0, np.log(2) / 0.2, 0], abs=1e-5)
    assert mask.tolist() == [[1] * 4]
    assert cls.tolist() == [[3]]


def test_two_objects_that_want_one_anchor_get_one_each():
    # both overlap the first anchor most; the better pair takes it, the other the next best
    anchors = [[0, 0, 0.5, 0.5], [0, 0, 0.5, 1], [0.6, 0.6, 1, 1]]
    label = [[[0, 0, 0, 0.5, 0.49], [1, 0, 0, 0.5, 0.5]]]
    _, _, cls = targets(anchors, label, np.zeros((1, 3, 3)))
    assert cls.tolist() == [[2, 1, 0]]


def test_an_object_that_overlaps_no_anchor_gets_none():
    _, mask, cls = targets([[0, 0, 0.5, 0.5]], [[[0, 0.9, 0.9, 0.95, 0.95]]], np.zeros((1, 2, 1)))
    assert not mask.any()
    assert cls.tolist() == [[-1]]  # and three negatives for each of 0 positives are none


def test_hard_negatives_are_those_least_sure_of_background():
    anchors = [[0, 0, 0.5, 0.5]] + [[0.6, 0.6, 0.7 + 0.05 * i, 0.9] for i in range(5)]
    background = [0.0, 3.0, -1.0, 2.0, -3.0, 1.0]
    cls_pred = np.array([[background, [0.0] * 6]])
    _, _, cls = targets(anchors, [[[0, 0, 0, 0.5, 0.5]]], cls_pred)
    assert cls.tolist() == [[1, -1, 0, -1, 0, 0]]
    _, _, cls = targets(anchors, [[[0, 0, 0, 0.5, 0.5]]], cls_pred, negative_ratio=1.0)
    assert cls.tolist() == [[1, -1, -1, -1, 0, -1]]


def test_targets_have_no_gradient():
    rng = np.random.RandomState(0)
    goal = ops.targets(var("anchors"), var("label"), var("cls_pred"), variances=VARIANCES)
    _, gradients = run(mx.sym.Group([goal.loc_target, goal.loc_mask, goal.cls_target]),
                       anchors=[random_boxes(rng, 8)], label=random_label(rng, (2,), 3),
                       cls_pred=rng.normal(0, 1, (1, 4, 8)))
    assert not any(gradient.any() for gradient in gradients.values())


# --- detection ---------------------------------------------------------------------------------

def detect(cls_prob, loc_pred, anchors, **settings):
    symbol = ops.detection(var("cls_prob"), var("loc_pred"), var("anchors"),
                           PostProcessing(variances=VARIANCES, **settings))
    (found,), gradients = run(symbol, cls_prob=cls_prob, loc_pred=loc_pred, anchors=[anchors])
    assert not any(gradient.any() for gradient in gradients.values())
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("force_suppress", [False, True])
@pytest.mark.parametrize(("nms_threshold", "nms_topk", "threshold"), [
    (0.5, 400, 0.01), (0.3, 20, 0.01), (0.7, 5, 0.35), (1.0, 400, 0.5), (0.5, 400, 0.999)])
def test_detection(seed, force_suppress, nms_threshold, nms_topk, threshold):
    rng = np.random.RandomState(seed)
    anchors = random_boxes(rng, 50).astype("float32")
    cls_prob = numpy_ops.softmax(rng.normal(0, 1.5, (2, 4, 50))).astype("float32")
    loc_pred = rng.normal(0, 1, (2, 200)).astype("float32")
    settings = {"nms_threshold": nms_threshold, "nms_topk": nms_topk,
                "force_suppress": force_suppress, "threshold": threshold}
    got = detect(cls_prob, loc_pred, anchors, **settings)
    want = numpy_ops.detection(cls_prob, loc_pred, anchors, VARIANCES, **settings)
    assert got.shape == (2, 50, 6)
    for rows, survivors in zip(got, want):
        kept = rows[rows[:, 0] >= 0]
        assert kept.shape == survivors.shape
        np.testing.assert_allclose(kept, survivors, rtol=1e-4, atol=1e-5)
        assert (rows[rows[:, 0] < 0, 0] == -1).all()


def test_nms_by_hand():
    # an IoU of exactly 0.5 with a better box of the class drops a box, less does not
    anchors = [[0, 0, 1, 0.5], [0, 0, 1, 1], [0, 0, 1, 0.24]]
    cls_prob = [[[0.1, 0.2, 0.3], [0.9, 0.8, 0.7], [0, 0, 0]]]
    settings = {"nms_threshold": 0.5, "nms_topk": 400, "force_suppress": False}
    found = detect(cls_prob, np.zeros((1, 12)), anchors, **settings)
    assert found[0, :, 0].tolist() == [0, -1, 0]
    # of another class it stays, but for force_suppress
    cls_prob = [[[0.1, 0.2, 0.3], [0.9, 0, 0.7], [0, 0.8, 0]]]
    found = detect(cls_prob, np.zeros((1, 12)), anchors, **settings)
    assert found[0, :, 0].tolist() == [0, 1, 0]
    settings["force_suppress"] = True
    found = detect(cls_prob, np.zeros((1, 12)), anchors, **settings)
    assert found[0, :, 0].tolist() == [0, -1, 0]


def test_boxes_are_clipped_to_the_image():
    found = detect([[[0.1], [0.9]]], [[0, 0, 10, 10]], [[0.2, 0.2, 0.9, 0.9]],
                   nms_threshold=0.5, nms_topk=400, force_suppress=False)
    assert found[0, 0] == pytest.approx([0, 0.9, 0, 0, 1, 1])


def test_detections_by_anchor_when_suppression_is_off():
    anchors = [[0, 0, 1, 0.5], [0, 0, 1, 0.5], [0, 0, 1, 0.5]]
    cls_prob = [[[0.3, 0.1, 0.2], [0.7, 0.9, 0.8]]]
    settings = {"nms_topk": 1, "force_suppress": False}
    found = detect(cls_prob, np.zeros((1, 12)), anchors, nms_threshold=0, **settings)
    assert found[0, :, 1] == pytest.approx([0.7, 0.9, 0.8])
    assert (found[0, :, 0] == 0).all()
    # the same boxes at the highest threshold there is: one is left
    found = detect(cls_prob, np.zeros((1, 12)), anchors, nms_threshold=1,
                   nms_topk=-1, force_suppress=False)
    assert found[0, :, 0].tolist() == [0, -1, -1]
    assert found[0, 0, 1] == pytest.approx(0.9)


def test_dropped_scores_leave_no_row():
    found = detect([[[0.995, 0.4], [0.005, 0.6]]], np.zeros((1, 8)),
                   [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]],
                   nms_threshold=0.5, nms_topk=400, force_suppress=False)
    assert found[0, 0] == pytest.approx([0, 0.6, 0.5, 0.5, 1, 1])
    assert (found[0, 1] == -1).all()
