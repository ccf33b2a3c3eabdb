from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.io.images import prepare
from support import paths

from ssdreg.data import (
    Augmentation,
    Box,
    Dataset,
    DetectionIter,
    Packed,
    Preprocessing,
    Sample,
    open_eval,
    open_rec,
    open_train,
    pack,
)
from ssdreg.errors import DataError
from ssdreg.mx import mx

RAW = Preprocessing(mean=(0, 0, 0))
#: Geometry only, padded in the grey of the images, so that a rectangle can be found by its colour.
GEOMETRY = Augmentation(color_probability=0.0, pad_value=20)


def make(root: Path, count: int, box: tuple[int, int, int, int] = (120, 80, 280, 200)) -> Packed:
    """`count` grey images of 400x320, each with one orange rectangle where its box is."""
    samples = []
    for number in range(count):
        image = Image.new("RGB", (400, 320), (20, 20, 20))
        image.paste((200, 100, number), box)
        image.save(root / f"{number:03}.png")
        samples.append(Sample(root / f"{number:03}.png", 400, 320, (Box("a", *box),)))
    return pack(Dataset(root, "all", ("a", "b"), tuple(samples)))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return make(tmp_path_factory.mktemp("images"), 21)


def collect(batches: DetectionIter) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Data, labels and record numbers of an epoch, without the repeats in the last batch."""
    data, labels, numbers = [], [], []
    for batch in batches:
        kept = batches.batch_size - batch.pad
        data.append(batch.data[0].asnumpy()[:kept])
        labels.append(batch.label[0].asnumpy()[:kept])
        numbers += batch.index[:kept].tolist()
    return np.concatenate(data), np.concatenate(labels), numbers


def digest(batches: DetectionIter) -> str:
    data, labels, _ = collect(batches)
    return hashlib.sha256(data.tobytes() + labels.tobytes()).hexdigest()


def test_evaluation_gives_the_packed_boxes_in_file_order_and_pads_the_last_batch(tmp_path):
    boxes = (Box("b", 100, 80, 300, 160, True), Box("a", 0, 0, 40, 32))
    samples = []
    for number, own in enumerate((boxes, (), boxes[:1])):
        Image.new("RGB", (400, 320)).save(tmp_path / f"{number}.jpg")
        samples.append(Sample(tmp_path / f"{number}.jpg", 400, 320, own))
    batches = open_eval(pack(Dataset(tmp_path, "val", ("a", "b"), tuple(samples))), (30, 40), 2,
                        max_objects=3)
    assert batches.provide_data == [mx.io.DataDesc("data", (2, 3, 30, 40))]
    assert batches.provide_label == [mx.io.DataDesc("label", (2, 3, 6))]
    first, second = batches
    none = [-1] * 6
    dog = [1, .25, .25, .75, .5, 1]
    np.testing.assert_allclose(first.label[0].asnumpy(), [
        [dog, [0, 0, 0, .1, .1, 0], none], [none, none, none]], atol=1e-7)
    np.testing.assert_allclose(second.label[0].asnumpy()[0], [dog, none, none], atol=1e-7)
    assert (first.pad, second.pad, len(batches)) == (0, 1, 2)
    assert second.index.tolist() == [2, 0]
    with pytest.raises(StopIteration):
        batches.next()


def test_mean_and_deviation_are_applied_in_rgb_order(packed):
    batches = open_eval(packed, (32, 40), 21, Preprocessing((10, 20, 30), (2, 4, 5)))
    data = batches.next().data[0].asnumpy()
    assert data.dtype == np.float32
    np.testing.assert_allclose(data[7, :, 14, 20], [95, 20, (7 - 30) / 5], atol=1e-5)
    np.testing.assert_allclose(data[7, :, 0, 0], [5, 0, -2], atol=1e-5)


def test_training_sees_every_image_once_in_another_order_each_seed(packed):
    _, _, first = collect(open_train(packed, (32, 40), 4, seed=1))
    _, _, second = collect(open_train(packed, (32, 40), 4, seed=2))
    assert Counter(first) == Counter(second) == Counter(range(21))
    assert first != second
    assert first != sorted(first)


def test_training_images_are_the_records_their_numbers_say(packed):
    data, _, numbers = collect(open_train(packed, (32, 40), 4, None, RAW, seed=1))
    np.testing.assert_array_equal(data[:, 2, 14, 20], numbers)


def test_the_last_training_batch_is_filled_from_the_front(packed):
    *others, last = open_train(packed, (32, 40), 8, seed=1)
    assert [batch.pad for batch in others] == [0, 0]
    assert last.pad == 3
    assert last.index[-3:].tolist() == others[0].index[:3].tolist()


def test_a_batch_larger_than_the_data_repeats_it(packed, tmp_path):
    batches = open_train(make(tmp_path, 3), (32, 40), 8, Augmentation(), seed=1)
    (batch,) = batches
    assert batch.pad == 5
    assert Counter(batch.index[:3].tolist()) == Counter(range(3))


def test_a_seed_gives_the_same_batches_whatever_the_threads_and_after_a_reset(packed):
    batches = open_train(packed, (32, 40), 4, Augmentation(), seed=5, threads=1)
    wanted = digest(batches)
    batches.reset()
    batches.next()
    batches.reset()
    assert digest(batches) == wanted
    batches.close()
    assert digest(open_train(packed, (32, 40), 4, Augmentation(), seed=5, threads=3)) == wanted
    assert digest(open_train(packed, (32, 40), 4, Augmentation(), seed=6, threads=3)) != wanted


def test_an_epoch_begins_at_any_batch_as_if_those_before_had_been_read(packed):
    recipe = Augmentation(mosaic_probability=0.5, cutout_probability=0.5, grey_probability=0.5)
    batches = open_train(packed, (32, 40), 4, recipe, seed=5)
    whole = [(batch.data[0].asnumpy(), batch.label[0].asnumpy(), batch.index.tolist())
             for batch in batches]
    for number in range(len(whole) + 1):
        batches.start_at(number)
        rest = list(batches)
        assert len(rest) == len(whole) - number
        for batch, (data, label, records) in zip(rest, whole[number:]):
            np.testing.assert_array_equal(batch.data[0].asnumpy(), data)
            np.testing.assert_array_equal(batch.label[0].asnumpy(), label)
            assert batch.index.tolist() == records
    batches.close()


def test_mosaics_hold_objects_of_four_images_whatever_the_threads(packed):
    recipe = Augmentation(mosaic_probability=1.0, crop_probability=0.0, pad_probability=0.0)
    batches = open_train(packed, (64, 80), 4, recipe, seed=5, threads=1)
    assert batches.provide_label == [mx.io.DataDesc("label", (4, 4, 6))]
    data, labels, numbers = collect(batches)
    assert Counter(numbers) == Counter(range(21))
    assert (labels[..., 0] == 0).all()
    assert digest(open_train(packed, (64, 80), 4, recipe, seed=5, threads=3)) == hashlib.sha256(
        data.tobytes() + labels.tobytes()).hexdigest()
    with pytest.raises(DataError, match="a mosaic of images may have 4 objects, more than the 3"):
        open_train(packed, (64, 80), 4, recipe, max_objects=3)


@pytest.mark.parametrize("size", [(400, 320), (97, 211), (40, 32)])
def test_evaluation_gives_the_network_what_detection_gives_it(tmp_path, size):
    file = tmp_path / "noise.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(file, quality=80)
    packed = pack(Dataset(tmp_path, "all", ("a",), (Sample(file, *size, (Box("a", 1, 1, 9, 9),)),)))
    (batch,) = open_eval(packed, (32, 40), 1, RAW)
    np.testing.assert_array_equal(batch.data[0].asnumpy()[0],
                                  prepare(file, (32, 40)).pixels.transpose(2, 0, 1))


def test_a_seed_gives_the_same_batches_in_another_process(packed):
    code = ("import sys\nfrom test_iterator import *\n"
            "print(digest(open_train(open_rec(sys.argv[1]), (32, 40), 4, Augmentation(), seed=5)))")
    found = (paths.PROJECT, paths.TESTS, Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, found))}
    done = subprocess.run([sys.executable, "-c", code, os.fspath(packed.rec)], check=True,
                          capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == digest(open_train(packed, (32, 40), 4, Augmentation(), seed=5))


def test_the_augmentation_of_an_image_changes_with_the_seed(tmp_path):
    packed = make(tmp_path, 1)
    boxes = {tuple(collect(open_train(packed, (32, 40), 1, GEOMETRY, seed=seed))[1].ravel())
             for seed in range(12)}
    assert len(boxes) >= 9


def test_augmented_boxes_stay_on_their_pixels(packed):
    worst, changed = 0.0, 0
    for seed in range(4):
        data, labels, _ = collect(open_train(packed, (200, 200), 7, GEOMETRY, RAW, seed))
        for image, ((label, *edges, difficult),) in zip(data, labels):
            rows, columns = np.nonzero(image[0] > 110)
            seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 200
            worst = max(worst, np.abs(seen - edges).max())
            changed += not np.allclose(edges, [.3, .25, .7, .625], atol=1e-3)
            assert (label, difficult) == (0, 0)
    assert worst < 1 / 200  # a pixel
    assert changed > 60


def test_crops_keep_the_overlap_they_promise(packed):
    augmentation = Augmentation(crop_probability=1.0, crop_overlaps=(0.3,), pad_probability=0.0,
                                mirror_probability=0.0, color_probability=0.0)
    _, labels, _ = collect(open_train(packed, (32, 32), 21, augmentation, seed=3))
    area = (labels[..., 3] - labels[..., 1]) * (labels[..., 4] - labels[..., 2])
    uncropped = np.isclose(area, 0.4 * 0.375, atol=1e-4)
    # an IoU of 0.3 between crop and box means that the box fills at least 0.3 of the crop
    assert (area[~uncropped] >= 0.3 - 1e-3).all()
    assert (~uncropped).sum() >= 15


def test_probabilities_of_nothing_leave_the_image_as_it_is(packed):
    still = Augmentation(crop_probability=0, pad_probability=0, mirror_probability=0,
                         color_probability=0)
    assert digest(open_train(packed, (32, 40), 4, still, seed=1)) == digest(
        open_train(packed, (32, 40), 4, None, seed=1))


def test_negatives_are_trained_on_unless_left_out_and_lost_objects_never(tmp_path):
    files = [tmp_path / f"{name}.jpg" for name in ("empty", "full", "lost")]
    for file in files:
        Image.new("RGB", (40, 40)).save(file)
    samples = (Sample(files[0], 40, 40), Sample(files[1], 40, 40, (Box("a", 1, 1, 9, 9),)),
               Sample(files[2], 40, 40, lost=True))
    packed = pack(Dataset(tmp_path, "all", ("a",), samples))
    assert (packed.images, packed.negatives) == (3, 1)
    for augmentation in (None, Augmentation(), Augmentation(crop_probability=1.0)):
        _, labels, numbers = collect(open_train(packed, (32, 32), 1, augmentation))
        assert sorted(numbers) == [0, 1]
        empty = labels[numbers.index(0)]
        np.testing.assert_array_equal(empty, -1)
    assert collect(open_train(packed, (32, 32), 1, negatives=False))[2] == [1]
    assert collect(open_eval(packed, (32, 32), 1))[2] == [0, 1, 2]


def test_a_foreign_file_with_five_columns_and_a_longer_header_is_read(tmp_path):
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "a.png")
    writer = mx.recordio.MXRecordIO(os.fspath(tmp_path / "a.rec"), "w")
    header = mx.recordio.IRHeader(0, [4, 5, 40, 40, 1, .1, .2, .3, .4, 0, .5, .5, .8, .9], 0, 0)
    writer.write(mx.recordio.pack(header, (tmp_path / "a.png").read_bytes()))
    writer.close()
    packed = open_rec(tmp_path / "a.rec")
    wanted = [[1, .1, .2, .3, .4, 0], [0, .5, .5, .8, .9, 0], [-1] * 6]
    _, labels, _ = collect(open_eval(packed, (32, 32), 1, max_objects=3))
    np.testing.assert_allclose(labels[0], wanted, atol=1e-6)
    _, labels, _ = collect(open_train(packed, (32, 32), 1, Augmentation(), seed=1))
    assert labels.shape == (1, 2, 6)


def test_what_cannot_be_read_is_an_error_that_names_the_file(packed, tmp_path):
    with pytest.raises(DataError, match=r"has 1 objects, more than the 0"):
        open_eval(packed, (32, 32), 1, max_objects=0)
    with pytest.raises(DataError, match="cannot be made"):
        open_eval(packed, (32, 0), 1)
    with pytest.raises(DataError, match="0 threads"):
        open_train(packed, (32, 32), 1, threads=0)
    writer = mx.recordio.MXRecordIO(os.fspath(tmp_path / "bad.rec"), "w")
    header = mx.recordio.IRHeader(0, [2, 5, 0, 0, 0, 1, 1], 0, 0)
    writer.write(mx.recordio.pack(header, b"no image at all"))
    writer.close()
    with pytest.raises(DataError, match=r"bad\.rec: the image of record 0 cannot be decoded"):
        open_eval(open_rec(tmp_path / "bad.rec"), (32, 32), 1).next()


def test_the_iterator_feeds_a_module(packed):
    data, label = mx.sym.Variable("data"), mx.sym.Variable("label")
    weight = mx.sym.Variable("weight", shape=(1,), init=mx.init.One())
    loss = mx.sym.MakeLoss(mx.sym.broadcast_mul(mx.sym.mean(data) + mx.sym.mean(label), weight))
    batches = open_train(packed, (32, 40), 7, None, RAW, seed=1)
    module = mx.mod.Module(loss, data_names=("data",), label_names=("label",))
    module.bind(batches.provide_data, batches.provide_label)
    module.init_params()
    outputs = []
    for batch in batches:
        module.forward(batch)
        wanted = batch.data[0].asnumpy().mean() + batch.label[0].asnumpy().mean()
        outputs.append(module.get_outputs()[0].asscalar())
        assert outputs[-1] == pytest.approx(wanted, rel=1e-4)
    assert len(outputs) == 3


@pytest.mark.parametrize("wrong", [
    {"crop_probability": 1.5}, {"crop_overlaps": ()}, {"crop_overlaps": (1.0,)},
    {"crop_scale": (0.5, 0.5)}, {"pad_scale": 0.5}, {"hue": 1.5}, {"saturation": 2.0},
    {"grey_probability": -0.1}, {"cutout_scale": 1.5}])
def test_an_augmentation_that_cannot_be_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        Augmentation(**wrong)


@pytest.mark.parametrize("wrong", [
    {"mean": (-1, 0, 0)}, {"std": (1, 0, 1)}, {"mean": (1, 2)}])
def test_a_normalisation_mxnet_would_ignore_is_refused(wrong):
    with pytest.raises(ValueError, match="three values"):
        Preprocessing(**wrong)
