"""Comparing detections: what rounding explains is a tie, and every wrong answer is found."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from support import paths
from support.detections import RULES, by_mxnet, kept, predicted

import ssdreg
from ssdreg.deploy.model import random_deploy_model
from ssdreg.deploy.mxnet_backend import facts_of
from ssdreg.detector.overrides import Overrides
from ssdreg.exporting import Options, write_onnx
from ssdreg.exporting.checking import agrees, compare_file
from ssdreg.exporting.parity import HALF, TOLD, Parity, compare

PHOTOS = paths.SHARED / "data" / "bccd" / "JPEGImages"


def row(label, score, x1, y1, x2, y2):
    return [label, score, x1, y1, x2, y2]


def dropped(values):
    """Return a row as suppression leaves it: no class, but its score and box."""
    return [-1, *values[1:]]


def image(*rows):
    return np.array([rows], "f4")


#: Two boxes that overlap by an IoU of just 0.5, and one far from both.
WHOLE, HALF_OF_IT = row(0, .9, 0, 0, .4, .4), row(0, .8, 0, 0, .4, .2)
APART = row(1, .7, .6, .6, .8, .8)
AT_HALF = attrs.evolve(RULES, nms_threshold=.5)


def compared(one, other, rules=AT_HALF):
    """Compare both ways round: what is found must be the same."""
    found, turned = compare(one, other, rules), compare(other, one, rules)
    assert (found.ties, found.mismatches) == (turned.ties, turned.mismatches)
    assert len(found.sentences) == min(found.mismatches, TOLD)
    return found


# The same

def test_the_same_is_equal_and_its_differences_are_measured():
    one = image(WHOLE, APART, dropped(HALF_OF_IT))
    other = one.copy()
    other[0, 0, 1] += 2e-6
    other[0, 1, 4] -= 3e-4
    found = compared(one, other)
    assert found.equal
    assert (found.boxes, found.ties) == (2, 0)
    assert found.score == pytest.approx(2e-6, rel=.05)
    assert found.coordinate == pytest.approx(3e-4, rel=.01)


def test_empty_rows_between_others_and_their_number_mean_nothing():
    none = [-1, -1, 0, 0, 0, 0]
    found = compared(image(WHOLE, none, APART), image(none, WHOLE, APART, none, none)[:, :4])
    assert (found.boxes, found.ties, found.mismatches) == (2, 0, 0)
    assert compared(image(none), image(none, none)) == Parity()


def test_comparisons_add_up():
    one = compare(image(WHOLE), image(WHOLE))
    other = Parity(3, 1e-4, 2e-4, 5, 1, ("why",))
    assert one + other == Parity(4, 1e-4, 2e-4, 5, 1, ("why",))
    assert not (one + other).equal


def test_batches_of_other_sizes_cannot_be_compared():
    with pytest.raises(ValueError, match="1 and 2 images"):
        compare(image(WHOLE), np.concatenate([image(WHOLE)] * 2))


# Ties

def test_tied_rows_may_change_places():
    near = row(1, .9 - 5e-6, *APART[2:])
    found = compared(image(WHOLE, near), image(near, WHOLE))
    assert (found.equal, found.ties) == (True, 2)
    far = row(1, .9 - 3e-5, *APART[2:])
    found = compared(image(WHOLE, far), image(far, WHOLE))
    assert (found.ties, found.mismatches) == (0, 2)
    assert "stands in another place" in found.sentences[0]


def test_an_overlap_at_the_limit_may_suppress_or_not():
    """On one side the IoU is just below 0.5, on the other just above."""
    below = row(0, .8, 0, 0, .4, .19999)
    above = row(0, .8, 0, 0, .4, .20001)
    found = compared(image(WHOLE, below, APART), image(WHOLE, dropped(above), APART))
    assert (found.equal, found.ties) == (True, 1)


def test_what_a_box_at_the_limit_would_have_suppressed_is_explained_with_it():
    below, above = row(0, .8, 0, 0, .4, .19999), row(0, .8, 0, 0, .4, .20001)
    third = row(0, .6, 0, 0, .4, .15)
    found = compared(image(WHOLE, below, dropped(third)), image(WHOLE, dropped(above), third))
    assert (found.equal, found.ties) == (True, 2)


def test_of_two_tied_boxes_that_overlap_either_may_stay():
    one, other = row(0, .8, .1, .1, .5, .5), row(0, .8 - 2e-6, .1, .1, .5, .48)
    found = compared(image(one, dropped(other)), image(other, dropped(one)))
    assert (found.equal, found.ties) == (True, 2)
    # with scores that are apart it is a wrong answer, also where each side has them its own way
    lower = row(0, .7995, .1, .1, .5, .48)
    turned = image(row(0, .8, .1, .1, .5, .48), dropped(row(0, .7995, .1, .1, .5, .5)))
    found = compared(image(one, dropped(lower)), turned)
    assert (found.ties, found.mismatches) == (0, 2)


def test_a_score_at_the_threshold_may_be_there_or_not():
    faint = row(1, .010004, .6, .6, .8, .8)
    found = compared(image(WHOLE, faint), image(WHOLE))
    assert (found.equal, found.ties) == (True, 1)
    found = compared(image(WHOLE, row(1, .0102, .6, .6, .8, .8)), image(WHOLE))
    assert (found.ties, found.mismatches) == (0, 1)


def test_the_last_of_the_best_may_be_another_of_its_score():
    two = attrs.evolve(AT_HALF, nms_topk=2)
    one, other = APART, row(1, .7 - 4e-6, .1, .6, .3, .8)
    found = compared(image(WHOLE, one), image(WHOLE, other), two)
    assert (found.equal, found.ties) == (True, 2)
    # not while there is room for both
    found = compared(image(WHOLE, one), image(WHOLE, other), attrs.evolve(two, nms_topk=3))
    assert (found.ties, found.mismatches) == (0, 2)
    # behind the best MXNet leaves rows as they were before sorting: they are none
    found = compared(image(WHOLE, one, other), image(WHOLE, one), two)
    assert found == Parity(2)


def test_without_rules_nothing_excuses_a_missing_row():
    below, above = row(0, .8, 0, 0, .4, .19999), row(0, .8, 0, 0, .4, .20001)
    found = compared(image(WHOLE, below), image(WHOLE, dropped(above)), None)
    assert (found.ties, found.mismatches) == (0, 1)


# Wrong answers

def change(index, by):
    def made(rows):
        rows[1, index] += by
        return rows
    return made


def without(rows):
    return np.delete(rows, 1, axis=0)


def suppressed(rows):
    rows[1, 0] = -1
    return rows


def twice(rows):
    return np.insert(rows, 2, rows[1], axis=0)


def turned(rows):
    return rows[[1, 0, *range(2, len(rows))]]


def unsuppressed(rows):
    rows[np.flatnonzero(rows[:, 0] < 0)[0], 0] = rows[0, 0]
    return rows


WRONG = {
    "another class": (change(0, 1), "calls it class"),
    "another score": (change(1, 2e-3), "has nothing like it"),
    "a score that is no number": (change(1, np.nan), "has nothing like it"),
    "a box moved": (change(3, -2e-3), "has nothing like it"),
    "a box too large": (change(4, .1), "has nothing like it"),
    "a row lost": (without, "has nothing like it"),
    "a row suppressed": (suppressed, "drops it, and no overlap is at its limit"),
    "a row twice": (twice, "is in the other only"),
    "order": (turned, "stands in another place"),
    "a row not suppressed": (unsuppressed, "is in the other only"),
    "x for y": (lambda rows: rows[:, [0, 1, 3, 2, 5, 4]], "has nothing like it"),
    "nothing": (lambda rows: rows[:0], "has nothing like it")}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_found(name, seed):
    made, rules = predicted(seed, 1), attrs.evolve(RULES, nms_threshold=.2)
    truth = by_mxnet(made.prob, made.offsets, made.anchors, rules)
    assert len(kept(truth)[0]) > 30
    assert compare(truth, truth, rules) == Parity(len(kept(truth)[0]))
    spoil, sentence = WRONG[name]
    found = compare(truth, spoil(truth[0].copy())[None], rules)
    assert not found.equal
    assert any(sentence in each for each in found.sentences), found.sentences


def test_a_wrong_setting_is_found():
    """What another threshold, order of suppression or decoding would find is not the same."""
    made, rules = predicted(2, 2), RULES
    truth = by_mxnet(made.prob, made.offsets, made.anchors, rules)
    for changes in ({"threshold": .3}, {"nms_threshold": .4}, {"nms_topk": 100},
                    {"force_suppress": True}, {"variances": (.1, .1, .1, .1)}):
        wrong = by_mxnet(made.prob, made.offsets, made.anchors, attrs.evolve(rules, **changes))
        found = compare(truth, wrong, rules)
        assert found.mismatches > 0, changes
        assert all(each.startswith("image ") for each in found.sentences)
    assert len(found.sentences) == TOLD < found.mismatches


# Exported detectors

@pytest.fixture(scope="module")
def photos():
    """Photos where they are, drawn shapes elsewhere: (4, 128, 160, 3)."""
    from ssdreg_runtime.io.images import prepare

    from ssdreg.data.synthetic import draw_shapes
    files = sorted(PHOTOS.glob("*.jpg"))[:4] if PHOTOS.is_dir() else []
    rng = np.random.default_rng(0)
    given = files or [draw_shapes((192, 160), rng)[0] for _ in range(4)]
    return np.stack([prepare(each, (128, 160)).pixels for each in given])


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "inceptionv3", "vgg16_reduced"])
def test_one_of_each_kind_detects_the_same_on_every_runtime(backbone, photos, tmp_path):
    """The conformance kit does the same for all, on ONNX Runtime; benchmarks/parity.py in full."""
    source = random_deploy_model(backbone, 5, photos.shape[1:3])
    write_onnx(source, tmp_path / "model.onnx")
    found = compare_file(source, tmp_path / "model.onnx", photos[:2], threads=1)
    assert set(found) == {"onnxruntime", "openvino"}
    for each in found.values():
        assert each.equal, each.sentences
        assert each.boxes > 40
        assert each.ties < each.boxes / 10


@pytest.mark.parametrize("head", ["ssdlite"])
@pytest.mark.parametrize("batch", [3, None])
def test_heads_and_batches(head, batch, photos, tmp_path):
    source = random_deploy_model("resnet18", 5, photos.shape[1:3], head,
                                 overrides=Overrides(tap_strides=(8, 16)))
    write_onnx(source, tmp_path / "model.onnx", Options(batch=batch))
    for found in compare_file(source, tmp_path / "model.onnx", photos, threads=1).values():
        assert found.equal, found.sentences
        assert found.boxes > 80


def test_half_precision_differs_but_hardly(photos, tmp_path):
    source = random_deploy_model("resnet18", 5, photos.shape[1:3],
                                 overrides=Overrides(tap_strides=(8, 16)))
    write_onnx(source, tmp_path / "model.onnx", Options(batch=2, precision="float16"))
    found = compare_file(source, tmp_path / "model.onnx", photos[:2], 1, ["onnxruntime"])
    assert list(found) == ["onnxruntime"]
    assert 0 < found["onnxruntime"].score < HALF.value
    assert agrees(found["onnxruntime"], "float16")
    assert not agrees(Parity(100, mismatches=2), "float16")
    assert not agrees(Parity(1000, mismatches=1), "float32")


def test_a_file_of_another_network_is_found_out(photos, tmp_path):
    source = random_deploy_model("resnet18", 5, photos.shape[1:3],
                                 overrides=Overrides(tap_strides=(8, 16)))
    other = attrs.evolve(source, plan=attrs.evolve(source.plan, preprocessing=ssdreg.Preprocessing(
        (0, 0, 0), (1, 1, 1))))
    write_onnx(other, tmp_path / "model.onnx")
    assert facts_of(source).mean != facts_of(other).mean
    (found,) = compare_file(source, tmp_path / "model.onnx", photos[:1], 1, ["openvino"]).values()
    assert found.mismatches > 10
