"""Errors by kind: each kind by a constructed case, and all of them against the authors' program."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from support.compared import one_image, random_comparison

from ssdreg.metrics.coco import evaluate_coco
from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.tide import KINDS, measure_errors

OBJECT = (10, 10, 50, 50)
#: IoU with OBJECT: 30 of 40 columns and 40 of 50 together, then 20 / 60 = 1/3, then 2 / 78.
NEAR, HALF_OFF, FAR_OFF = (20, 10, 60, 50), (30, 10, 70, 50), (48, 10, 88, 50)
ELSEWHERE = (60, 60, 90, 90)


def counts(comparison):
    errors = measure_errors(comparison)
    return {kind.name: kind.total.count for kind in errors.kinds if kind.total.count}, errors


def costs(errors):
    return {kind.name: pytest.approx(kind.total.dap) for kind in errors.kinds}


def test_nothing_wrong():
    found, errors = counts(one_image([(0, 0.9, *OBJECT)], [(0, *OBJECT)]))
    assert (found, errors.ap) == ({}, pytest.approx(1))
    assert costs(errors) == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize(("detections", "wanted", "cost"), [
    # the right place, another class: mended, AP is 1
    ([(1, 0.9, *OBJECT)], {"classification": 1}, 1),
    # the right class, a third of the object
    ([(0, 0.9, *HALF_OFF)], {"localization": 1}, 1),
    # another class, a third of the object: it can only vanish, and the object is missed as well
    ([(1, 0.9, *HALF_OFF)], {"both": 1, "missed": 1}, 0),
    ([(0, 0.9, *ELSEWHERE)], {"background": 1, "missed": 1}, 0),
    # less than a tenth is background, whatever the class
    ([(0, 0.9, *FAR_OFF)], {"background": 1, "missed": 1}, 0),
    ([], {"missed": 1}, 0),
])
def test_kinds(detections, wanted, cost):
    found, errors = counts(one_image(detections, [(0, *OBJECT)]))
    assert found == wanted
    first = next(iter(wanted))
    assert costs(errors)[first] == cost
    assert errors.ap == 0


def test_a_second_detection_of_an_object_is_a_duplicate():
    # miss at the head of the list: precision 1/2 and 2/2 ... with the duplicate behind it costs
    # nothing, before another hit it does
    truths = [(0, *OBJECT), (0, *ELSEWHERE)]
    found, errors = counts(one_image(
        [(0, 0.9, *OBJECT), (0, 0.8, *NEAR), (0, 0.7, *ELSEWHERE)], truths))
    assert found == {"duplicate": 1}
    # recalls up to 1/2 have precision 1, the other 50 of 101 have 2/3
    assert errors.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert costs(errors)["duplicate"] == 1 - errors.ap


def test_a_missed_object_costs_what_is_gained_when_it_is_not_counted():
    found, errors = counts(one_image([(0, 0.9, *OBJECT)], [(0, *OBJECT), (0, *ELSEWHERE)]))
    assert found == {"missed": 1}
    assert errors.ap == pytest.approx(51 / 101)
    assert costs(errors)["missed"] == 1 - 51 / 101
    assert errors.false_negatives.count == 1
    assert errors.false_negatives.dap == pytest.approx(1 - 51 / 101)


def test_of_errors_at_one_object_only_the_best_is_mended():
    # both point at the same free object: mended alone, the first hits and the second vanishes
    found, errors = counts(one_image([(1, 0.9, *OBJECT), (1, 0.8, *OBJECT)], [(0, *OBJECT)]))
    assert found == {"classification": 2}
    assert costs(errors)["classification"] == 1
    # the better one is of localization, so that mending classification only removes the other
    found, errors = counts(one_image([(0, 0.9, *HALF_OFF), (1, 0.8, *OBJECT)], [(0, *OBJECT)]))
    assert found == {"classification": 1, "localization": 1}
    assert (costs(errors)["classification"], costs(errors)["localization"]) == (0, 1)


def test_errors_at_an_object_that_is_found_vanish():
    truths = [(0, *OBJECT), (0, *ELSEWHERE)]
    found, errors = counts(one_image(
        [(0, 0.9, *OBJECT), (0, 0.8, *HALF_OFF), (0, 0.7, *ELSEWHERE)], truths))
    assert found == {"localization": 1}
    assert costs(errors)["localization"] == 1 - errors.ap


def test_false_positives_go_behind_all_else():
    _, errors = counts(one_image([(0, 0.9, *ELSEWHERE), (0, 0.8, *OBJECT)], [(0, *OBJECT)]))
    assert errors.ap == pytest.approx(1 / 2)
    assert errors.false_positives.count == 1
    assert errors.false_positives.dap == pytest.approx(1 / 2)


def test_what_lies_in_a_difficult_object_is_no_error():
    truths = [(0, *OBJECT, 1), (0, *ELSEWHERE, 0)]
    found, errors = counts(one_image(
        [(0, 0.9, *OBJECT), (0, 0.8, 10, 10, 30, 30), (0, 0.7, *ELSEWHERE)], truths))
    assert (found, errors.ap) == ({}, pytest.approx(1))
    # of another class it is: background, for a difficult object is nothing to be taken for
    found, _ = counts(one_image([(1, 0.9, *OBJECT)], truths))
    assert found == {"background": 1, "missed": 1}


def test_sizes_divide_the_errors():
    # 20, 50 and 98 pixels a side; nothing is detected but background of 10 pixels
    truths = [(0, 0, 0, 20, 20), (0, 30, 30, 80, 80), (1, 1, 1, 99, 99)]
    _, errors = counts(one_image([(0, 0.9, 90, 0, 99.9, 9)], truths))
    missed, background = errors.kinds[KINDS.index("missed")], errors.kinds[KINDS.index(
        "background")]
    assert [cost.count for cost in missed.by_size] == [1, 1, 1]
    assert [cost.count for cost in background.by_size] == [1, 0, 0]
    for seed in range(5):
        for kind in measure_errors(random_comparison(seed)).kinds:
            assert sum(cost.count for cost in kind.by_size) == kind.total.count


def test_without_objects_nothing_is_measured():
    for comparison in (one_image([(0, 0.9, *OBJECT)], []), Comparison(("a",), ())):
        errors = measure_errors(comparison)
        assert math.isnan(errors.ap)
        assert errors.to_dict()["ap"] is None
        assert errors.to_dict()["kinds"][0]["dap"] is None


def test_every_detection_and_object_is_accounted_for():
    for seed in range(20):
        comparison = random_comparison(seed, difficult=0)
        errors = measure_errors(comparison)
        wrong = sum(kind.total.count for kind in errors.kinds if kind.name != "missed")
        assert wrong == errors.false_positives.count
        detections = sum(len(image.detections) for image in comparison.images)
        objects = sum(len(image.truths) for image in comparison.images)
        assert detections - wrong == objects - errors.false_negatives.count


def test_the_average_precision_is_cocos_at_half():
    # fewer than 100 detections, no ties and no difficult objects: the same matches
    for seed in range(20):
        comparison = random_comparison(seed, digits=9, difficult=0)
        assert measure_errors(comparison).ap == pytest.approx(
            evaluate_coco(comparison).figures.ap50, abs=2e-3)


def tidecv():
    try:
        return importlib.import_module("tidecv")
    except ImportError as error:
        pytest.skip(f"the authors' program, tidecv, is not installed ({error}); it brings OpenCV "
                    "and pandas along")


@pytest.mark.parametrize("seed", range(12))
def test_the_authors_program_agrees(seed):
    tide = tidecv()
    comparison = random_comparison(seed, images=25, classes=3, most_detections=90, digits=9,
                                   difficult=0)
    truths, detections = tide.Data("truths", 10**6), tide.Data("detections", 10**6)
    for number, image in enumerate(comparison.images):
        truths.add_image(number, str(number))  # else it passes over images without objects
        for label, *box, _ in image.truths:
            truths.add_ground_truth(number, int(label), corner_and_sides(image, box))
        for label, score, *box in image.detections:
            detections.add_detection(number, int(label), score, corner_and_sides(image, box))
    theirs = tide.TIDE()
    run = theirs.evaluate(truths, detections, mode=tide.TIDE.BOX)
    errors = measure_errors(comparison)
    assert all(comparison.objects())
    assert run.ap == pytest.approx(100 * errors.ap)
    short = {"Cls": "classification", "Loc": "localization", "Both": "both", "Dupe": "duplicate",
             "Bkg": "background", "Miss": "missed"}
    counted = {short[kind.short_name]: count for kind, count in run.count_errors().items()}
    assert {kind.name: kind.total.count for kind in errors.kinds} == counted
    found = theirs.get_all_errors()
    mine = {kind.name: 100 * kind.total.dap for kind in errors.kinds}
    assert {short[name]: pytest.approx(value) for name, value
            in found["main"]["detections"].items()} == mine
    special = found["special"]["detections"]
    assert special["FalsePos"] == pytest.approx(100 * errors.false_positives.dap)
    assert special["FalseNeg"] == pytest.approx(100 * errors.false_negatives.dap)


def corner_and_sides(image, box):
    left, top, right, bottom = np.array(box) * np.array([image.width, image.height] * 2)
    return [left, top, right - left, bottom - top]
