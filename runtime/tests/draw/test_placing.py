"""Where labels go, judged by their geometry."""

from __future__ import annotations

import numpy as np
import pytest
from ssdreg_runtime.draw.placing import (
    MOST_HIDDEN,
    PLACES,
    least_hiding,
    match_objects,
    place_labels,
)

SIZE = (640, 480)


def crowd(count, seed=0, sides=(4, 90)):
    """Boxes (N, 4) anywhere in the picture, and plates of two sizes for their labels."""
    rng = np.random.default_rng(seed)
    wide, high = rng.integers(*sides, (2, count))
    left, top = rng.integers(0, SIZE[0] - wide), rng.integers(0, SIZE[1] - high)
    boxes = np.stack([left, top, left + wide, top + high], axis=1)
    large = np.stack([rng.integers(40, 150, count), np.full(count, 21)], axis=1)
    return boxes, np.stack([large, large * 2 // 3], axis=1)


def shared(one, other):
    """The pixels that two rectangles have in common."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def one(box, plates, **given):
    return place_labels(np.array([box]), np.array([plates]), SIZE, 1, **given)[0]


@pytest.mark.parametrize("count", [1, 25, 79, 300])
@pytest.mark.parametrize("seed", range(4))
def test_labels_overlap_neither_one_another_nor_the_border_nor_much_of_any_box(count, seed):
    boxes, plates = crowd(count, seed)
    taken = [(0, 440, 200, 480)]
    placed = place_labels(boxes, plates, SIZE, 1, taken)
    found = [(box, each.rectangle) for box, each in zip(boxes, placed) if each is not None]
    assert len(found) >= min(count, 24)
    where = [rectangle for _, rectangle in found]
    assert not any(shared(a, b) for i, a in enumerate(where) for b in [*where[:i], *taken])
    for box, (left, top, right, bottom) in found:
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]
        # of one pixel around the box it has some, so that it is seen whose it is
        assert shared(np.add(box, (-1, -1, 1, 1)), (left, top, right, bottom))
    for box in boxes:
        before = sum(shared(box, each) for each in taken)
        hidden = before + sum(shared(box, each) for each in where)
        assert hidden <= max(before, MOST_HIDDEN * area(box))


def test_a_label_has_the_size_of_one_of_its_plates():
    boxes, plates = crowd(79)
    placed = place_labels(boxes, plates, SIZE, 1)
    used = set()
    for each, sizes in zip(placed, plates):
        if each is not None:
            left, top, right, bottom = each.rectangle
            assert (right - left, bottom - top) == tuple(sizes[each.plate])
            used.add(each.plate)
    assert used == {0, 1}


def test_the_same_boxes_have_the_same_labels():
    assert place_labels(*crowd(79), SIZE, 1) == place_labels(*crowd(79), SIZE, 1)


def test_boxes_compared_a_few_at_a_time_have_the_same_labels(monkeypatch):
    at_once = place_labels(*crowd(79), SIZE, 1)
    monkeypatch.setattr("ssdreg_runtime.draw.placing._MAX_COMPARISONS", 10 * 79 * 2 * len(PLACES))
    assert place_labels(*crowd(79), SIZE, 1) == at_once


@pytest.mark.parametrize(("box", "rectangle"), [
    ((100, 100, 300, 300), (99, 80, 179, 100)),          # above, over the dark edge
    ((100, 0, 300, 100), (99, 100, 179, 120)),           # no room above: below
    ((600, 100, 640, 300), (560, 80, 640, 100)),         # pushed into the picture
    ((0, 0, 640, 480), (0, 0, 80, 20)),                  # inside
    ((100, 0, 300, 480), (300, 0, 380, 20)),             # beside
])
def test_a_box_alone_has_its_label_where_it_hides_least(box, rectangle):
    placed = one(box, [(80, 20), (50, 14)])
    assert (placed.rectangle, placed.plate) == (rectangle, 0)


def test_a_label_shrinks_before_it_hides_other_boxes():
    # thin neighbours all around, with room for the small plate only
    box, around = (300, 200, 340, 240), [(260, 176, 380, 186), (260, 254, 380, 264),
                                         (270, 190, 284, 250), (356, 190, 370, 250)]
    boxes = np.array([box, *around])
    plates = np.array([[(60, 20), (40, 14)]] * 5)
    placed = place_labels(boxes, plates, SIZE, 1)[0]
    assert placed.plate == 1
    assert not any(shared(placed.rectangle, other) for other in around)


def test_where_there_is_no_room_the_last_go_without():
    # the same small box twelve times: there is no place for all labels
    boxes = np.array([(300, 200, 310, 210)] * 12)
    placed = place_labels(boxes, np.array([[(80, 20)]] * 12), SIZE, 1)
    with_label = [each is not None for each in placed]
    assert 2 <= sum(with_label) < 12
    assert with_label == sorted(with_label, reverse=True)


@pytest.mark.parametrize("plate", [(641, 20), (80, 481)])
def test_a_label_larger_than_the_picture_is_left_out(plate):
    assert one((100, 100, 300, 300), [plate]) is None


def test_no_boxes_have_no_labels():
    assert place_labels(np.zeros((0, 4), int), np.zeros((0, 2, 2), int), SIZE, 1) == []


def test_labels_stay_where_they_were():
    moving = np.array([0, 0, 40, 60])
    other = np.array([80, 150, 240, 230])
    plates = np.array([[(80, 20)]] * 2)
    before, places = None, []
    # a box sinks past another one by a pixel a frame
    for y in range(100, 240):
        boxes = np.array([np.add(moving, (200, y, 200, y)), other])
        before = place_labels(boxes, plates, SIZE, 1, before=before)
        alone = place_labels(boxes, plates, SIZE, 1)
        places.append((before[0].place, alone[0].place))
    kept, anew = (sum(a != b for a, b in zip(row, row[1:])) for row in zip(*places))
    assert kept <= anew
    assert kept <= 2


def test_jitter_moves_no_label():
    boxes, plates = crowd(60, seed=5, sides=(20, 90))
    rng = np.random.default_rng(1)
    before = place_labels(boxes, plates, SIZE, 1, before=[None] * 60)
    changes = {True: 0, False: 0}
    last = {True: before, False: before}
    for _ in range(20):
        shaken = np.clip(boxes + rng.integers(-1, 2, boxes.shape), 0, (*SIZE, *SIZE))
        for remembers in (True, False):
            now = place_labels(shaken, plates, SIZE, 1,
                               before=last[remembers] if remembers else None)
            changes[remembers] += sum(
                (a and (a.plate, a.place)) != (b and (b.plate, b.place))
                for a, b in zip(last[remembers], now))
            last[remembers] = now
    assert changes[True] < 0.25 * changes[False]


def test_objects_are_found_again():
    boxes = np.array([(0, 0, 100, 100), (300, 300, 400, 400), (0, 0, 100, 100)])
    moved = boxes[[1, 0]] + 5
    assert match_objects(boxes, np.array([0, 1, 0]), moved, np.array([1, 0])) == [1, 0, None]
    # of another class, or elsewhere
    assert match_objects(boxes[:1], np.array([1]), moved, np.array([1, 0])) == [None]
    assert match_objects(boxes, np.zeros(3), np.zeros((0, 4)), np.zeros(0)) == [None] * 3


def test_a_legend_lies_where_it_hides_the_smallest_shares():
    places = [(0, 0, 100, 20), (0, 460, 100, 480)]
    # a small box is hidden wholly at the top, more pixels of a large one at the bottom
    boxes = np.array([(10, 5, 20, 15), (0, 300, 200, 480)])
    assert least_hiding(places, boxes) == 1
    assert least_hiding(places, boxes[1:]) == 0
    # it does not move for little
    assert least_hiding(places, boxes[1:], before=1) == 1
