"""Conformance of formats: each promise broken once."""

from __future__ import annotations

import attrs
import pytest
from support import drawn

import ssdreg
from ssdreg.data.annotation import AnnotatedSet
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO, POSSIBLE
from ssdreg.testing import FORMAT_CHECKS, FormatExamination, FormatSubject

COCO = ssdreg.get_data_format("coco")


def verdicts(**changes):
    """Examine a format that is COCO's but for these changes; return what is wrong by check."""
    changed = attrs.evolve(COCO, name="changed", **changes)
    examination = FormatExamination(FormatSubject("mine", changed))
    return {check.name: examination.verdict(check) for check in FORMAT_CHECKS}


def test_what_keeps_all_promises():
    own = FormatExamination(FormatSubject("ssdreg", COCO))
    assert all(own.verdict(check).sentence.endswith(": ok") for check in FORMAT_CHECKS)


def test_without_a_sample_little_is_looked_at():
    found = verdicts(sample=None)
    assert all(verdict.unexamined or verdict.failed_needs for verdict in found.values())
    assert "it declares no sample" in found["reads"].sentence


@pytest.mark.parametrize(("recognize", "sentence"), [
    (lambda contents: CERTAIN, "takes an empty folder for a data set of its own"),
    (lambda contents: NO, "does not recognise its own sample: 0 is neither POSSIBLE (1) nor"),
    (lambda contents: POSSIBLE if contents.files else NO, "its own sample may as well be coco"),
    (lambda contents: CERTAIN if contents.files else NO, "its own sample may as well be coco")])
def test_recognition(recognize, sentence):
    assert sentence in verdicts(recognize=recognize)["recognises"].issue


def test_anothers_data_set_is_left_to_it():
    """It knows its own sample, a text file, and takes every other set too."""
    def sample(folder):
        (folder / "mine.txt").write_text("mine")
    found = verdicts(sample=sample, recognize=lambda contents: CERTAIN if contents.files else NO)
    assert found["recognises"].issue == "it takes a data set of voc for its own"


def whole(path, split, columns):
    return ssdreg.get_data_format("coco").read_from(path, split, columns)


def without_other_labels(path, split, columns):
    annotated = whole(path, split, columns)
    return annotated if split is None else attrs.evolve(annotated, labels={"cat": 1})


def half(path, split, columns):
    annotated = whole(path, split, columns)
    return annotated if split is None else attrs.evolve(annotated, pictures=annotated.pictures[:1])


def far_away(path, split, columns):
    annotated = whole(path, split, columns)
    first, *others = annotated.pictures
    item, *rest = first.objects
    moved = attrs.evolve(first, objects=(attrs.evolve(item, numbers=(900, 900, 5, 5)), *rest))
    return attrs.evolve(annotated, pictures=(moved, *others))


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"read": lambda *_: None}, "reads a NoneType, which is no AnnotatedSet"),
    ({"read": far_away}, "of its own sample is left out: instances_train2017.json: object 1 (cat)"),
    ({"splits": lambda path: ("val2017", "train2017")}, "are not sorted, each once"),
    ({"read": without_other_labels}, "its split 'train2017' knows other labels than the whole"),
    ({"read": half}, "its splits train2017, val2017 are not together the pictures that are read")])
def test_reading(changes, sentence):
    found = verdicts(**changes)
    assert sentence in found["reads"].issue
    assert found["damage"].failed_needs == ("reads",)


def test_a_split_that_is_not_there():
    def any_split(path, split, columns):
        return whole(path, split if split in COCO.splits_of(path) else None, columns)

    def no_name(path, split, columns):
        if split not in (None, *COCO.splits_of(path)):
            raise DataError("there is no such split")
        return whole(path, split, columns)
    assert "reads a split 'no such split', which is not there" in verdicts(
        read=any_split)["splits"].issue
    assert "refused without the name of the data set" in verdicts(read=no_name)["splits"].issue


def test_damage():
    def raises(path, split, columns):
        try:
            return whole(path, split, columns)
        except DataError as error:
            if "no split" in str(error):
                raise
            raise KeyError("images") from error

    def silent(path, split, columns):
        try:
            return whole(path, split, columns)
        except DataError as error:
            if "no split" in str(error):
                raise
            return AnnotatedSet(path, "all", (), {})
    name = "annotations/instances_train2017.json"
    assert f"with {name} empty it raises KeyError" in verdicts(read=raises)["damage"].issue
    assert f"with {name} that is no text it loses objects and says nothing" in verdicts(
        read=silent)["damage"].issue


def test_the_samples_are_one_data_set(tmp_path):
    """Whatever the format, the same boxes."""
    for format in ssdreg.list_data_formats()[:8]:
        writer = drawn.FORMATS[format.name][0]
        assert writer.__name__ == format.sample.rpartition(":")[2]
