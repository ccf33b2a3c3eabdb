from __future__ import annotations

import pytest
from support.compared import one_image, random_comparison

from ssdreg.metrics.confusion import assign, measure_confusion

A, B, AWAY = (10, 10, 50, 50), (60, 10, 90, 40), (60, 60, 90, 90)


def matrix(detections, truths, threshold=0.5):
    return measure_confusion(one_image(detections, truths), threshold).matrix.tolist()


@pytest.mark.parametrize(("detections", "truths", "wanted"), [
    # rows: objects of class 0, of class 1, background; columns: detections likewise, missed
    ([(0, 0.9, *A)], [(0, *A)], [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ([(1, 0.9, *A)], [(0, *A)], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
    ([(0, 0.9, *AWAY)], [(0, *A)], [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
    ([(0, 0.4, *A)], [(0, *A)], [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),
    ([], [(1, *B)], [[0, 0, 0], [0, 0, 1], [0, 0, 0]]),
    ([], [], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    # a second detection of an object is one of background
    ([(0, 0.9, *A), (0, 0.8, *A)], [(0, *A)], [[1, 0, 0], [0, 0, 0], [1, 0, 0]]),
    # the first answer counts, be it wrong
    ([(0, 0.8, *A), (1, 0.9, *A)], [(0, *A)], [[0, 1, 0], [0, 0, 0], [1, 0, 0]]),
    # of two objects its own class's comes first, though it overlaps the other more
    ([(0, 0.9, *A)], [(1, *A), (0, 10, 10, 50, 40)], [[1, 0, 0], [0, 0, 1], [0, 0, 0]]),
    # difficult objects are neither missed nor found, and spare what overlaps them
    ([(1, 0.9, *A)], [(0, *A, 1)], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
])
def test_rules(detections, truths, wanted):
    assert matrix(detections, truths) == wanted


def test_a_score_of_the_threshold_counts():
    assert matrix([(0, 0.5, *A)], [(0, *A)])[0] == [1, 0, 0]


def test_an_overlap_of_the_threshold_counts():
    # shares of 1/2 and 1/4, which are no rounded numbers
    assert matrix([(0, 0.9, 0, 0, 50, 25)], [(0, 0, 0, 50, 50)])[0] == [1, 0, 0]
    assert matrix([(0, 0.9, 0, 0, 50, 24.9)], [(0, 0, 0, 50, 50)])[0] == [0, 0, 1]


def test_rows_and_columns_add_up():
    for seed in range(10):
        comparison = random_comparison(seed, difficult=0)
        confusion = measure_confusion(comparison, 0.4)
        assert confusion.matrix[:-1].sum(axis=1).tolist() == comparison.objects().tolist()
        detections = [sum(int(((image.detections[:, 0] == label)
                               & (image.detections[:, 1] >= 0.4)).sum())
                          for image in comparison.images) for label in range(4)]
        assert confusion.matrix[:, :-1].sum(axis=0).tolist() == detections
        assert confusion.matrix[-1, -1] == 0


def test_pairs_are_the_most_frequent_confusions():
    comparison = one_image([(1, 0.9, *A), (1, 0.9, *B), (0, 0.9, *AWAY)],
                           [(0, *A), (0, *B), (1, *AWAY)])
    assert measure_confusion(comparison, 0.5).pairs() == [
        (2, "circle", "square"), (1, "square", "circle")]


def test_who_takes_what():
    image, = one_image([(0, 0.6, *B), (0, 0.9, *A), (0, 0.2, *A), (1, 0.7, *AWAY)],
                       [(0, *A), (1, *B), (1, 0, 0, 5, 5)]).images
    assigned = assign(image, 0.5)
    assert assigned.detections.tolist() == [1, 3, 0]
    assert assigned.takes.tolist() == [0, -1, 1]
    assert assigned.missed.tolist() == [2]


def test_json():
    confusion = measure_confusion(one_image([(0, 0.9, *A)], [(0, *A)]), 0.5)
    assert confusion.to_dict() == {
        "threshold": 0.5, "iou_threshold": 0.5, "classes": ["circle", "square"],
        "matrix": [[1, 0, 0], [0, 0, 0], [0, 0, 0]]}
