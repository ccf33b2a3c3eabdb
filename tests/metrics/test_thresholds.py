from __future__ import annotations

import math

import numpy as np
import pytest
from support.compared import one_image, random_comparison

from ssdreg.metrics.thresholds import measure_curves
from ssdreg.metrics.voc import FALSE_POSITIVE, TRUE_POSITIVE, match

A, B, C = (0, 0, 20, 20), (30, 0, 50, 20), (60, 0, 80, 20)
AWAY = (0, 60, 20, 80)


def test_by_hand():
    # 3 objects. By falling score: hit, hit, miss, hit
    #   threshold  0.9   0.8   0.7   0.6
    #   precision  1     1     2/3   3/4
    #   recall     1/3   2/3   2/3   1
    #   F1         1/2   4/5   2/3   6/7
    comparison = one_image([(0, 0.9, *A), (0, 0.8, *B), (0, 0.7, *AWAY), (0, 0.6, *C)],
                           [(0, *A), (0, *B), (0, *C)])
    curve = measure_curves(comparison).classes[0]
    np.testing.assert_allclose(curve.thresholds, [0.9, 0.8, 0.7, 0.6])
    np.testing.assert_allclose(curve.precision, [1, 1, 2 / 3, 3 / 4])
    np.testing.assert_allclose(curve.recall, [1 / 3, 2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.f1, [1 / 2, 4 / 5, 2 / 3, 6 / 7])
    best = curve.best()
    assert best.to_dict() == pytest.approx(
        {"threshold": 0.6, "precision": 3 / 4, "recall": 1, "f1": 6 / 7})


def test_equal_scores_count_together():
    comparison = one_image([(0, 0.5, *A), (0, 0.5, *AWAY), (0, 0.5, *B)], [(0, *A), (0, *B)])
    curve = measure_curves(comparison).classes[0]
    assert (curve.thresholds.tolist(), curve.recall.tolist()) == ([0.5], [1])
    np.testing.assert_allclose(curve.precision, [2 / 3])


def test_of_equally_good_thresholds_the_highest():
    # F1 is 2/3 with one hit of two objects, and with both among four detections
    comparison = one_image([(0, 0.9, *A), (0, 0.8, *AWAY), (0, 0.7, 60, 60, 80, 80),
                            (0, 0.6, *B)], [(0, *A), (0, *B)])
    curve = measure_curves(comparison).classes[0]
    np.testing.assert_allclose(curve.f1, [2 / 3, 1 / 2, 2 / 5, 2 / 3])
    assert curve.best().threshold == 0.9


@pytest.mark.parametrize(("detections", "truths"), [
    ([], [(0, *A)]), ([(0, 0.9, *AWAY)], [(0, *A)]), ([(0, 0.9, *A)], []), ([], []),
    ([(0, 0.9, *A)], [(0, *A, 1)]),
])
def test_no_threshold_is_best_where_nothing_is_found(detections, truths):
    curves = measure_curves(one_image(detections, truths))
    assert curves.classes[0].best() is None
    assert curves.pooled.best() is None


def test_recall_is_no_number_without_objects():
    curve = measure_curves(one_image([(0, 0.9, *A)], [])).classes[0]
    assert math.isnan(curve.recall[0])
    assert curve.precision.tolist() == [0]


def test_all_classes_taken_together():
    # class 1 has no objects, and its detection is wrong nevertheless
    comparison = one_image([(0, 0.9, *A), (1, 0.8, *AWAY)], [(0, *A)])
    curves = measure_curves(comparison)
    np.testing.assert_allclose(curves.pooled.precision, [1, 1 / 2])
    assert curves.pooled.best().threshold == 0.9


def test_every_threshold_by_counting():
    for seed in range(10):
        comparison = random_comparison(seed, difficult=0, digits=1)
        curve = measure_curves(comparison).classes[0]
        for threshold, precision, recall in zip(curve.thresholds, curve.precision, curve.recall):
            hits = misses = 0
            for image in comparison.images:
                found = image.detections[(image.detections[:, 0] == 0)
                                         & (image.detections[:, 1] >= threshold)]
                outcome = match(found, image.truths, 0.5)
                hits += (outcome == TRUE_POSITIVE).sum()
                misses += (outcome == FALSE_POSITIVE).sum()
            assert precision == hits / (hits + misses)
            assert recall == hits / comparison.objects()[0]
