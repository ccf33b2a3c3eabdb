"""Annotations held against their pictures: orientation, size, units, names of classes, boxes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from support import drawn
from support.drawn import COLORS, TRAIN, Drawn, write
from support.voc import add

from ssdreg.data import DataIssue, open_eval, pack, read_dataset, read_voc
from ssdreg.data.agreement import agree
from ssdreg.data.annotation import (
    CENTER_SHARES,
    CORNER_PIXELS,
    EDGES,
    VOC_PIXELS,
    AnnotatedObject,
    AnnotatedPicture,
    AnnotatedSet,
    count_labels,
)
from ssdreg.data.issues import KINDS
from ssdreg.data.pictures import turn, turn_edges
from ssdreg.data.splits import choose, hold_out, open_data
from ssdreg.errors import DataError
from ssdreg.mx import mx
from ssdreg.registry.preprocessing import Preprocessing

#: What a camera stores for a picture that is turned upright by each orientation.
STORED = {orientation: {5: 5, 7: 7, 6: 8, 8: 6}.get(orientation, orientation)
          for orientation in range(1, 9)}
RECTANGLE = Drawn("one", (80, 60), (("cat", 10, 5, 40, 45),))
SQUARE = Drawn("two", (60, 60), (("cat", 10, 5, 40, 25),))


def photo(path: Path, upright: Image.Image, orientation: int) -> Path:
    """Store a picture as a camera does that is held so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    turn(upright, STORED[orientation]).save(path, exif=exif)
    return path


def annotated(tmp_path: Path, *pictures: AnnotatedPicture) -> AnnotatedSet:
    return AnnotatedSet(tmp_path, "all", pictures, count_labels(pictures))


def entry(image: Path, each: Drawn, **options: object) -> AnnotatedPicture:
    objects = tuple(AnnotatedObject(place, label, tuple(map(float, edges)))
                    for place, (label, *edges) in enumerate(each.boxes, 1))
    return AnnotatedPicture(image, image.with_suffix(".x"), objects, **options)


def assert_boxes_hold_their_colors(dataset):
    packed = pack(dataset)
    for batch in open_eval(packed, (120, 120), 1, Preprocessing((0, 0, 0))):
        pixels = batch.data[0].asnumpy()[0].transpose(1, 2, 0)
        for label, *edges, _ in batch.label[0].asnumpy()[0]:
            if label >= 0:
                wanted = COLORS[dataset.classes[int(label)]]
                assert np.allclose(drawn.color_in(pixels, np.array(edges) * 120), wanted, atol=20)


# Orientation

@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them(tmp_path, orientation):
    rng = np.random.default_rng(0)
    upright = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    with Image.open(photo(tmp_path / "a.png", upright, orientation)) as stored:
        assert np.array_equal(turn(stored, orientation), ImageOps.exif_transpose(stored))
        assert np.array_equal(turn(stored, orientation), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_turned_with_their_pixels(orientation):
    stored = Image.new("L", (9, 7))
    stored.paste(255, (1, 2, 5, 3))
    turned = np.asarray(turn(stored, orientation))
    rows, columns = np.nonzero(turned)
    assert turn_edges((1, 2, 5, 3), orientation, stored.size) == (
        columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_boxes_on_the_upright_picture(tmp_path, orientation, suffix):
    """A rectangle on its side tells by its size; one that is not is told by the others."""
    image = photo(tmp_path / f"one{suffix}", drawn.picture(RECTANGLE), orientation)
    told = photo(tmp_path / f"told{suffix}", drawn.picture(RECTANGLE), 6)
    square = photo(tmp_path / f"two{suffix}", drawn.picture(SQUARE), orientation)
    found = agree(annotated(tmp_path, *(entry(file, each, stated=each.size) for file, each in (
        (image, RECTANGLE), (told, RECTANGLE), (square, SQUARE)))))
    assert {(issue.kind, issue.action) for issue in found.issues} == {("orientation", "put right")}
    assert [(sample.width, sample.height) for sample in found.samples] == [(80, 60), (80, 60),
                                                                          (60, 60)]
    assert_boxes_hold_their_colors(found)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_boxes_on_the_picture_as_stored(tmp_path, orientation):
    image = photo(tmp_path / "one.jpg", drawn.picture(RECTANGLE), orientation)
    with Image.open(image) as opened:
        size = opened.size
    # where the rectangle lies in the stored picture
    edges = turn_edges((10, 5, 40, 45), STORED[orientation], RECTANGLE.size)
    found = agree(annotated(tmp_path, AnnotatedPicture(
        image, image, (AnnotatedObject(1, "cat", edges),), size)))
    assert "and its boxes with it" in found.issues[0].detail
    assert drawn.boxes_of(found) == drawn.drawn_boxes([RECTANGLE])
    assert_boxes_hold_their_colors(found)


@pytest.mark.parametrize(("orientation", "stated"), [(3, (80, 60)), (2, None), (6, None)])
def test_what_nothing_tells_is_left_out(tmp_path, orientation, stated):
    image = photo(tmp_path / "one.jpg", drawn.picture(RECTANGLE), orientation)
    plain = tmp_path / "plain.jpg"
    drawn.picture(SQUARE).save(plain)
    small = Drawn("one", RECTANGLE.size, (("cat", 10, 5, 40, 45),))
    found = agree(annotated(tmp_path, entry(image, small, stated=stated),
                            entry(plain, SQUARE, stated=(60, 60))))
    assert [(issue.file.name, issue.kind, issue.action) for issue in found.issues] == [
        ("one.jpg", "orientation", "left out")]
    assert "save it upright without that note" in found.issues[0].detail
    assert [sample.image.name for sample in found.samples] == ["plain.jpg"]


def test_a_box_that_fits_into_one_of_both_tells(tmp_path):
    wide = Drawn("one", (80, 60), (("cat", 10, 5, 78, 45),))
    image = photo(tmp_path / "one.jpg", drawn.picture(wide), 6)
    found = agree(annotated(tmp_path, entry(image, wide)))
    assert [issue.action for issue in found.issues] == ["put right"]
    assert_boxes_hold_their_colors(found)


def test_others_of_the_data_set_tell_what_a_split_does_not(tmp_path):
    square = photo(tmp_path / "two.jpg", drawn.picture(SQUARE), 8)
    told = photo(tmp_path / "one.jpg", drawn.picture(RECTANGLE), 6)
    one = entry(square, SQUARE, stated=SQUARE.size)
    split = AnnotatedSet(tmp_path, "train", (one,), {"cat": 1},
                         others=(entry(told, RECTANGLE, stated=RECTANGLE.size),))
    assert_boxes_hold_their_colors(agree(split))


# Size

def halved_pictures(tmp_path, *pictures: Drawn) -> AnnotatedSet:
    found = []
    for each in pictures:
        image = tmp_path / f"{each.name}.png"
        drawn.picture(each).resize((each.size[0] // 2, each.size[1] // 2)).save(image)
        found.append(entry(image, each, stated=each.size))
    return annotated(tmp_path, *found)


def test_pictures_that_were_made_smaller_are_known_by_boxes_that_reach_out(tmp_path):
    found = agree(halved_pictures(tmp_path, *TRAIN))
    assert {(issue.kind, issue.action) for issue in found.issues} == {
        ("size differs", "put right")}
    halved = {name: [(label, *(edge / 2 for edge in edges)) for label, *edges in boxes]
              for name, boxes in drawn.drawn_boxes(TRAIN).items()}
    assert drawn.boxes_of(found) == halved


def test_another_size_is_left_out_where_nothing_tells_what_it_means(tmp_path):
    image = tmp_path / "one.png"
    drawn.picture(RECTANGLE).resize((200, 60)).save(image)
    plain = tmp_path / "two.png"
    drawn.picture(SQUARE).save(plain)
    found = agree(annotated(tmp_path, entry(image, RECTANGLE, stated=(80, 60)),
                            entry(plain, SQUARE, stated=(60, 60))))
    (issue,) = found.issues
    assert (issue.kind, issue.action) == ("size differs", "left out")
    assert "states a size of 80x60, but one.png has 200x60 pixels" in issue.detail


def test_a_pixel_more_is_nothing(tmp_path):
    image = tmp_path / "one.png"
    drawn.picture(RECTANGLE).save(image)
    found = agree(annotated(tmp_path, entry(image, RECTANGLE, stated=(81, 60))))
    assert [(issue.kind, issue.action) for issue in found.issues] == [("size differs", "kept")]
    assert drawn.boxes_of(found) == drawn.drawn_boxes([RECTANGLE])


def test_a_third_of_all_sizes_off_is_no_matter_of_single_files(tmp_path):
    entries = []
    for place in range(9):
        image = tmp_path / f"{place}.png"
        drawn.picture(SQUARE).save(image)
        entries.append(entry(image, SQUARE, stated=(99, 60) if place < 3 else SQUARE.size))
    with pytest.raises(DataError, match="3 of 9 annotations state a size that is not their "
                                        "picture's; these are other pictures than those that"):
        agree(annotated(tmp_path, *entries))
    assert len(agree(annotated(tmp_path, *entries[1:])).samples) == 6


# Boxes

def placed(tmp_path, *objects: tuple, coordinates=EDGES, size=(100, 50)):
    image = tmp_path / "one.png"
    Image.new("RGB", size).save(image)
    made = tuple(AnnotatedObject(place, label, tuple(map(float, numbers)))
                 for place, (label, *numbers) in enumerate(objects, 1))
    return agree(annotated(tmp_path, AnnotatedPicture(image, image, made,
                                                      coordinates=coordinates)))


@pytest.mark.parametrize(("numbers", "coordinates", "edges"), [
    ((11, 5, 31, 50), VOC_PIXELS, (10, 4, 31, 50)), ((0, 0, 100, 50), VOC_PIXELS, (0, 0, 100, 50)),
    ((10, 4, 31, 50), EDGES, (10, 4, 31, 50)), ((10, 4, 21, 46), CORNER_PIXELS, (10, 4, 31, 50)),
    ((.205, .54, .21, .92), CENTER_SHARES, (10, 4, 31, 50)),
    ((0.5, 0.5, 1, 1), CENTER_SHARES, (0, 0, 100, 50))])
def test_every_way_to_write_a_box(tmp_path, numbers, coordinates, edges):
    found = placed(tmp_path, ("dog", *numbers), coordinates=coordinates)
    assert found.issues == ()
    assert drawn.boxes_of(found) == {"one": [("dog", *edges)]}


@pytest.mark.parametrize(("numbers", "coordinates", "kind", "action"), [
    ((31, 50, 10, 4), EDGES, "box turned around", "put right"),
    ((31, 50, 11, 5), VOC_PIXELS, "box turned around", "put right"),
    ((10, 4, 31, 51), EDGES, "box outside", "put right"),
    ((-5, 4, 31, 50), EDGES, "box outside", "put right"),
    ((10, 4, 100.009, 50), EDGES, None, None),
    ((200, 4, 231, 50), EDGES, "box outside", "left out"),
    ((10, 4, 10, 50), EDGES, "empty box", "left out"),
    ((float("nan"), 4, 10, 50), EDGES, "empty box", "left out"),
    ((.1, .2, .3, .4), EDGES, "pixels and shares mixed up", "put right"),
    ((.1, .2, .3, .4), VOC_PIXELS, "pixels and shares mixed up", "put right"),
    ((30, 20, 10, 10), CENTER_SHARES, "pixels and shares mixed up", "left out"),
    ((5, 5, 9, 9), EDGES, "box twice", "put right")])
def test_what_is_wrong_with_a_box(tmp_path, numbers, coordinates, kind, action):
    good = (.5, .5, .2, .2) if coordinates.shares else (5, 5, 9, 9)
    found = placed(tmp_path, ("dog", *good), ("dog", *numbers), coordinates=coordinates)
    assert [(issue.kind, issue.object, issue.action) for issue in found.issues] == (
        [(kind, "object 2 (dog)", action)] if kind else [])
    boxes = found.samples[0].boxes
    assert len(boxes) == (1 if action == "left out" or kind == "box twice" else 2)
    if kind == "pixels and shares mixed up" and action == "put right":
        assert [round(edge) for edge in (boxes[1].x1, boxes[1].y1, boxes[1].x2, boxes[1].y2)] == [
            10, 10, 30, 20]


def test_every_box_outside_is_said_of_the_whole(tmp_path):
    with pytest.raises(DataError, match="3 of 4 boxes lie outside their picture; these "
                                        "annotations belong to other pictures"):
        placed(tmp_path, ("dog", 500, 5, 600, 9), ("dog", 700, 5, 800, 9), ("dog", 5, 500, 9, 600),
               ("dog", 5, 5, 9, 9))


# Classes

def test_other_spellings_of_a_class(tmp_path):
    for place, name in enumerate(("Dog", "dog", "dog", "DOG ", "A", "a", "Käse", "Ka\u0308se")):
        add(tmp_path, f"p{place}", (name, 0, 1, 1, 9, 9))
    found = read_voc(tmp_path)
    assert found.classes == ("A", "Käse", "a", "dog")
    assert {(issue.kind, issue.object, issue.action) for issue in found.issues} == {
        ("class spelled otherwise", "Dog", "put right"),
        ("class spelled otherwise", "DOG", "put right"),
        ("class spelled otherwise", "Ka\u0308se", "put right")}
    assert "1 objects called 'Dog', here and in other files, are taken as 'dog'" in {
        issue.detail for issue in found.issues}
    # of a detector's classes too, and of those that a file declares
    assert read_voc(tmp_path, classes=("DOG", "A", "a", "käse")).samples[0].boxes[0].label == "DOG"
    write(tmp_path / "classes.txt", "\ufeffKäse\r\na\r\nA\r\nDog\r\ndog\r\n")
    found = read_voc(tmp_path)
    assert found.classes == ("Käse", "a", "A", "Dog", "dog")
    # which of both DOG means is not known
    assert [(issue.kind, issue.object) for issue in found.issues if issue.action == "left out"] == [
        ("unknown class", "object 1 (DOG)"), ("no object", "")]


def test_a_declared_class_without_objects(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9))
    write(tmp_path / "classes.txt", "dog\nowl\n")
    assert drawn.kinds(read_voc(tmp_path)) == [("classes.txt", "class without objects", "kept")]


def test_every_kind_is_reported_by_name():
    assert len(set(KINDS)) == len(KINDS)
    with pytest.raises(ValueError, match="'kind' must be in"):
        DataIssue(Path("a"), "something", "x")


# The same picture twice

def test_annotations_of_one_picture(tmp_path):
    image, other = tmp_path / "one.png", tmp_path / "two.png"
    for file in (image, other):
        drawn.picture(RECTANGLE).save(file)
    same = entry(image, RECTANGLE)
    differ = AnnotatedPicture(image, tmp_path / "second.x", same.objects[:0])
    found = agree(annotated(tmp_path, same, same, entry(other, RECTANGLE)))
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("two annotations of one image", "put right")]
    assert len(found.samples) == 2
    found = agree(annotated(tmp_path, same, differ, entry(other, RECTANGLE)))
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("two annotations of one image", "left out")]
    assert "annotated 2 times, each time otherwise (one.x, second.x)" in found.issues[0].detail
    assert [sample.image.name for sample in found.samples] == ["two.png"]


def test_one_photo_in_two_splits_is_named(tmp_path):
    root = drawn.voc(tmp_path)
    (root / "JPEGImages" / "copy.png").write_bytes((root / "JPEGImages/one.png").read_bytes())
    write(root / "Annotations" / "copy.xml", drawn.voc_xml(TRAIN[0]).replace("one", "copy"))
    lists = root / "ImageSets" / "Main"
    (lists / "val.txt").write_text("four\nfive\ncopy\ntwo\n")
    _, validation = open_data(choose(root))
    assert sorted((issue.file.name, issue.kind, issue.action) for issue in validation.issues) == [
        ("copy.png", "image in two splits", "kept"), ("two.png", "image in two splits", "kept")]
    assert any("one.png, which is the same picture, is in the split 'train'" in issue.detail
               for issue in validation.issues)


def test_what_was_left_out_is_said_before_there_are_too_few(tmp_path):
    add(tmp_path, "good", ("dog", 0, 1, 1, 9, 9))
    add(tmp_path, "bad", ("dog", 0, 1, 1, 9, 9))
    (tmp_path / "JPEGImages" / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"only 1 images, too few to hold some out(.|\n)*"
                                        r"1 x unreadable image(.|\n)*bad\.jpg"):
        hold_out(read_voc(tmp_path))


# Pictures of all kinds, as training has them

def encoded(image: Image.Image, encoding: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, encoding, **options)
    return stream.getvalue()


DEEP = Image.fromarray((np.arange(60 * 80).reshape(60, 80) * 13).astype(np.uint16))
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))


@pytest.mark.parametrize(("name", "image", "options"), [
    ("deep.png", DEEP, {}), ("ink.jpg", NOISE.convert("CMYK"), {}),
    ("clear.png", NOISE.convert("RGBA"), {}), ("grey.png", NOISE.convert("LA"), {}),
    ("palette.png", NOISE.convert("P"), {"transparency": 3}), ("web.webp", NOISE, {}),
    ("bits.bmp", NOISE.convert("1"), {}), ("film.gif", NOISE, {}), ("scan.tif", NOISE, {}),
    ("progressive.jpg", NOISE, {"progressive": True})])
def test_training_sees_what_detection_sees(tmp_path, name, image, options):
    from ssdreg_runtime.io.images import read
    file = tmp_path / "JPEGImages" / name
    file.parent.mkdir()
    image.save(file, **options)
    write(tmp_path / "Annotations" / f"{file.stem}.xml", drawn.voc_xml(RECTANGLE).replace(
        "one.png", name))
    packed = pack(read_dataset(tmp_path))
    assert packed.issues == ()
    reader = mx.recordio.MXRecordIO(str(packed.rec), "r")
    content = mx.recordio.unpack(reader.read())[1]
    reader.close()
    apart = np.abs(mx.image.imdecode(content).asnumpy().astype(int) - read(file))
    # what is encoded again as JPEG is of quality 95, and noise is the worst for it
    assert apart.mean() <= (4 if name == "ink.jpg" else 0)


def test_swapped_sides_are_known_by_boxes_that_fit_the_picture_alone(tmp_path):
    entries = []
    for each in (RECTANGLE, Drawn("wide", (90, 40), (("cat", 10, 5, 80, 30),))):
        image = tmp_path / f"{each.name}.png"
        drawn.picture(each).save(image)
        entries.append(entry(image, each, stated=(each.size[1], each.size[0])))
    found = agree(annotated(tmp_path, *entries))
    assert {(issue.kind, issue.action) for issue in found.issues} == {
        ("size differs", "put right")}
    assert "width and height are swapped" in found.issues[0].detail
    # one alone, whose box fits both, does not tell
    with pytest.raises(DataError, match="1 x size differs"):
        agree(annotated(tmp_path, *entries[:1]))


@pytest.mark.parametrize(("rows", "coordinates", "sentence"), [
    # corners where a corner and a size are expected, and the reverse
    ([(10, 5, 90, 45), (50, 20, 80, 50), (60, 0, 100, 30)], CORNER_PIXELS,
     r"2 of 3 boxes are none inside .* x, y, width, height, .* all are when they are x1, y1, x2"),
    ([(50, 20, 30, 10), (60, 0, 40, 30), (70, 30, 20, 20)], EDGES,
     r"3 of 3 boxes are none inside .* x1, y1, x2, y2, .* when they are x, y, width, height"),
    ([(.1, .1, .9, .9), (.1, .5, .8, .9), (.2, .0, 1., .6)], CENTER_SHARES,
     r"center x, center y, width, height, .* and all are when they are x1, y1, x2, y2")])
def test_boxes_in_another_layout_are_refused(tmp_path, rows, coordinates, sentence):
    with pytest.raises(DataError, match=sentence):
        placed(tmp_path, *(("dog", *row) for row in rows), coordinates=coordinates)


def test_a_few_boxes_that_are_turned_are_no_other_layout(tmp_path):
    good = [("dog", place, place, 40 + place, 40) for place in range(9)]
    found = placed(tmp_path, *good, ("dog", 50, 20, 30, 10), ("dog", 60, 30, 20, 35))
    assert [(issue.kind, issue.action) for issue in found.issues] == [
        ("box turned around", "put right")] * 2


def test_boxes_in_another_order_are_said_of_the_whole(tmp_path):
    """Most reach out, and in no layout all are inside."""
    rows = [("dog", 60 + place, 30, 95, 45) for place in range(12)]
    with pytest.raises(DataError, match="12 of 13 boxes reach out of their picture; their "
                                        "coordinates are in another order or unit"):
        placed(tmp_path, *rows, ("dog", 10, 5, 5, 20), coordinates=CORNER_PIXELS)


def test_classes_that_differ_in_case_alone_are_said(tmp_path):
    add(tmp_path, "one", ("dog", 0, 1, 1, 9, 9), ("Dog", 0, 11, 11, 19, 19))
    write(tmp_path / "classes.txt", "dog\nDog\n")
    found = read_voc(tmp_path)
    assert found.classes == ("dog", "Dog")
    assert drawn.kinds(found) == [("classes.txt", "class spelled otherwise", "kept")]


@pytest.mark.parametrize("name", ["Annotations/one.xml", "JPEGImages/one.png"])
def test_links_to_nowhere(tmp_path, name):
    root = drawn.voc(tmp_path)
    (root / name).unlink()
    (root / name).symlink_to(tmp_path / "nowhere")
    found = read_dataset(root)
    assert [(issue.file, issue.action) for issue in found.issues] == [(root / name, "left out")]
    assert len(found.samples) == 4
