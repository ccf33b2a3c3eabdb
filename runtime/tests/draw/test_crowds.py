"""Crowded pictures: labels that give way, the legend, videos, and what of it can be chosen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.draw import legend, look
from ssdreg_runtime.draw.layout import plan_frame, plan_picture
from ssdreg_runtime.draw.look import LEAST_FONT_SHARE, LEAST_FONT_SIZE, Look
from ssdreg_runtime.draw.paint import draw_boxes, mark_boxes
from ssdreg_runtime.draw.palette import BLACK, WHITE, class_colors
from ssdreg_runtime.draw.placing import MOST_HIDDEN
from ssdreg_runtime.errors import DataError

NAMES = ["cat", "dog"]
LIGHT = (250, 250, 250)


def blank(size=(640, 480)):
    return Image.new("RGB", size, LIGHT)


def colours_in(image):
    return {color for _, color in image.getcolors(image.width * image.height)}


def crowd(count, size=(640, 480), seed=0, classes=2):
    rng = np.random.default_rng(seed)
    wide, high = rng.uniform(0.03, 0.12, (2, count))
    left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
    return np.stack([rng.integers(classes, size=count), rng.uniform(0.5, 1, count),
                     left, top, left + wide, top + high], axis=1)


def shared_pixels(one, other):
    return (max(0, min(one[2], other[2]) - max(one[0], other[0]))
            * max(0, min(one[3], other[3]) - max(one[1], other[1])))


def test_labels_cover_nothing_but_their_rectangles_and_leave_all_boxes():
    rows, size = crowd(79), (640, 480)
    plan = plan_picture(size, rows, NAMES, 0.5, Look())
    with_labels = np.asarray(draw_boxes(blank(), rows, NAMES))[:480]
    boxes_alone = np.asarray(draw_boxes(blank(), rows, NAMES, look=Look(hide_labels=True)))
    covered = np.zeros((480, 640), bool)
    for label in filter(None, plan.labels):
        left, top, right, bottom = label.rectangle
        assert not covered[top:bottom, left:right].any()
        covered[top:bottom, left:right] = True
    assert len(plan.marks) == len(plan.labels) == 79
    assert (with_labels == boxes_alone).all(axis=2)[~covered].all()
    for left, top, right, bottom in (mark.box for mark in plan.marks):
        assert covered[top:bottom + 1, left:right + 1].mean() <= MOST_HIDDEN


def test_classes_of_boxes_without_labels_stand_in_a_legend_below():
    # the same place ten times: there is no room for so many labels
    rows = [(1, 0.9 - 0.01 * place, 0.5, 0.5, 0.52, 0.53) for place in range(12)]
    plan = plan_picture((640, 480), rows, NAMES, 0.5, Look())
    assert plan.labels[0] is not None
    assert None in plan.labels
    assert [entry.name for entry in plan.legend.entries] == ["dog"]
    drawn = draw_boxes(blank(), rows, NAMES)
    assert drawn.width == 640
    assert drawn.height == plan.legend.rectangle[3] > 480
    strip = drawn.crop((0, 480, 640, drawn.height))
    assert class_colors(2)[1] in colours_in(strip)
    assert class_colors(2)[0] not in colours_in(strip)
    assert WHITE in colours_in(strip)
    few = draw_boxes(blank(), rows[:1], NAMES)
    assert few.size == (640, 480)


def test_a_frame_has_its_legend_inside():
    rows = [(1, 0.9 - 0.01 * place, 0.05, 0.9, 0.07, 0.95) for place in range(12)]
    plan = plan_frame((640, 480), rows, NAMES, 0.5, Look())
    left, top, right, bottom = plan.legend.rectangle
    assert (bottom, left) == (480, 640 - (right - left))  # the corner where there are no boxes
    assert all(label is None or shared_pixels(label.rectangle, plan.legend.rectangle) == 0
               for label in plan.labels)
    picture = blank()
    mark_boxes(picture, rows, NAMES)
    assert picture.size == (640, 480)
    assert picture.getpixel((left, top)) == legend._BACKGROUND


def test_a_legend_of_very_many_classes_says_how_many_are_missing():
    names = [f"class number {number}" for number in range(300)]
    rows = [(number, 0.9, 0.5, 0.5, 0.52, 0.53) for number in range(300)]
    inside = plan_frame((640, 480), rows, names, 0.5, Look()).legend
    assert inside.rectangle[3] - inside.rectangle[1] <= 480 / 3
    *named, last = inside.entries
    left_out = {mark.label for mark, label in zip(*_plan_parts(rows, names)) if label is None}
    assert len(named) + int(last.name) >= len(left_out)
    below = plan_picture((640, 480), rows, names, 0.5, Look()).legend
    assert len(below.entries) >= 280
    assert max(entry.x for entry in below.entries) < 640


def _plan_parts(rows, names):
    plan = plan_picture((640, 480), rows, names, 0.5, Look())
    return plan.marks, plan.labels


def test_letters_shrink_in_a_crowd_but_can_be_read():
    for size in ((640, 480), (1920, 1080), (4000, 3000)):
        alone, many = (plan_picture(size, crowd(count, size), NAMES, 0.5, Look()).style.fonts[0]
                       for count in (1, 300))
        assert alone == round(min(size) / 32)
        assert many == max(LEAST_FONT_SIZE, round(min(size) * LEAST_FONT_SHARE)) < alone


def test_labels_and_legend_of_a_video_stay():
    rng = np.random.default_rng(3)
    rows, plan, moved = crowd(60), None, 0
    for _ in range(12):
        shaken = rows.copy()
        shaken[:, 1] = np.clip(rows[:, 1] + rng.uniform(-0.04, 0.04, 60), 0.5, 1)
        shaken[:, 2:] += rng.uniform(-0.002, 0.002, (60, 4))
        before, plan = plan, plan_frame((640, 480), shaken, NAMES, 0.5, Look(), plan)
        if before is None:
            continue
        assert plan.style == before.style
        if before.legend is not None:
            assert plan.legend is not None
        old, new = (labels_by_corner(each) for each in (before, plan))
        moved += sum(1 for mark, label in new.items() if nearest(old, mark) != label)
    assert moved <= 0.02 * 60 * 11


def labels_by_corner(plan):
    return {(mark.label, *mark.box): label and (label.plate, label.place)
            for mark, label in zip(plan.marks, plan.labels)}


def nearest(old, mark):
    same = [each for each in old if each[0] == mark[0]]
    return old[min(same, key=lambda each: sum(abs(a - b) for a, b in zip(each, mark)))]


def test_a_legend_lasts_a_while_and_goes():
    crowded = [(1, 0.9 - 0.01 * place, 0.05, 0.9, 0.07, 0.95) for place in range(12)]
    plan = plan_frame((640, 480), crowded, NAMES, 0.5, Look())
    shown = 0
    while plan.legend is not None:
        plan = plan_frame((640, 480), crowded[:1], NAMES, 0.5, Look(), plan)
        shown += 1
    assert shown == 50


# What can be chosen

def test_line_width_and_font_size():
    rows = [(1, 0.87, 0.25, 0.25, 0.75, 0.75)]
    drawn = np.asarray(draw_boxes(blank(), rows, NAMES, look=Look(line_width=15)))
    across = [tuple(int(c) for c in pixel) for pixel in drawn[240, 155:181]]
    dog = class_colors(2)[1]
    assert across == [LIGHT] + [BLACK] * 4 + [dog] * 15 + [WHITE] * 4 + [LIGHT] * 2
    # letters of a size that is given do not shrink
    small, large = (plan_picture((640, 480), crowd(30), NAMES, 0.5, Look(font_size=size))
                    for size in (12, 60))
    assert (small.style.fonts, large.style.fonts) == ((12,), (60,))
    heights = {label.rectangle[3] - label.rectangle[1] for label in large.labels if label}
    assert heights == {look.plate_height(60)}
    # but the legend stays a small strip
    assert large.legend.font == 15


def test_labels_and_scores_can_be_hidden():
    rows = [(1, 0.87, 0.25, 0.25, 0.75, 0.75)]
    alone = draw_boxes(blank(), rows, NAMES, look=Look(hide_labels=True))
    # nothing beside the box
    assert colours_in(alone.crop((0, 0, 640, 118))) == {LIGHT}
    without = plan_picture((640, 480), rows, NAMES, 0.5, Look(hide_scores=True))
    assert without.marks[0].names[0] + without.marks[0].ending == "dog"
    with_score = plan_picture((640, 480), rows, NAMES, 0.5, Look())
    assert with_score.marks[0].names[0] + with_score.marks[0].ending == "dog 0.87"
    left, _, right, _ = without.labels[0].rectangle
    assert right - left < 0.6 * (with_score.labels[0].rectangle[2] - left)
    many = [(1, 0.9, 0.5, 0.5, 0.52, 0.53)] * 12
    assert draw_boxes(blank(), many, NAMES, look=Look(hide_labels=True)).size == (640, 480)


@pytest.mark.parametrize(("given", "sentence"), [
    ({"line_width": 0},
     "a line width of 0 pixels cannot be drawn: give a whole number of 1 to 100"),
    ({"line_width": 1000}, "a line width of 1000 pixels"), ({"line_width": True}, "of True pixels"),
    ({"font_size": 0}, "a font size of 0 pixels cannot be drawn: give a whole number of 6 to 400"),
    ({"font_size": 1000}, "a font size of 1000 pixels"), ({"font_size": 12.5}, "of 12.5 pixels")])
def test_sizes_that_cannot_be_drawn(given, sentence):
    with pytest.raises(DataError, match=sentence):
        Look(**given)
    assert Look(line_width=np.int64(3)).line_width == 3
