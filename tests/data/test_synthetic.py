from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ssdreg.data.synthetic import CLASSES, draw_shapes, write_shapes
from ssdreg.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shapes") / "data"
    write_shapes(path, train=12, val=4, size=(96, 64), seed=3)
    return path


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def objects(annotation):
    for entry in ElementTree.parse(annotation).getroot().findall("object"):
        yield entry.findtext("name"), tuple(
            int(entry.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))


def test_layout_and_splits(folder):
    def split(name):
        return (folder / "ImageSets" / "Main" / f"{name}.txt").read_text().split()

    assert (len(split("train")), len(split("val"))) == (12, 4)
    assert split("trainval") == split("train") + split("val")
    assert {path.stem for path in (folder / "JPEGImages").iterdir()} == set(split("trainval"))
    assert {path.stem for path in (folder / "Annotations").iterdir()} == set(split("trainval"))


def test_annotations_agree_with_their_images(folder):
    seen = set()
    for annotation in (folder / "Annotations").iterdir():
        root = ElementTree.parse(annotation).getroot()
        with Image.open(folder / "JPEGImages" / root.findtext("filename")) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (96, 64))
        assert (root.findtext("size/width"), root.findtext("size/height")) == ("96", "64")
        found = list(objects(annotation))
        assert 1 <= len(found) <= 4
        for label, (xmin, ymin, xmax, ymax) in found:
            seen.add(label)
            # VOC counts from 1, and its last pixel is inside
            assert 1 <= xmin < xmax <= 96
            assert 1 <= ymin < ymax <= 64
            assert 0.12 * 64 <= max(xmax - xmin, ymax - ymin) + 1 <= 0.65 * 64
    assert seen == set(CLASSES)


def test_boxes_are_tight():
    # Pixels of about the colour in the middle of a box are its shape. Images where such pixels
    # lie farther off as well, in the background or another shape, tell nothing and are skipped;
    # boxes that were too small would leave too few.
    checked = 0
    for seed in range(40):
        image, shapes = draw_shapes((128, 128), np.random.default_rng(seed))
        pixels = np.asarray(image, dtype=float)
        for shape in shapes:
            middle = pixels[(shape.top + shape.bottom) // 2, (shape.left + shape.right) // 2]
            near = np.linalg.norm(pixels - middle, axis=2) < 60
            around = near.copy()
            around[max(0, shape.top - 2):shape.bottom + 3,
                   max(0, shape.left - 2):shape.right + 3] = False
            if around.any():
                continue
            rows, columns = np.nonzero(near)
            # a sharp corner covers little of its last pixels, which are then hardly coloured
            assert shape.left == pytest.approx(columns.min(), abs=2)
            assert shape.right == pytest.approx(columns.max(), abs=2)
            assert shape.top == pytest.approx(rows.min(), abs=2)
            assert shape.bottom == pytest.approx(rows.max(), abs=2)
            checked += 1
    assert checked >= 40


def test_boxes_hardly_overlap(folder):
    for annotation in (folder / "Annotations").iterdir():
        boxes = [box for _, box in objects(annotation)]
        for index, a in enumerate(boxes):
            for b in boxes[:index]:
                width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
                height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
                areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
                assert width * height <= 0.05 * min(areas)


def test_same_seed_same_bytes_and_another_seed_other_images(folder, tmp_path):
    write_shapes(tmp_path / "again", train=12, val=4, size=(96, 64), seed=3)
    assert contents(tmp_path / "again") == contents(folder)
    write_shapes(tmp_path / "other", train=12, val=4, size=(96, 64), seed=4)
    first = "JPEGImages/000000.jpg"
    assert contents(tmp_path / "other")[first] != contents(folder)[first]


def test_own_folder_is_replaced_and_an_empty_one_filled(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write_shapes(folder, train=2, val=1, size=(32, 32))
    write_shapes(folder, train=1, val=1, size=(32, 32))
    assert len(list((folder / "JPEGImages").iterdir())) == 2
    # nothing is left of the writing
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_foreign_files_are_never_touched(tmp_path):
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="not a data set of shapes"):
        write_shapes(foreign, train=1, val=1)
    own = tmp_path / "own"
    write_shapes(own, train=1, val=1, size=(32, 32))
    (own / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="left as it is"):
        write_shapes(own, train=1, val=1)
    with pytest.raises(DataError, match="no folder of its own"):
        write_shapes(foreign / "mine.txt", train=1, val=1)
    assert contents(foreign) == {"mine.txt": b"precious"}
    assert (own / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("wrong", [{"train": 0}, {"val": 0}, {"size": (16, 128)}])
def test_useless_sets_are_refused(tmp_path, wrong):
    with pytest.raises(DataError, match="give "):
        write_shapes(tmp_path / "data", **wrong)
    assert list(tmp_path.iterdir()) == []
