"""What a training says at its end."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest
from support.runs import SMALL

import ssdreg
from ssdreg.metrics.coco import CocoFigures
from ssdreg.runs.log import Epoch, best_of, is_level
from ssdreg.training.advice import advise, reached

CLASSES = ("dot", "square")
PLAN = ssdreg.plan(SMALL, 2, 128)


def epoch(number, ap, ap50=0.9, ap75=0.8):
    figures = dict.fromkeys(attrs.fields_dict(CocoFigures), 0.5)
    return Epoch(number, number, 1.0, 0.001, 5.0, 1.0, 1.0, map=ap50, map_07=ap50,
                 coco=CocoFigures(**{**figures, "ap": ap, "ap50": ap50, "ap75": ap75}))


def boxes(side, count=100):
    """As many objects of each class, `side` of the image wide and high, all over it."""
    rng = np.random.RandomState(0)
    corners = rng.uniform(0, 1 - side, (2 * count, 2))
    return np.column_stack([np.repeat([0, 1], count), corners, corners + side])


#: Boxes that an anchor of the plan matches, nearly all of them.
FITTING = boxes(0.37)


def test_what_was_reached():
    log = [epoch(1, 0.3), epoch(2, 0.6), epoch(3, 0.5)]
    assert reached(log, 1.0) == (
        "reached mAP 0.900 at IoU 0.5, COCO's AP 0.600 (AP50 0.900, AP75 0.800) in epoch 2 of 3, "
        "with parameters averaged over 1 epoch")
    assert reached(log, 0.0).endswith("in epoch 2 of 3")
    assert reached([attrs.evolve(log[0], coco=None)], 0.0) == (
        "reached mAP 0.900 at IoU 0.5 in epoch 1 of 1")
    assert reached([attrs.evolve(log[0], map=math.nan, coco=None)], 0.0) == ""


@pytest.mark.parametrize(("aps", "words"), [
    ([0.1, 0.2, 0.3, 0.4], "the last epoch is the best, and AP rose by 0.100 in the last quarter: "
                           "more --epochs will help"),
    ([0.1, 0.4, 0.3, 0.3], "AP has fallen by 0.100 since epoch 2: more images"),
    ([0.1, 0.399, 0.399, 0.4], None)])
def test_advice_from_the_log(aps, words):
    sentences = advise([epoch(number, ap) for number, ap in enumerate(aps, 1)], PLAN, FITTING,
                       CLASSES)
    assert len(sentences) == (words is not None)
    assert words is None or sentences[0].startswith(words)


def test_advice_on_loose_boxes():
    sentence, = advise([epoch(1, 0.5, ap50=0.9, ap75=0.3)], PLAN, FITTING, CLASSES)
    assert sentence.startswith("objects are found, but boxes are loose (AP75 0.300 of AP50 0.900)")


def test_advice_from_the_boxes():
    sentence, = advise([], PLAN, boxes(0.02), CLASSES)
    assert sentence.startswith("100% of the objects are small for an input of 128x128: a larger")
    few = np.concatenate([FITTING[:100], FITTING[100:107]])
    sentence, = advise([], PLAN, few, CLASSES)
    assert sentence == ("there are few objects to learn from of square (7): more images of them "
                        "help")
    thin = FITTING.copy()
    thin[:, 3] = thin[:, 1] + 0.01
    thin[:, 4], thin[:, 2] = 1.0, 0.0
    sentence, = advise([], PLAN, thin, CLASSES)
    assert sentence.startswith("no anchor matches 100% of the objects")


def test_the_best_epoch_is_the_one_whose_boxes_fit_best():
    log = [epoch(1, 0.3, ap50=0.95), epoch(2, 0.4, ap50=0.9), epoch(3, 0.4, ap50=0.99)]
    assert best_of(log) == log[1]
    # not all were measured so
    log[2] = attrs.evolve(log[2], coco=None)
    assert best_of(log) == log[2]
    assert best_of([attrs.evolve(log[0], map=math.nan)]) is None


def test_validations_that_are_no_better():
    log = [epoch(1, 0.3), epoch(2, 0.4), epoch(3, 0.4), attrs.evolve(epoch(4, 0), map=math.nan)]
    assert is_level(log, 1)
    assert not is_level(log, 2)
    assert not is_level(log[:2], 1)
    assert not is_level([], 1)


def test_training_ends_when_it_gets_no_better(tmp_path, tiny_shapes):
    told = []
    result = ssdreg.train(data=tiny_shapes, out=tmp_path / "run", backbone=SMALL, data_shape=64,
                          tap_strides=(8, 16), epochs=30, batch_size=8, lr=1e-9, patience=1,
                          progress=lambda event: told.append(str(event)))
    assert [entry.epoch for entry in result.epochs] == [1, 2]
    assert ("ended after epoch 2: the last 1 validations were no better than that of epoch 1"
            in told)
    assert all(sentence in told for sentence in result.advice)
