"""``ssdreg draw``: everything is there, readable, and nothing covers anything else."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rc_context
from PIL import Image
from support.nets import NETS
from support.runs import command, refused

import ssdreg
from ssdreg.backbones import resnet
from ssdreg.drawing.canvas import (
    PNG_DPI,
    SETTINGS,
    Picture,
    Rectangle,
    Text,
    draw_figure,
    text_width,
    write_picture,
)
from ssdreg.drawing.diagram import MAX_LINE_BLOCKS, draw_anatomy, shorten
from ssdreg.drawing.layout import ABSENT, COMPARED, DERIVED, DETECTS, SIDE, THROWN_AWAY, WRONG
from ssdreg.errors import DataError
from ssdreg.graph.coverage import choose
from ssdreg.graph.summary import dissect
from ssdreg.graph.symbol import read_graph

RESNET50_TAPS = ssdreg.plan("resnet50").taps
INSIDE = ("stage3_unit9_relu2", "stage3_unit3_conv1", "stage3_unit3_bn1", "relu1",
          *ssdreg.plan("resnet101").taps)
#: backbone, settings of the plan, taps to compare
DRAWN = {
    "few blocks": ("resnet18", {}, None),
    "many blocks": ("resnet269", {}, None),
    "convolutions": ("vgg16_reduced", {"data_shape": 512}, None),
    "long names": ("inceptionv3", {"data_shape": (299, 450)}, None),
    "another choice": ("resnet101", {}, RESNET50_TAPS),
    "a choice inside blocks": ("resnet101", {"tap_strides": (8, 16)}, INSIDE),
    "every stage": ("resnet34", {"tap_strides": (2, 4, 8, 16, 32)}, None),
    "two taps on one line": ("resnet269", {}, ssdreg.plan("resnet200").taps),
}


def parts(name, settings, taps):
    backbone = ssdreg.get_backbone(name)
    plan = ssdreg.plan(backbone, **settings)
    graph = read_graph(backbone.symbol(), plan.data_shape)
    anatomy = dissect(graph, plan.data_shape, backbone.taps)
    return (anatomy, plan, choose(graph, anatomy, plan.taps),
            None if taps is None else choose(graph, anatomy, taps))


def drawn(case):
    return draw_anatomy(*parts(*DRAWN[case]))


def blocks(picture):
    """The boxes of blocks; those of the legend and of levels have other sizes."""
    return [box for box in picture.boxes if (box.width, box.height) == (SIDE, SIDE)]


def looks(picture, look):
    return [box for box in blocks(picture)
            if (box.face, box.edge, box.hatch, box.dash) == (
                look.face, look.edge, look.hatch, look.dash)]


def corners(box):
    return box.x, box.y, box.x + box.width, box.y + box.height


def overlap(left, right, slack=0.0):
    return (left[0] < right[2] - slack and right[0] < left[2] - slack
            and left[1] < right[3] - slack and right[1] < left[3] - slack)


def inside(inner, outer):
    return (outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2]
            and inner[3] <= outer[3])


# Nothing covers anything

@pytest.fixture(scope="module", params=DRAWN)
def measured(request):
    """A picture, and its texts' rectangles in inches as matplotlib's renderer places them."""
    picture = drawn(request.param)
    with rc_context(SETTINGS):
        figure = draw_figure(picture)
        renderer = figure.canvas.get_renderer()
        extents = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    return picture, [(extent.x0 / PNG_DPI, picture.height - extent.y1 / PNG_DPI,
                      extent.x1 / PNG_DPI, picture.height - extent.y0 / PNG_DPI)
                     for extent in extents]


def test_no_text_is_cut(measured):
    picture, texts = measured
    page = (0.05, 0.05, picture.width - 0.05, picture.height - 0.05)
    assert len(texts) == len(picture.texts) > 20
    for text, rectangle in zip(picture.texts, texts):
        assert inside(rectangle, page), text


def test_no_two_texts_overlap(measured):
    picture, texts = measured
    for (left, first), (right, second) in itertools.combinations(zip(picture.texts, texts), 2):
        assert not overlap(first, second), (left.text, right.text)


def test_a_text_is_inside_a_box_or_beside_it(measured):
    picture, texts = measured
    for text, rectangle in zip(picture.texts, texts):
        for box in picture.boxes:
            if overlap(rectangle, corners(box)):
                assert inside(rectangle, corners(box)), (text.text, box)


def test_no_two_boxes_overlap(measured):
    picture, _ = measured
    for left, right in itertools.combinations(picture.boxes, 2):
        assert not overlap(corners(left), corners(right)), (left, right)


def test_no_line_crosses_a_text_outside_boxes(measured):
    picture, texts = measured
    boxed = [any(inside(rectangle, corners(box)) for box in picture.boxes)
             for rectangle in texts]
    for line in picture.lines:
        for (x0, y0), (x1, y1) in zip(line.points, line.points[1:]):
            segment = (min(x0, x1), min(y0, y1), max(x0, x1) + 1e-6, max(y0, y1) + 1e-6)
            for text, rectangle, hidden in zip(picture.texts, texts, boxed):
                # boxes, with the texts in them, lie over lines
                assert hidden or not overlap(segment, rectangle), (line, text.text)


def test_levels_are_to_the_right_of_all_else(measured):
    picture, texts = measured
    levels = [box for box in picture.boxes if box.height > SIDE]
    names = [text for text in picture.texts if text.text.startswith("level ")]
    assert len(levels) == len(names) > 1
    edge = min(box.x for box in levels)
    assert all(corners(box)[2] < edge - SIDE for box in blocks(picture))
    top = min(box.y for box in blocks(picture))
    for text, rectangle in zip(picture.texts, texts):
        assert rectangle[0] > edge or rectangle[2] < edge - 0.1 or rectangle[3] < top, text.text


def test_lines_and_boxes_are_on_the_page(measured):
    picture, _ = measured
    for x, y in (point for line in picture.lines for point in line.points):
        assert 0 < x < picture.width
        assert 0 < y < picture.height
    for box in picture.boxes:
        assert inside(corners(box), (0, 0, picture.width, picture.height))


def test_it_stays_readable_on_a_page(measured):
    picture, _ = measured
    assert picture.width < 14
    assert picture.height < 10
    assert min(text.size for text in picture.texts) >= 6


def test_texts_are_as_wide_as_they_were_measured(measured):
    """In inches; releases of matplotlib round the steps between letters differently."""
    picture, texts = measured
    for text, (left, _, right, _) in zip(picture.texts, texts):
        width = text_width(text.text, text.size, text.bold)
        assert right - left == pytest.approx(width, rel=0.005, abs=0.01)


# Everything is there

@pytest.mark.parametrize("variant", resnet.VARIANTS, ids=lambda variant: str(variant.depth))
def test_every_unit_has_a_box(variant):
    picture = draw_anatomy(*parts(f"resnet{variant.depth}", {}, None))
    # the stem, the units, the last normalisation and the classifier
    assert len(blocks(picture)) == 1 + sum(variant.units) + 2
    assert len(looks(picture, DETECTS)) == 2
    assert len(looks(picture, ABSENT)) == 2
    numbers = [int(text.text) for text in picture.texts if text.align == "center"]
    assert sorted(numbers) == sorted(
        number for units in (1, *variant.units) for number in range(1, units + 1))
    for row in {box.y for box in blocks(picture)}:
        assert sum(box.y == row for box in blocks(picture)) <= MAX_LINE_BLOCKS


@pytest.mark.parametrize("case", [case for case, drawing in DRAWN.items() if drawing[2] is None])
def test_taps_and_levels_are_named(case):
    name, settings, _ = DRAWN[case]
    plan, backbone = ssdreg.plan(name, **settings), ssdreg.get_backbone(name)
    picture = drawn(case)
    texts = [text.text for text in picture.texts]
    for tap in backbone.taps:
        written = [text for text in texts if text.startswith(f"{tap.node}: ")]
        assert len(written) == 1
        assert written[0].endswith(f" × {tap.channels}")
    for index, level in enumerate(plan.levels):
        where = texts.index(f"level {index}: {level.height}×{level.width} × {level.channels}")
        assert texts[where + 1] == f"{level.anchors:,} anchors, {level.anchors_per_cell} a cell"
    bold = {text.text.split(":")[0] for text in picture.texts if text.bold
            and text.color == DERIVED}
    assert bold == set(plan.taps)
    # a line from each tap to its level, an arrow from each level to the one made behind it
    arrows = [line for line in picture.lines if line.arrow]
    assert len(arrows) == len(plan.levels)


def test_lines_lead_from_the_taps_to_their_levels():
    picture = drawn("few blocks")
    taps = looks(picture, DETECTS)
    levels = [box for box in picture.boxes if box.x > max(tap.x for tap in taps) + SIDE
              and box.height > SIDE]
    arrows = [line for line in picture.lines if line.arrow]
    for tap, level, arrow in zip(taps, levels, arrows):
        assert arrow.points[0] == (tap.x + SIDE, tap.y + SIDE / 2)
        assert arrow.points[-1] == (level.x, pytest.approx(level.y + level.height / 2))


def test_another_choice_is_drawn_beside_the_right_one():
    picture = drawn("another choice")
    units = {variant.depth: variant.units for variant in resnet.VARIANTS}
    assert len(looks(picture, WRONG)) == len(looks(picture, DETECTS)) == 2
    # blocks behind the compared taps, but for the two that the right taps are in
    lost = units[101][2] - units[50][2] - units[50][3] + units[101][3] - 2
    assert len(looks(picture, THROWN_AWAY)) == lost
    texts = {text.text: text for text in picture.texts}
    for tap, before in zip(RESNET50_TAPS, (units[50][2], units[50][2] + units[50][3])):
        flag = texts[f"{tap}: 19×19 × 1024, {units[101][2] - before} more blocks in its stage"]
        assert (flag.color, flag.bold) == (COMPARED, True)
    legend = " ".join(texts)
    right = ssdreg.plan("resnet101").taps
    assert f"right: {', '.join(right)} use 100% of the backbone's weights (42.6 M)" in legend
    assert (f"compared: {', '.join(RESNET50_TAPS)} use 28% of the backbone's weights (11.9 M)"
            in legend)


def test_taps_inside_blocks_are_said_to_be():
    picture = drawn("a choice inside blocks")
    texts = [text.text for text in picture.texts if text.color == COMPARED]
    assert "stage3_unit9_relu2: 19×19 × 256, inside the block, 14 more blocks in its stage" in texts
    assert "relu1: 10×10 × 2048" in texts
    assert len(texts) == len(INSIDE)
    # a right tap that is compared as well is both
    both = [box for box in blocks(picture) if (box.face, box.edge) == (DERIVED, COMPARED)]
    assert len(both) == 1


def test_what_a_plan_leaves_out_is_dotted():
    picture = draw_anatomy(*parts("resnet18", {"tap_strides": (8, 16)}, None))
    # the two units of the last stage, the last normalisation, the classifier
    assert len(looks(picture, ABSENT)) == 4


@pytest.mark.parametrize("name", NETS)
def test_any_way_of_building_networks_can_be_drawn(name):
    make, ends = NETS[name]
    taps = [ssdreg.Tap(stage, stride, channels, node)
            for stage, (stride, node, channels) in enumerate(ends, start=1)]
    backbone = ssdreg.Backbone(name="mine", family="mine", depth=1, build=make, taps=taps,
                               tap_strides=(taps[-1].stride,), paper="https://example.org")
    plan = ssdreg.plan(backbone, data_shape=(64, 96))
    graph = read_graph(backbone.symbol(), plan.data_shape)
    anatomy = dissect(graph, plan.data_shape, backbone.taps)
    picture = draw_anatomy(anatomy, plan, choose(graph, anatomy, plan.taps))
    assert len(blocks(picture)) == sum(len(stage.blocks) for stage in anatomy.stages) + 1
    assert len(looks(picture, DETECTS)) == 1


@pytest.mark.parametrize(("count", "text"), [
    (0, "0"), (999, "999"), (1000, "1.00 k"), (9676, "9.68 k"), (99950, "100 k"),
    (999_499, "999 k"), (999_500, "1.00 M"), (25_595_060, "25.6 M"), (999_600_000, "1.00 G"),
    (37_210_000_000, "37.2 G")])
def test_counts_are_written_with_three_digits(count, text):
    assert shorten(count) == text


# Files

def shades(path, color):
    """How many pixels have about this colour."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=int)
    wanted = [int(color[start:start + 2], 16) for start in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(axis=2) < 12).sum())


def test_a_png_shows_both_choices(capsys, tmp_path):
    out = tmp_path / "new" / "net.png"
    done = command(capsys, "draw", "ResNet-101", "--compare", ",".join(RESNET50_TAPS), "-o", out)
    assert (done.status, done.out) == (0, f"written: {out}\n")
    picture = drawn("another choice")
    image = Image.open(out)
    assert image.format == "PNG"
    assert image.size == pytest.approx((picture.width * PNG_DPI, picture.height * PNG_DPI), abs=1)
    box = (SIDE * PNG_DPI)**2
    for color in (DERIVED, COMPARED):
        assert shades(out, color) > box  # two boxes, but for the numbers in them
    assert [each.name for each in out.parent.iterdir()] == ["net.png"]
    assert out.stat().st_size < 150_000


def test_an_svg_holds_its_texts_as_texts(capsys, tmp_path):
    out = tmp_path / "net.SVG"
    assert command(capsys, "draw", "resnet18", "--out", out, "--data-shape", "256x320",
                   "--tap-strides", "8,16").status == 0
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(out).getroot()
    assert root.tag == f"{space}svg"
    texts = {element.text for element in root.iter(f"{space}text")}
    picture = draw_anatomy(*parts("resnet18", {"data_shape": (256, 320), "tap_strides": (8, 16)},
                                  None))
    assert texts == {text.text for text in picture.texts}
    assert [each.name for each in tmp_path.iterdir()] == ["net.SVG"]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_picture_is_the_same_file(tmp_path, suffix):
    files = [tmp_path / f"{name}.{suffix}" for name in ("first", "second")]
    for file in files:
        write_picture(drawn("few blocks"), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_name_is_no_formula(tmp_path):
    picture = Picture(3, 1, (Rectangle(0.1, 0.1, 0.2, 0.2, "#000000", "#000000"),), (),
                      (Text(0.5, 0.5, "a_$b$ <&>", 8, "#000000"),))
    write_picture(picture, tmp_path / "name.svg")
    texts = ElementTree.parse(tmp_path / "name.svg").getroot().iter(
        "{http://www.w3.org/2000/svg}text")
    assert [element.text for element in texts] == ["a_$b$ <&>"]


@pytest.mark.parametrize("name", ["net.jpg", "net", "net.pdf"])
def test_other_formats_are_refused(capsys, tmp_path, name):
    done = command(capsys, "draw", "resnet18", "-o", tmp_path / name)
    assert refused(done, f"{name}: its name must end in .svg or .png")
    with pytest.raises(DataError, match="must end in"):
        write_picture(drawn("few blocks"), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["resnet-51"], "no backbone is called 'resnet-51'"),
    (["resnet18", "--tap-strides", "7"], "has no tap at stride 7"),
    (["resnet18", "--data-shape", "16"], "take a larger data_shape"),
    (["resnet18", "--compare", "_plus99"], "there is no node '_plus99': did you mean '_plus"),
    (["resnet18", "--compare", "relu0,fc1"], "'fc1' is no feature map"),
    (["resnet18", "--compare", ","], "no tap is given"),
])
def test_bad_input_is_refused_in_one_sentence(capsys, tmp_path, arguments, sentence):
    assert refused(command(capsys, "draw", *arguments, "-o", tmp_path / "net.png"), sentence)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_a_sentence(capsys, tmp_path):
    (tmp_path / "net.png").mkdir()
    done = command(capsys, "draw", "resnet18", "-o", tmp_path / "net.png")
    assert (done.status, done.err) == (2, f"ssdreg: {tmp_path / 'net.png'}: Is a directory\n")
    assert [each.name for each in tmp_path.iterdir()] == ["net.png"]
