"""Conformance. The deeper networks of a family are built, and proven on the graph, but not run.

They are made by the same code, of the same operators, as the shallower ones that are examined as a
whole: a step, a file or an export of theirs can go wrong in no way of its own.
"""

from __future__ import annotations

import pytest

from ssdreg.testing import (
    BACKBONE_CHECKS,
    HEAD_CHECKS,
    Examination,
    conformance,
    subjects_of,
)

DISTRIBUTION = "ssdreg-resnet"
DEEPER = ("resnet101_v1b", "resnet152_v1b", "resnext101_32x8d")
EXAMINED = [subject.title for subject in subjects_of(DISTRIBUTION)
            if subject.title not in DEEPER]
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
