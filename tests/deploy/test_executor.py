"""Looking at images: the same input as in training, the same answers in any batch."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.runs import SIDE

from ssdreg.data import Preprocessing, load, open_eval
from ssdreg.deploy.executor import Inference, detect_images, open_inference, prepare
from ssdreg.mx import mx
from ssdreg.runs.params import Params
from ssdreg.runs.run import open_run


@pytest.fixture(scope="module")
def run(tiny_run):
    return open_run(tiny_run)


@pytest.fixture(scope="module")
def images(tiny_shapes):
    files = sorted((tiny_shapes / "JPEGImages").iterdir())
    return [Image.open(file).convert("RGB") for file in files]


# What the network sees

@pytest.mark.parametrize("shape", [(64, 64), (48, 100), (128, 96)])
def test_an_image_is_prepared_as_evaluation_reads_it(tiny_shapes, images, shape):
    preprocessing = Preprocessing((10, 20, 30), (2, 4, 8))
    packed = load(tiny_shapes)  # in the order of the file names
    batches = open_eval(packed, shape, 4, preprocessing)
    batch = next(iter(batches))
    batches.close()
    std = np.array([2, 4, 8]).reshape(3, 1, 1)
    for index in range(4):
        mine = prepare(images[index], shape, preprocessing)
        assert (mine.shape, mine.dtype) == ((3, *shape), np.float32)
        # within a grey level: OpenCV and Pillow decode JPEG alike but for rounding
        assert np.abs((mine - batch.data[0][index].asnumpy()) * std).max() <= 1.01


def test_mean_and_deviation_go_by_channel():
    red = Image.new("RGB", (5, 3), (200, 100, 50))
    data = prepare(red, (7, 9), Preprocessing((100, 80, 60), (10, 20, 5)))
    assert data.shape == (3, 7, 9)
    assert [float(data[channel].min()) for channel in range(3)] == [10, 1, -2]
    assert [float(data[channel].max()) for channel in range(3)] == [10, 1, -2]


# What it says

def calm(run, batch_size: int) -> Inference:
    """Bind the run with weaker class scores: after one epoch many are exactly 1, and alike."""
    params = run.load_params()
    args = {name: array * 0.01 if name.endswith("_cls_pred_conv_weight") else array
            for name, array in params.args.items()}
    return Inference(run.load_symbol(), Params(args, params.auxs), batch_size, (SIDE, SIDE))


def test_a_batch_says_what_single_images_say(run, images):
    single = detect_images(calm(run, 1), run, images[:5])
    for size in (2, 5, 8):
        batched = detect_images(calm(run, size), run, images[:5])
        assert len(batched) == 5
        for alone, together in zip(single, batched):
            assert alone.shape == together.shape
            # every row has its like; rows whose scores hardly differ may change places
            distance = np.abs(alone[:, None] - together[None]).max(axis=2)
            assert distance.min(axis=0).max() < 1e-4
            assert distance.min(axis=1).max() < 1e-4
    # and images do differ
    assert single[0].shape != single[1].shape or np.abs(single[0] - single[1]).max() > 0.01


def test_rows_are_detections_best_first(run, images):
    found = detect_images(open_inference(run), run, images[:2])
    assert len(found) == 2
    for rows in found:
        assert rows.shape[1] == 6
        assert len(rows) > 0
        assert set(rows[:, 0]) <= {0.0, 1.0, 2.0}
        assert np.all(np.diff(rows[:, 1]) <= 0)
        assert np.all((rows[:, 2:] >= 0) & (rows[:, 2:] <= 1))


def test_no_images_give_no_answers(run):
    assert detect_images(open_inference(run), run, []) == []


def test_images_may_come_from_a_generator(run, images):
    inference = open_inference(run, 2)
    assert len(detect_images(inference, run, (image for image in images[:3]))) == 3


def test_images_that_fill_the_last_batch_are_not_counted(run, tiny_shapes):
    packed = load(tiny_shapes, "val")
    found = []
    for size in (1, 4):
        batches = open_eval(packed, (SIDE, SIDE), size, run.plan.preprocessing)
        found.append(open_inference(run, size).evaluate(batches, run.classes))
        batches.close()
    assert [each.images for each in found] == [6, 6]
    assert [each.objects for each in found[0].classes] == [
        each.objects for each in found[1].classes]
    assert found[0].map == pytest.approx(found[1].map, abs=1e-5)


def test_the_same_parameters_may_be_bound_to_another_size(run):
    larger = Inference(run.load_symbol(), run.load_params(), 1, (96, 128))
    detections = larger.detect(mx.nd.zeros((1, 3, 96, 128)))
    assert detections.shape[1] > open_inference(run).detect(mx.nd.zeros((1, 3, 64, 64))).shape[1]
