"""Conformance of engines: MXNet passes, and what an engine does wrong is named."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

import ssdreg
from ssdreg.mx import mx
from ssdreg.runs.params import Params
from ssdreg.testing import ENGINE_CHECKS, EngineExamination, EngineSubject
from ssdreg.training.mxnet_learner import MXNetLearner

MXNET = ssdreg.get_engine("mxnet")


OWN = EngineExamination(EngineSubject("ssdreg", MXNET))
CHECKS = {check.name: check for check in ENGINE_CHECKS}


def issue_of(check, **changes):
    """Return what a check says of MXNet with some of its functions replaced."""
    examination = EngineExamination(
        EngineSubject("mine", attrs.evolve(MXNET, name="mine", **changes)))
    # built once
    examination.__dict__.update(detector=OWN.detector, batch=OWN.batch, start=OWN.start)
    return examination.verdict(CHECKS[check]).issue or ""


def test_mxnet_keeps_all_promises():
    assert [OWN.verdict(check).sentence for check in ENGINE_CHECKS] == [
        f"ssdreg: engine mxnet: {name}: ok" for name in CHECKS]


class TwiceTheRate(MXNetLearner):
    def step(self, batch, rate):
        return super().step(batch, 2 * rate)


class WithoutMoments(MXNetLearner):
    def params(self):
        params = super().params()
        return Params(params.args, {name: mx.nd.zeros_like(array)
                                    for name, array in params.auxs.items()})


class OneTooMany(MXNetLearner):
    def params(self):
        params = super().params()
        return Params({**params.args, "extra": mx.nd.zeros((1,))}, params.auxs)


class Thaws(MXNetLearner):
    def __init__(self, lesson):
        super().__init__(attrs.evolve(lesson, frozen=()))


class ForgetsMomentum(MXNetLearner):
    def optimizer(self):
        return {name: mx.nd.zeros_like(array) for name, array in super().optimizer().items()}


class StartsAnew(MXNetLearner):
    def restore(self, params, optimizer, updates):
        self.begin(params)


@pytest.mark.parametrize(("check", "changes", "issue"), [
    ("devices", {"unmet": lambda devices: ""}, "says that it computes on cuda:4096"),
    ("devices", {"precisions": lambda device: ("bfloat16",)}, "float32 must be there"),
    ("devices", {"precisions": lambda device: ("float32", "int4")}, "it trains in float32, int4"),
    ("steps", {"learner": TwiceTheRate}, "from the other engine's after a step"),
    ("steps", {"learner": WithoutMoments}, "moving_"),
    ("steps", {"learner": OneTooMany}, "'extra' is missing or too much"),
    ("freezing", {"learner": Thaws}, "is frozen and has changed"),
    ("restoring", {"learner": ForgetsMomentum}, "takes other steps than what was saved"),
    ("taking over", {"learner": StartsAnew}, "from the other engine's after a step"),
])
def test_what_is_wrong_is_named(check, changes, issue):
    assert issue in issue_of(check, **changes)


def open_shifted(model, device, threads, precision):
    """Open MXNet's backend, whose boxes are then a little to the right."""
    backend = MXNET.open_backend(model, device, threads, precision)
    run = backend.run

    def shifted(images):
        detections = run(images)
        return np.where(np.arange(6) == 2, detections + 0.01, detections).astype("float32")
    backend.run = shifted
    return backend


def test_other_detections_are_named():
    assert "boxes are not MXNet's" in issue_of("detecting", backend=open_shifted)


def test_an_engine_that_cannot_compute_here_is_not_looked_at():
    engine = attrs.evolve(MXNET, name="mine", unmet=lambda devices: "needs a license")
    verdict = EngineExamination(EngineSubject("mine", engine)).verdict(ENGINE_CHECKS[0])
    assert verdict.sentence == "mine: engine mine: devices: not looked at: it needs a license"
