"""Conformance. The deeper networks of a family are built, and proven on the graph, but not run.

They are made by the same code, of the same operators, as the shallower ones that are examined as a
whole: a step, a file or an export of theirs can go wrong in no way of its own.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from ssdreg.testing import (
    BACKBONE_CHECKS,
    HEAD_CHECKS,
    Examination,
    conformance,
    subjects_of,
)

DISTRIBUTION = "ssdreg-gluon"
#: Patterns, as `subjects_of` takes them.
DEEPER = ("gluon.resnet101_v?", "gluon.resnet152_v?", "gluon.vgg1[369]*", "gluon.densenet1[56]?",
          "gluon.densenet2*")
EXAMINED = [subject.title for subject in subjects_of(DISTRIBUTION, "gluon.*")
            if not any(fnmatchcase(subject.title, pattern) for pattern in DEEPER)]
#: Those that take the graph alone.
OF_THE_GRAPH = tuple(check for check in BACKBONE_CHECKS if check not in HEAD_CHECKS)

test_conformance = conformance(DISTRIBUTION, *EXAMINED)


@pytest.mark.parametrize("subject", subjects_of(DISTRIBUTION, *DEEPER),
                         ids=lambda subject: subject.title)
def test_a_deeper_one_is_what_it_declares(subject):
    examination = Examination(subject)
    for check in OF_THE_GRAPH:
        verdict = examination.verdict(check)
        assert verdict.passed, verdict.sentence
