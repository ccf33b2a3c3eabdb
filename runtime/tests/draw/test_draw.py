from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.draw import legend, look
from ssdreg_runtime.draw.paint import contact_sheet, draw_boxes, draw_truths, mark_boxes
from ssdreg_runtime.draw.palette import BLACK, WHITE, class_colors, text_color
from ssdreg_runtime.errors import DataError

NAMES = ["cat", "dog"]
LIGHT, DARK = (250, 250, 250), (6, 6, 6)


@pytest.fixture(autouse=True, params=["matplotlib's font", "Pillow's font"])
def font(request, monkeypatch):
    """Draw with either font: matplotlib is not everywhere."""
    if request.param == "Pillow's font":
        monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it now fails
    elif importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib, which carries the font, is not installed")
    measured = (look.font_of, look.plate_height, look._text_length, look.fit_name)
    for each in measured:
        each.cache_clear()
    yield look.font_of(20).getname()[0]
    for each in measured:
        each.cache_clear()


def blank(size=(640, 480), color=LIGHT):
    return Image.new("RGB", size, color)


def colours_in(image):
    return {color for _, color in image.getcolors(image.width * image.height)}


def columns_of(image, color):
    """The first and last column that have a pixel of exactly this colour."""
    found = np.nonzero((np.asarray(image) == color).all(axis=2).any(axis=0))[0]
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize("background", [LIGHT, DARK])
def test_box_has_its_colour_between_a_dark_and_a_light_edge(background):
    # columns 160 to 479, rows 120 to 359; lines are 3 wide and edges 1 wide at 640 x 480
    image = blank(color=background)
    drawn = np.asarray(draw_boxes(image, [(1, 0.87, 0.25, 0.25, 0.75, 0.75)], NAMES))
    across = [tuple(int(c) for c in pixel) for pixel in drawn[240, 158:166]]
    dog = class_colors(2)[1]
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
    assert class_colors(2)[0] in colours_in(picture)
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
    assert one.getpixel((161, 240)) == class_colors(2)[1]


def test_labels_of_boxes_at_every_border_stay_whole():
    # the plate of a label is filled with the class colour: its area must not depend on the place
    def plate(box):
        drawn = np.asarray(draw_boxes(blank(), [(0, 0.87, *box)], NAMES))
        left, top, right, bottom = (round(c * s) for c, s in zip(box, (640, 480) * 2))
        filled = (drawn == class_colors(1)[0]).all(axis=2)
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
    assert columns_of(drawn, class_colors(2)[0]) == (64, 191)
    assert columns_of(drawn, class_colors(2)[1]) == (448, 575)


def test_plates_avoid_one_another():
    # the same place twice: both labels can be read only if they lie apart
    box = (0.25, 0.25, 0.75, 0.75)
    drawn = np.asarray(draw_boxes(blank(), [(0, 0.9, *box), (1, 0.8, *box)], NAMES))
    cat, dog = ((drawn == color).all(axis=2).sum() for color in class_colors(2))
    # the dog's box is covered by the cat's, so what is left of its colour is its whole plate
    alone = np.asarray(draw_boxes(blank(), [(1, 0.8, *box)], NAMES))
    ring = 2 * 3 * (320 + 240 - 2 * 3)
    assert dog == pytest.approx((alone == class_colors(2)[1]).all(axis=2).sum() - ring, abs=120)
    assert cat > ring


@pytest.mark.parametrize("box", [
    (-0.5, -0.5, 1.5, 1.5), (1.2, 1.2, 1.4, 1.4), (0.5, 0.5, 0.5, 0.5), (0.6, 0.6, 0.4, 0.4)])
def test_boxes_beyond_the_picture_or_without_area_are_shown_at_its_edge(box):
    drawn = draw_boxes(blank(), [(0, 0.9, *box)], NAMES)
    assert drawn.size == (640, 480)
    assert class_colors(1)[0] in colours_in(drawn)
    dashed = draw_truths(blank(), [(0, *box)], NAMES)
    assert class_colors(1)[0] in colours_in(dashed)


@pytest.mark.parametrize("name", ["Größe", "猫", "many words " * 40, "two\nlines", "", "\x00"])
def test_any_name_fits_into_the_picture(name):
    drawn = draw_boxes(blank((320, 240)), [(0, 0.9, 0.5, 0.5, 0.6, 0.6)], [name])
    left, right = columns_of(drawn, class_colors(1)[0])
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
    assert class_colors(1)[0] in colours_in(drawn)


def test_truths_are_dashed_and_their_labels_black():
    drawn = np.asarray(draw_truths(blank(), [(0, 0.25, 0.25, 0.75, 0.75)], NAMES))
    cat = class_colors(1)[0]
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
    red, green, blue = (blank((10, 10), color) for color in [(255, 0, 0), (0, 255, 0),
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
    many = class_colors(100)
    assert len(set(many)) == 100
    assert all(0 <= channel <= 255 for color in many for channel in color)
    for count in (0, 3, 7, 20):
        assert class_colors(count) == many[:count]


def test_text_contrasts_with_its_plate():
    assert (text_color(WHITE), text_color(BLACK)) == (BLACK, WHITE)
    # Okabe and Ito's yellow is light, their blue dark
    assert [text_color(class_colors(5)[place]) for place in (3, 4)] == [BLACK, WHITE]


def test_any_class_colour_has_contrast_with_its_text():
    def luminance(color):
        channels = np.array(color) / 255
        bright = ((channels + 0.055) / 1.055) ** 2.4
        return np.where(channels <= 0.04045, channels / 12.92, bright) @ (0.2126, 0.7152, 0.0722)

    def contrast(one, other):
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for color in class_colors(100):
        assert contrast(color, text_color(color)) >= 4.5
        # as on the label of a ground truth
        assert contrast(BLACK, color if text_color(color) == BLACK else WHITE) >= 4.5
    assert contrast(legend._BACKGROUND, WHITE) >= 4.5
