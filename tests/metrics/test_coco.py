"""COCO's figures against pycocotools, whose program is their definition."""

from __future__ import annotations

import contextlib
import io
import math

import attrs
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.compared import one_image, random_comparison

from ssdreg.errors import DataError
from ssdreg.metrics.coco import FIGURES, evaluate_coco
from ssdreg.metrics.comparison import Comparison, compare


def by_pycocotools(comparison):
    """Return the twelve figures and the AP of each class, as pycocotools gives them."""
    objects, detections = [], []
    for number, image in enumerate(comparison.images, 1):
        scale = np.array([image.width, image.height] * 2)
        for label, *box, difficult in image.truths:
            left, top, right, bottom = np.array(box) * scale
            objects.append({"id": len(objects) + 1, "image_id": number,
                            "category_id": int(label) + 1, "iscrowd": int(difficult),
                            "area": (right - left) * (bottom - top),
                            "bbox": [left, top, right - left, bottom - top]})
        for label, score, *box in image.detections:
            left, top, right, bottom = np.array(box) * scale
            detections.append({"id": len(detections) + 1, "image_id": number, "score": score,
                               "category_id": int(label) + 1, "iscrowd": 0,
                               "area": (right - left) * (bottom - top),
                               "bbox": [left, top, right - left, bottom - top]})
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (objects, detections):
            side = COCO()
            side.dataset = {
                "images": [{"id": number + 1} for number in range(len(comparison.images))],
                "categories": [{"id": index + 1} for index in range(len(comparison.classes))],
                "annotations": annotations}
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    return evaluation.stats, [precision[:, :, index].mean()
                              for index in range(len(comparison.classes))]


def agrees(comparison):
    figures, class_ap = by_pycocotools(comparison)
    found = evaluate_coco(comparison)
    for mine, theirs in ((attrs.astuple(found.figures), figures), (found.class_ap, class_ap)):
        # it writes -1 where there is nothing to measure
        theirs = np.where(np.asarray(theirs) == -1, math.nan, theirs)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9, equal_nan=True)
    return found


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_random_detections(digits):
    measured = 0.0
    for seed in range(40):
        random = np.random.default_rng(seed)
        comparison = random_comparison(
            seed, images=int(random.integers(1, 16)), classes=int(random.integers(1, 6)),
            most_objects=int(random.integers(1, 12)), digits=digits)
        measured += np.nan_to_num(agrees(comparison).figures.ap)
    assert measured > 1  # the sets are no trivial ones


def test_more_than_a_hundred_detections_of_a_class():
    agrees(random_comparison(7, images=4, classes=1, most_objects=40, most_detections=400))


def test_only_ties():
    for seed in range(10):
        agrees(random_comparison(seed, digits=0))


def test_no_detections():
    comparison = one_image([], [(0, 10, 10, 60, 60)])
    figures = agrees(comparison).figures
    # the object has 50 pixels a side: there is nothing small or large
    assert (figures.ap, figures.ar100, figures.ap_medium) == (0, 0, 0)
    assert math.isnan(figures.ap_small)
    assert math.isnan(figures.ap_large)


@pytest.mark.parametrize("truths", [[], [(0, 10, 10, 60, 60, 1)]])
def test_no_objects_that_count(truths):
    comparison = one_image([(0, 0.9, 10, 10, 60, 60)], truths)
    found = agrees(comparison)
    assert all(math.isnan(value) for value in attrs.astuple(found.figures))
    assert found.figures.to_dict() == dict.fromkeys(FIGURES)
    assert all(math.isnan(value) for value in found.class_ap)


def test_no_images():
    assert all(map(math.isnan, attrs.astuple(evaluate_coco(Comparison(("a",), ())).figures)))


def test_a_class_without_objects_is_left_out_of_the_mean():
    comparison = one_image([(0, 0.9, 10, 10, 60, 60), (1, 0.9, 10, 10, 60, 60)],
                           [(0, 10, 10, 60, 60)])
    found = agrees(comparison)
    assert found.figures.ap == found.class_ap[0] == pytest.approx(1)
    assert math.isnan(found.class_ap[1])


def test_detections_within_a_difficult_object_are_forgiven():
    # a third of the difficult object's area each: an IoU of 1/3, yet all of them lies inside
    truths = [(0, 0, 0, 90, 90, 1), (0, 92, 92, 99, 99, 0)]
    found = agrees(one_image([(0, 0.9, 0, 0, 90, 30), (0, 0.8, 0, 30, 90, 60),
                              (0, 0.7, 92, 92, 99, 99)], truths))
    assert found.figures.ap == pytest.approx(1)


def test_areas_are_those_of_the_original_image():
    # the same shares of a larger image: what was small is large
    for side, name in ((50, "ap_small"), (150, "ap_medium"), (500, "ap_large")):
        box = (0.1, 0.1, 0.6, 0.6)
        found = agrees(compare([([(0, 0.9, *box)], [(0, *box)])], [(side, side)], ["a"]))
        known = {key for key, value in found.figures.to_dict().items()
                 if value is not None and key.startswith("ap_")}
        assert known == {name}


@pytest.mark.parametrize(("sizes", "message"), [
    ([(10, 10)], "there are sizes of 1 images and boxes of more"),
    ([(10, 10)] * 3, "there are sizes of 3 images and boxes of 2"),
])
def test_sizes_belong_to_images(sizes, message):
    with pytest.raises(DataError, match=message):
        compare([([], [])] * 2, sizes, ["a"])


def test_wrong_rows_are_told_with_their_image():
    with pytest.raises(DataError, match="image 1: the detections name class 3"):
        compare([([], []), ([(3, 0.5, 0, 0, 1, 1)], [])], [(9, 9)] * 2, ["a"])
