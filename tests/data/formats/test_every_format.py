"""The same data set in every format: recognised by looking, with the same boxes."""

from __future__ import annotations

import numpy as np
import pytest
from support import drawn
from support.drawn import CLASSES, COLORS, FORMATS, TRAIN, VAL

from ssdreg.data import available_splits, load, open_eval, read_dataset, splits
from ssdreg.data.reading import recognize
from ssdreg.errors import DataError
from ssdreg.registry.preprocessing import Preprocessing


@pytest.fixture(params=FORMATS)
def written(request, tmp_path):
    write, train, val = FORMATS[request.param]
    return write(tmp_path / "data"), request.param, train, val


def test_the_format_is_recognised(written):
    root, name, _, _ = written
    assert recognize(root).name == {"roboflow": "voc"}.get(name, name)


def test_the_boxes_are_those_that_were_drawn(written):
    root, _, train, val = written
    assert available_splits(root) == (train, val)
    for split, pictures in ((train, TRAIN), (val, VAL), (None, TRAIN + VAL)):
        data = read_dataset(root, split)
        assert data.issues == ()
        assert data.classes == CLASSES
        assert drawn.boxes_of(data) == drawn.drawn_boxes(pictures)
        assert {sample.image.stem: (sample.width, sample.height) for sample in data.samples} == {
            each.name: each.size for each in pictures}


def test_training_takes_the_usual_pair_and_sees_the_colors(written):
    root, _, train, val = written
    spec = splits.choose(root)
    assert (spec.train_split, spec.validation_split) == (train, val)
    learning, validation = splits.open_data(spec)
    assert (learning.images, validation.images) == (len(TRAIN), len(VAL))
    for batch in open_eval(learning, (120, 120), 1, Preprocessing((0, 0, 0))):
        pixels = batch.data[0].asnumpy()[0].transpose(1, 2, 0)
        for label, *edges, _ in batch.label[0].asnumpy()[0]:
            if label >= 0:
                found = drawn.color_in(pixels, np.array(edges) * 120)
                assert np.allclose(found, COLORS[CLASSES[int(label)]], atol=12)


def test_a_split_that_is_not_there(written):
    root, _, train, val = written
    with pytest.raises(DataError, match=rf"no such split|no split 'nowhere'.*{train}, {val}"):
        read_dataset(root, "nowhere")


def test_the_format_can_be_named(written):
    root, name, train, _ = written
    asked = {"roboflow": "voc"}.get(name, name)
    assert load(root, train, format=asked).images == len(TRAIN)
    with pytest.raises(DataError, match="no format of data sets is called 'vok': there are voc, "):
        read_dataset(root, format="vok")


def test_several_formats_in_one_folder_are_not_chosen_between(tmp_path):
    drawn.coco(tmp_path)
    drawn.yolo(tmp_path)
    with pytest.raises(DataError, match="is laid out as coco and yolo: say by --format which one"):
        read_dataset(tmp_path)
    assert len(read_dataset(tmp_path, "val", format="yolo").samples) == len(VAL)


def test_what_lies_beside_a_sure_layout_does_not_matter(tmp_path):
    root = drawn.voc(tmp_path)
    for each in TRAIN:
        drawn.write(root / "JPEGImages" / f"{each.name}.txt", drawn.yolo_lines(each))
        drawn.write(root / "JPEGImages" / f"{each.name}.json", "{}")
    assert recognize(root).name == "voc"
    assert drawn.boxes_of(read_dataset(root, "train")) == drawn.drawn_boxes(TRAIN)


def test_a_folder_that_is_no_data_set(tmp_path):
    drawn.draw(tmp_path, TRAIN)
    with pytest.raises(DataError, match=r"not a data set in PASCAL VOC layout, and in none of the "
                                        r"other formats \(coco, yolo, csv"):
        read_dataset(tmp_path)
