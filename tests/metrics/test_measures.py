"""All measures together, as text and as JSON."""

from __future__ import annotations

import json
import math

import pytest
from support.compared import NAMES, one_image, random_comparison

from ssdreg.metrics.coco import FIGURES
from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.measures import USUAL_THRESHOLD, measure
from ssdreg.metrics.text import aligned, confusion_block, describe, number

OBJECT = (10, 10, 50, 50)


def blocks(measures):
    return [block.splitlines() for block in describe(measures).split("\n\n")]


def test_the_blocks():
    measures = measure(random_comparison(3))
    coco, classes, confusion, errors = blocks(measures)
    figures = measures.coco.figures
    assert coco[2].split() == ["AP", *map(number, (
        figures.ap, figures.ap50, figures.ap75, figures.ap_small, figures.ap_medium,
        figures.ap_large))]
    assert coco[4].split() == ["AR", *map(number, (
        figures.ar1, figures.ar10, figures.ar100, figures.ar_small, figures.ar_medium,
        figures.ar_large))]
    assert [line.split()[0] for line in classes[1:]] == ["class", *NAMES[:4], "all"]
    best = measures.curves.pooled.best()
    assert classes[-1].split() == ["all", *map(number, (
        figures.ap, best.threshold, best.precision, best.recall, best.f1))]
    assert confusion[0] == f"confusion at IoU 0.5, scores from {best.threshold:.4f} on"
    assert [line.split()[1:] for line in confusion[2:-1]] == [
        list(map(str, row)) for row in measures.confusion.matrix.tolist()[:-1]]
    assert confusion[-1].split() == ["background", *map(
        str, measures.confusion.matrix[-1, :-1].tolist())]
    assert [line.split()[0] for line in errors[2:8]] == [
        kind.name for kind in measures.errors.kinds]
    assert [int(line.split()[1]) for line in errors[2:8]] == [
        kind.total.count for kind in measures.errors.kinds]
    assert all(line == line.rstrip() for block in (coco, classes, confusion, errors)
               for line in block)


def test_what_cannot_be_measured_is_a_dash_and_none():
    measures = measure(one_image([(0, 0.9, *OBJECT)], []))
    assert measures.confusion.threshold == USUAL_THRESHOLD
    coco, classes, _, errors = blocks(measures)
    assert coco[2].split() == ["AP", *"------"]
    assert classes[2].split() == ["circle", *"-----"]
    assert errors[2].split() == ["classification", "0", "-", "0", "-", "0", "-", "0", "-"]
    plain = json.loads(json.dumps(measures.to_dict(), allow_nan=False))
    assert plain["coco"] == dict.fromkeys(FIGURES)
    assert plain["best_f1"]["all"] is None
    assert plain["best_f1"]["classes"][1] == {
        "name": "square", "coco_ap": None, "threshold": None, "precision": None, "recall": None,
        "f1": None}


def test_no_images():
    measures = measure(Comparison(("a",), ()))
    assert math.isnan(measures.voc.map)
    assert describe(measures)


def test_json_says_what_the_text_says():
    measures = measure(random_comparison(4))
    plain = json.loads(json.dumps(measures.to_dict(), allow_nan=False))
    assert set(plain) == {"coco", "best_f1", "confusion", "errors"}
    assert tuple(plain["coco"]) == FIGURES
    assert [each["name"] for each in plain["best_f1"]["classes"]] == list(NAMES[:4])
    assert plain["confusion"]["threshold"] == plain["best_f1"]["all"]["threshold"]
    assert [kind["count"] for kind in plain["errors"]["kinds"]] == [
        kind.total.count for kind in measures.errors.kinds]
    # neither has a key that the other one has: both go into one object
    assert not set(plain) & set(measures.voc.to_dict())


def test_of_many_classes_the_most_frequent_confusions_are_told():
    names = tuple(f"class{index}" for index in range(12))
    image, = one_image([(3, 0.9, *OBJECT)], [(5, *OBJECT)], classes=6).images
    comparison = Comparison(names, (image, image))
    first, *lines = confusion_block(measure(comparison).confusion).splitlines()
    assert first == ("confusion at IoU 0.5, scores from 0.5000 on: 0 objects found, 0 missed, 0 "
                     "detections of background, 2 objects taken for another class; most often")
    assert [line.split() for line in lines] == [["object", "taken", "for", "times"],
                                                ["class5", "class3", "2"]]


def test_the_means_of_classes_are_those_of_voc():
    measures = measure(random_comparison(5))
    assert measures.voc.map == pytest.approx(measures.coco.figures.ap50, abs=0.03)


def test_alignment():
    assert aligned([("a", "b", ""), ("long", "1.5", "x")]) == "a       b\nlong  1.5  x"
