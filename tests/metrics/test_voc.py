from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ssdreg.errors import DataError
from ssdreg.metrics.voc import Accumulator, evaluate, iou_matrix

BOX = (0.0, 0.0, 10.0, 10.0)


def apart(index):
    """A box 10 by 10 that overlaps no other one of these."""
    return (20.0 * index, 0.0, 20.0 * index + 10, 10.0)


def test_iou_by_hand():
    a = np.array([[0, 0, 10, 10], [0, 0, 2, 4]], float)
    b = np.array([[5, 5, 15, 15], [0, 0, 10, 10], [10, 0, 20, 10]], float)
    # 25 / (100 + 100 - 25), the same box, only an edge in common; 8 inside 100
    expected = [[25 / 175, 1.0, 0.0], [0.0, 8 / 100, 0.0]]
    np.testing.assert_allclose(iou_matrix(a, b), expected)


def test_iou_without_area_is_zero():
    flat_and_swapped = np.array([[3, 3, 3, 9], [9, 9, 3, 3]], float)
    assert iou_matrix(flat_and_swapped, flat_and_swapped).tolist() == [[0, 0], [0, 0]]
    assert iou_matrix(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


def test_both_averages_by_hand():
    # 4 objects. By falling score: hit, miss, hit, hit, miss; one object is never found.
    #   true positives  1     1     2     3     3
    #   precision       1     1/2   2/3   3/4   3/5
    #   recall          1/4   1/4   1/2   3/4   3/4
    #   interpolated    1     3/4   3/4   3/4   3/5
    # area: 1/4 * 1 + 1/4 * 3/4 + 1/4 * 3/4                       = 5/8
    # 11 points: 0, .1, .2 -> 1; .3 ... .7 -> 3/4; .8, .9, 1 -> 0 = (3 + 5 * 3/4) / 11 = 27/44
    truths = [[(0, *apart(0)), (0, *apart(1))], [(0, *apart(0)), (0, *apart(1))]]
    detections = [[(0, 0.5, *apart(8)), (0, 0.9, *apart(0)), (0, 0.7, *apart(1))],
                  [(0, 0.8, *apart(9)), (0, 0.6, *apart(0))]]
    result = evaluate(detections, truths, ["cell"])
    (cell,) = result.classes
    assert cell.ap == pytest.approx(5 / 8)
    assert cell.ap_07 == pytest.approx(27 / 44)
    assert (cell.objects, cell.detections, result.images) == (4, 5, 2)


def test_eleven_points_reach_a_recall_of_exactly_three_tenths():
    # 3 of 10 objects found and nothing else: recalls 0, .1, .2 and .3 have precision 1, so 4/11;
    # 3 * 0.1 is a little above 3/10 and would lose the last of them
    truths = [[(0, *apart(i)) for i in range(10)]]
    detections = [[(0, 0.9, *apart(i)) for i in range(3)]]
    (only,) = evaluate(detections, truths, ["cell"]).classes
    assert only.ap_07 == pytest.approx(4 / 11)
    assert only.ap == pytest.approx(3 / 10)


def test_second_detection_of_an_object_is_a_false_positive():
    # hit, duplicate, hit: precision 1, 1/2, 2/3; recall 1/2, 1/2, 1
    # area: 1/2 * 1 + 1/2 * 2/3 = 5/6; 11 points: 6 at 1, 5 at 2/3 = (6 + 10/3) / 11 = 28/33
    truths = [[(0, *apart(0)), (0, *apart(1))]]
    detections = [[(0, 0.9, *apart(0)), (0, 0.8, *apart(0)), (0, 0.7, *apart(1))]]
    (only,) = evaluate(detections, truths, ["cell"]).classes
    assert only.ap == pytest.approx(5 / 6)
    assert only.ap_07 == pytest.approx(28 / 33)


def test_detection_goes_to_the_object_it_overlaps_most_even_if_that_is_taken():
    # Both detections overlap the first object most. The second also has IoU 7/13 >= 0.5 with the
    # other object, which VOC does not offer it: it stays a false positive.
    truths = [[(0, 0, 0, 10, 10), (0, 0, 4, 10, 14)]]
    detections = [[(0, 0.9, 0, 0, 10, 10), (0, 0.8, 0, 1, 10, 11)]]
    assert iou_matrix(np.array([[0, 1, 10, 11.]]), np.array([[0, 4, 10, 14.]]))[0, 0] > 0.5
    (only,) = evaluate(detections, truths, ["cell"]).classes
    assert only.ap == pytest.approx(1 / 2)


def test_difficult_objects_neither_help_nor_hurt():
    truths = [[(0, *apart(0), 1), (0, *apart(1), 0)]]
    # two detections of the difficult object, above the one that counts
    detections = [[(0, 0.9, *apart(0)), (0, 0.8, *apart(0)), (0, 0.7, *apart(1))]]
    (only,) = evaluate(detections, truths, ["cell"]).classes
    assert (only.ap, only.ap_07, only.objects, only.detections) == (1.0, 1.0, 1, 3)


def test_only_difficult_objects_leave_no_average():
    result = evaluate([[(0, 0.9, *BOX)]], [[(0, *BOX, 1)]], ["cell"])
    assert result.classes[0].objects == 0
    assert math.isnan(result.classes[0].ap)
    assert math.isnan(result.map)
    assert math.isnan(result.map_07)


@pytest.mark.parametrize(("threshold", "ap"), [(0.5, 1.0), (0.5000001, 0.0)])
def test_an_overlap_of_the_threshold_itself_is_a_match(threshold, ap):
    detections = [[(0, 0.9, 0, 0, 10, 5)]]  # half of the object: IoU 50/100
    assert evaluate(detections, [[(0, *BOX)]], ["cell"], threshold).map == ap


def test_equal_scores_keep_their_order():
    # hit first: precision 1 at recall 1; miss first: 1/2
    hit, miss = (0, 0.5, *BOX), (0, 0.5, *apart(3))
    truth = [(0, *BOX)]
    assert evaluate([[hit, miss]], [truth], ["cell"]).map == 1.0
    assert evaluate([[miss, hit]], [truth], ["cell"]).map == 0.5
    assert evaluate([[miss], [hit]], [[], truth], ["cell"]).map == 0.5


def test_classes_are_apart_and_one_without_objects_is_left_out_of_the_mean():
    truths = [[(0, *BOX), (1, *apart(1))]]
    # the right place with the wrong class, then the right one: class 1 has precision 1/2
    detections = [[(1, 0.9, *BOX), (1, 0.8, *apart(1)), (2, 0.7, *apart(2))]]
    result = evaluate(detections, truths, ["a", "b", "c"])
    a, b, c = result.classes
    assert (a.ap, a.ap_07, a.detections) == (0.0, 0.0, 0)
    assert (b.ap, b.ap_07) == (0.5, 0.5)
    assert math.isnan(c.ap)
    assert result.map == 0.25


def test_padding_rows_and_empty_images():
    detections = [np.full((4, 6), -1.0), np.array([(0, 0.9, *BOX), (-1, *[np.nan] * 5)]), []]
    truths = [np.full((3, 6), -1.0), np.array([(0, *BOX, 0), (-1, *[-1] * 5)]), np.zeros((0, 5))]
    result = evaluate(detections, truths, ["cell"])
    assert (result.map, result.images, result.classes[0].detections) == (1.0, 3, 1)


def test_no_detections_and_no_images():
    assert evaluate([[]], [[(0, *BOX)]], ["cell"]).map == 0.0
    nothing = evaluate([], [], ["cell"])
    assert nothing.images == 0
    assert math.isnan(nothing.map)


def test_adding_image_by_image_is_the_same():
    detections, truths = random_case(np.random.default_rng(5), images=6, classes=3)
    accumulator = Accumulator(["a", "b", "c"], 0.4)
    for found, wanted in zip(detections, truths):
        accumulator.add(found, wanted)
    assert accumulator.result() == evaluate(detections, truths, ["a", "b", "c"], 0.4)


def test_json_has_no_nan():
    result = evaluate([[]], [[(0, *BOX)]], ["a", "b"])
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["classes"][1] == {"name": "b", "ap": None, "ap_07": None, "objects": 0,
                                  "detections": 0}
    assert (read["map"], read["map_07"], read["iou_threshold"], read["images"]) == (0, 0, 0.5, 1)
    assert evaluate([], [], []).to_dict()["map"] is None


def test_table_is_aligned():
    table = evaluate([[(0, 0.9, *BOX)]], [[(0, *BOX)]], ["cell", "a long name"]).table()
    assert table.splitlines() == [
        "class        objects  detections      AP  AP 2007",
        "cell               1           1  1.0000   1.0000",
        "a long name        0           0       -        -",
        "mean               1           1  1.0000   1.0000"]


@pytest.mark.parametrize(("detections", "truths", "message"), [
    ([[(0, 0.9, 0, 0, 1)]], [[]], "image 0: the detections have shape"),
    ([[]], [[(0, 0, 0, 1)]], "image 0: the ground truths have shape"),
    ([[], [(2, 0.9, *BOX)]], [[], []], "image 1: the detections name class 2, but there are 2"),
    ([[]], [[(0.5, *BOX)]], "name class 0.5"),
    ([[(0, np.nan, *BOX)]], [[]], "not finite"),
    ([[(np.nan, 0.9, *BOX)]], [[]], "not finite"),
    ([[]], [[], []], "detections for 1 images and ground truths for 2"),
])
def test_wrong_arrays_are_refused(detections, truths, message):
    with pytest.raises(DataError, match=message):
        evaluate(detections, truths, ["a", "b"])


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, math.nan])
def test_wrong_threshold_is_refused(threshold):
    with pytest.raises(DataError, match="IoU threshold"):
        Accumulator(["a"], threshold)


def random_case(rng, images, classes):
    """Boxes on a coarse grid with coarse scores, so that ties of both kinds are common."""
    def boxes(count):
        corner = rng.integers(0, 20, (count, 2))
        return np.hstack([corner, corner + rng.integers(3, 9, (count, 2))]).astype(float)

    detections, truths = [], []
    for _ in range(images):
        n, m = rng.integers(0, 8), rng.integers(0, 8)
        wanted = np.column_stack([rng.integers(-1, classes, m), boxes(m), rng.random(m) < 0.2])
        near = np.repeat(wanted[:, 1:5], 2, axis=0) + rng.integers(-1, 2, (2 * m, 4))
        found = np.column_stack([
            np.append(np.repeat(wanted[:, 0], 2), rng.integers(-1, classes, n)),
            rng.integers(1, 10, 2 * m + n) / 10, np.vstack([near, boxes(n)])])
        detections.append(rng.permutation(found))
        truths.append(wanted)
    return detections, truths


def literal_voc(detections, truths, label, threshold):
    """The development kit's algorithm in plain loops; returns area, 11 points."""
    queue = [(-row[1], image, place, row[2:]) for image, rows in enumerate(detections)
             for place, row in enumerate(rows) if row[0] == label]
    objects = sum(row[0] == label and not row[5] for rows in truths for row in rows)
    if not objects:
        return math.nan, math.nan
    taken, hits, misses, curve = set(), 0, 0, []
    for _, image, _, box in sorted(queue, key=lambda entry: entry[:3]):
        best, best_overlap = None, -math.inf
        for place, row in enumerate(truths[image]):
            if row[0] != label:
                continue
            width = min(box[2], row[3]) - max(box[0], row[1])
            height = min(box[3], row[4]) - max(box[1], row[2])
            if width <= 0 or height <= 0:
                continue
            both = ((box[2] - box[0]) * (box[3] - box[1])
                    + (row[3] - row[1]) * (row[4] - row[2]) - width * height)
            if width * height / both > best_overlap:
                best, best_overlap = place, width * height / both
        if best is not None and best_overlap >= threshold:
            if truths[image][best][5]:
                continue
            if (image, best) in taken:
                misses += 1
            else:
                taken.add((image, best))
                hits += 1
        else:
            misses += 1
        curve.append((hits / objects, hits / (hits + misses)))
    area, reached = 0.0, 0.0
    for place, (recall, _) in enumerate(curve):
        area += (recall - reached) * max(precision for _, precision in curve[place:])
        reached = recall
    points = [max((p for r, p in curve if r >= tenth / 10), default=0.0) for tenth in range(11)]
    return area, sum(points) / 11


@pytest.mark.parametrize("seed", range(20))
def test_random_cases_agree_with_the_literal_algorithm(seed):
    detections, truths = random_case(np.random.default_rng(seed), images=16, classes=3)
    assert all(0 < literal_voc(detections, truths, label, 0.5)[0] < 1 for label in range(3))
    for threshold in (0.3, 0.5, 0.75):
        result = evaluate(detections, truths, ["a", "b", "c"], threshold)
        expected = [literal_voc(detections, truths, label, threshold) for label in range(3)]
        np.testing.assert_allclose([(c.ap, c.ap_07) for c in result.classes], expected)
