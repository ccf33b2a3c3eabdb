from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime import legend, look
from ssdreg_runtime.draw import contact_sheet, draw_boxes, draw_truths, mark_boxes
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.look import LEAST_FONT_SHARE, LEAST_FONT_SIZE, Look
from ssdreg_runtime.palette import BLACK, WHITE, class_colours, text_colour
from ssdreg_runtime.placing import MOST_HIDDEN
from ssdreg_runtime.plan import plan_frame, plan_picture

NAMES = ["cat", "dog"]
LIGHT, DARK = (250, 250, 250), (6, 6, 6)


@pytest.fixture(autouse=True, params=["matplotlib's font", "Pillow's font"])
def font(request, monkeypatch):
    """Draw with either font: matplotlib is not everywhere."""
    if request.param == "Pillow's font":
        monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it now fails
    elif importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib, which carries the font, is not installed")
    measured = (look.font_of, look.plate_height, look._length, look.fitted)
    for each in measured:
        each.cache_clear()
    yield look.font_of(20).getname()[0]
    for each in measured:
        each.cache_clear()


def blank(size=(640, 480), colour=LIGHT):
    return Image.new("RGB", size, colour)


def colours_in(image):
    return {colour for _, colour in image.getcolors(image.width * image.height)}


def columns_of(image, colour):
    """The first and last column that have a pixel of exactly this colour."""
    found = np.nonzero((np.asarray(image) == colour).all(axis=2).any(axis=0))[0]
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize("background", [LIGHT, DARK])
def test_box_has_its_colour_between_a_dark_and_a_light_edge(background):
    # columns 160 to 479, rows 120 to 359; lines are 3 wide and edges 1 wide at 640 x 480
    image = blank(colour=background)
    drawn = np.asarray(draw_boxes(image, [(1, 0.87, 0.25, 0.25, 0.75, 0.75)], NAMES))
    across = [tuple(int(c) for c in pixel) for pixel in drawn[240, 158:166]]
    dog = class_colours(2)[1]
    assert across == [background, BLACK, dog, dog, dog, WHITE, background, background]
    across = [tuple(int(c) for c in pixel) for pixel in drawn[240, 475:482]]
    assert across == [background, WHITE, dog, dog, dog, BLACK, background]
    assert colours_in(image) == {background}


def test_the_font_is_the_one_at_hand(font):
    without = sys.modules.get("matplotlib", ...) is None
    assert font == ("Aileron" if without else "DejaVu Sans")


def test_marks_are_put_into_the_picture_itself():
    picture, rows = blank((100, 80)), [(0, 0.9, 0.1, 0.1, 0.5, 0.5)]
    mark_boxes(picture, rows, NAMES)
    assert picture.size == (100, 80)
    assert class_colours(2)[0] in colours_in(picture)
    large = blank()
    mark_boxes(large, rows, NAMES)
    assert large.tobytes() == draw_boxes(blank(), rows, NAMES).tobytes()


def test_threshold_and_padding_leave_the_picture_alone():
    image = blank()
    rows = [(0, 0.49, 0.1, 0.1, 0.5, 0.5), (-1, 0.9, 0.1, 0.1, 0.5, 0.5)]
    assert draw_boxes(image, rows, NAMES).tobytes() == image.tobytes()
    assert draw_boxes(image, [], NAMES).tobytes() == image.tobytes()
    at_threshold = [(0, 0.5, 0.1, 0.1, 0.5, 0.5)]
    assert draw_boxes(image, at_threshold, NAMES).tobytes() != image.tobytes()


def test_high_scores_are_drawn_over_low_ones_in_any_order():
    low, high = (0, 0.6, 0.25, 0.25, 0.75, 0.75), (1, 0.9, 0.25, 0.25, 0.75, 0.75)
    one, other = (draw_boxes(blank(), rows, NAMES) for rows in ([low, high], [high, low]))
    assert one.tobytes() == other.tobytes()
    assert one.getpixel((161, 240)) == class_colours(2)[1]


def test_labels_of_boxes_at_every_border_stay_whole():
    # the plate of a label is filled with the class colour: its area must not depend on the place
    def plate(box):
        drawn = np.asarray(draw_boxes(blank(), [(0, 0.87, *box)], NAMES))
        left, top, right, bottom = (round(c * s) for c, s in zip(box, (640, 480) * 2))
        filled = (drawn == class_colours(1)[0]).all(axis=2)
        ring = np.zeros_like(filled)
        ring[top:bottom, left:right] = True
        ring[top + 3:bottom - 3, left + 3:right - 3] = False
        letters = (drawn < 40).all(axis=2)
        return filled[~ring].sum(), letters.sum()

    free = plate((0.4, 0.4, 0.6, 0.6))
    assert free[0] > 500
    # no room above: the plate lies inside the box, and shares the line's pixels with it
    for box in [(0.0, 0.0, 0.2, 0.2), (0.8, 0.0, 1.0, 0.2)]:
        assert plate(box)[0] > 0.7 * free[0]
    for box in [(0.0, 0.8, 0.2, 1.0), (0.8, 0.8, 1.0, 1.0), (0.0, 0.4, 0.2, 0.6)]:
        assert plate(box)[0] == free[0]


def test_each_box_has_its_own_label():
    rows = [(0, 0.6, 0.1, 0.4, 0.3, 0.6), (1, 0.9, 0.7, 0.4, 0.9, 0.6)]
    drawn = draw_boxes(blank(), rows, NAMES)
    assert columns_of(drawn, class_colours(2)[0]) == (64, 191)
    assert columns_of(drawn, class_colours(2)[1]) == (448, 575)


def test_plates_avoid_one_another():
    # the same place twice: both labels can be read only if they lie apart
    box = (0.25, 0.25, 0.75, 0.75)
    drawn = np.asarray(draw_boxes(blank(), [(0, 0.9, *box), (1, 0.8, *box)], NAMES))
    cat, dog = ((drawn == colour).all(axis=2).sum() for colour in class_colours(2))
    # the dog's box is covered by the cat's, so what is left of its colour is its whole plate
    alone = np.asarray(draw_boxes(blank(), [(1, 0.8, *box)], NAMES))
    ring = 2 * 3 * (320 + 240 - 2 * 3)
    assert dog == pytest.approx((alone == class_colours(2)[1]).all(axis=2).sum() - ring, abs=120)
    assert cat > ring


@pytest.mark.parametrize("box", [
    (-0.5, -0.5, 1.5, 1.5), (1.2, 1.2, 1.4, 1.4), (0.5, 0.5, 0.5, 0.5), (0.6, 0.6, 0.4, 0.4)])
def test_boxes_beyond_the_picture_or_without_area_are_shown_at_its_edge(box):
    drawn = draw_boxes(blank(), [(0, 0.9, *box)], NAMES)
    assert drawn.size == (640, 480)
    assert class_colours(1)[0] in colours_in(drawn)
    dashed = draw_truths(blank(), [(0, *box)], NAMES)
    assert class_colours(1)[0] in colours_in(dashed)


@pytest.mark.parametrize("name", ["Größe", "猫", "many words " * 40, "two\nlines", "", "\x00"])
def test_any_name_fits_into_the_picture(name):
    drawn = draw_boxes(blank((320, 240)), [(0, 0.9, 0.5, 0.5, 0.6, 0.6)], [name])
    left, right = columns_of(drawn, class_colours(1)[0])
    assert left > 0.3 * 320
    assert right < 319


@pytest.mark.parametrize(("size", "drawn"), [
    ((64, 48), (320, 240)), ((2000, 1500), (2000, 1500)), ((1500, 10), (1500, 10)),
    ((10, 1500), (10, 1500)), ((1, 1), (240, 240))])
def test_only_small_pictures_are_enlarged(size, drawn):
    for picture in (draw_boxes(blank(size), [(0, 0.9, 0.2, 0.2, 0.9, 0.9)], NAMES),
                    draw_truths(blank(size), [(0, 0.2, 0.2, 0.9, 0.9)], NAMES)):
        # a picture lower than a letter has its label in the legend below it
        assert picture.size == (drawn if size != (1500, 10) else (1500, 10 + 18))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_image_mode_becomes_rgb(mode):
    drawn = draw_boxes(blank().convert(mode), [(0, 0.9, 0.2, 0.2, 0.9, 0.9)], NAMES)
    assert drawn.mode == "RGB"
    assert class_colours(1)[0] in colours_in(drawn)


def test_truths_are_dashed_and_their_labels_black():
    drawn = np.asarray(draw_truths(blank(), [(0, 0.25, 0.25, 0.75, 0.75)], NAMES))
    cat = class_colours(1)[0]
    edge = [tuple(int(c) for c in pixel) for pixel in drawn[150:340, 161]]
    assert set(edge) == {BLACK, cat}
    dashes = sum(a == BLACK and b == cat for a, b in zip(edge, edge[1:]))
    assert dashes == pytest.approx(190 / 24, abs=1)
    hard = draw_truths(blank(), [(0, 0.25, 0.25, 0.75, 0.75, 1)], NAMES)
    easy = draw_truths(blank(), [(0, 0.25, 0.25, 0.75, 0.75, 0)], NAMES)
    assert easy.tobytes() == drawn.tobytes()
    # "(difficult)" makes the black plate wider
    assert (np.asarray(hard) == 0).sum() > (np.asarray(easy) == 0).sum() + 1000


def test_contact_sheet_places_images_in_cells():
    red, green, blue = (blank((10, 10), colour) for colour in [(255, 0, 0), (0, 255, 0),
                                                               (0, 0, 255)])
    sheet = contact_sheet([red, green, blue], 2, cell=(40, 20))
    # 2 columns of 40 and 2 rows of 20, with gaps of 8
    assert sheet.size == (8 + 2 * 48, 8 + 2 * 28)
    # a square fills the height of its cell and is centred: 10 columns are left on both sides
    assert columns_of(sheet, (255, 0, 0)) == (18, 37)
    assert columns_of(sheet, (0, 255, 0)) == (66, 85)
    assert sheet.getpixel((28, 46)) == (0, 0, 255)
    captioned = contact_sheet([red, green, blue], 5, ["one", "zwölf", "three " * 50], (40, 20))
    assert captioned.width == 8 + 3 * 48
    assert captioned.height > 8 + 28


def test_wrong_arguments_are_refused():
    with pytest.raises(DataError, match="name class 2, but there are 2"):
        draw_boxes(blank(), [(2, 0.9, 0, 0, 1, 1)], NAMES)
    with pytest.raises(DataError, match="not finite"):
        draw_truths(blank(), [(0, 0, 0, np.nan, 1)], NAMES)
    with pytest.raises(DataError, match="at least one image"):
        contact_sheet([], 2)
    with pytest.raises(DataError, match="0 columns"):
        contact_sheet([blank()], 0)
    with pytest.raises(DataError, match="2 captions for 1 images"):
        contact_sheet([blank()], 1, ["a", "b"])


def test_colours_are_distinct_and_keep_their_place():
    many = class_colours(100)
    assert len(set(many)) == 100
    assert all(0 <= channel <= 255 for colour in many for channel in colour)
    for count in (0, 3, 7, 20):
        assert class_colours(count) == many[:count]


def test_text_contrasts_with_its_plate():
    assert (text_colour(WHITE), text_colour(BLACK)) == (BLACK, WHITE)
    # Okabe and Ito's yellow is light, their blue dark
    assert [text_colour(class_colours(5)[place]) for place in (3, 4)] == [BLACK, WHITE]


def test_any_class_colour_has_contrast_with_its_text():
    def luminance(colour):
        channels = np.array(colour) / 255
        bright = ((channels + 0.055) / 1.055) ** 2.4
        return np.where(channels <= 0.04045, channels / 12.92, bright) @ (0.2126, 0.7152, 0.0722)

    def contrast(one, other):
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for colour in class_colours(100):
        assert contrast(colour, text_colour(colour)) >= 4.5
        # as on the label of a ground truth
        assert contrast(BLACK, colour if text_colour(colour) == BLACK else WHITE) >= 4.5
    assert contrast(legend._GROUND, WHITE) >= 4.5


# Crowds

def crowd(count, size=(640, 480), seed=0, classes=2):
    rng = np.random.default_rng(seed)
    wide, high = rng.uniform(0.03, 0.12, (2, count))
    left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
    return np.stack([rng.integers(classes, size=count), rng.uniform(0.5, 1, count),
                     left, top, left + wide, top + high], axis=1)


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
    assert class_colours(2)[1] in colours_in(strip)
    assert class_colours(2)[0] not in colours_in(strip)
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
    assert picture.getpixel((left, top)) == legend._GROUND


def shared_pixels(one, other):
    return (max(0, min(one[2], other[2]) - max(one[0], other[0]))
            * max(0, min(one[3], other[3]) - max(one[1], other[1])))


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
    dog = class_colours(2)[1]
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
