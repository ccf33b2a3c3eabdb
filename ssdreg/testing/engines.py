"""The checks of every engine: held against MXNet, step by step, on a small detector."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import attrs
import numpy as np

from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.random_params import random_params
from ssdreg.detector.built import BuiltBackbone
from ssdreg.engines import MXNET
from ssdreg.errors import ConformanceError, UnexaminedError
from ssdreg.exporting.parity import compare
from ssdreg.registry.device import CPU, CUDA, Device
from ssdreg.registry.engine import Engine
from ssdreg.registry.names import get_engine
from ssdreg.runs.params import Params
from ssdreg.testing.examination import Check, Verdicts
from ssdreg.testing.one_step import input_images, labels, noise_images
from ssdreg.testing.small import SmallDetector, smallest_detector
from ssdreg.testing.verdict import EngineSubject
from ssdreg.training.learner import Learner, Lesson, prepare_lesson
from ssdreg.training.network import Network
from ssdreg.training.options import PRECISIONS, TrainOptions
from ssdreg.training.start import draw
from ssdreg.training.state_file import Sums

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The backbone of the detector that engines are examined on: a small one that is always there.
BACKBONE = "resnet18"
#: A device that no computer has.
NO_DEVICE = Device(CUDA, 4096)
STEPS, RATE = 3, 1e-3
#: The greatest differences, as shares: of a loss, and of what a parameter changed by in a step
#: (Euclidean norm). A value near 0 in front of a ReLU, rounded to the other side, turns a gradient.
LOSSES, CHANGES = 1e-3, 0.1
#: What share of itself a parameter may differ by that hardly changes.
ROUNDING = 1e-6


class EngineExamination(Verdicts):
    """An engine under examination, with a small detector to train and to run."""

    def __init__(self, subject: EngineSubject) -> None:
        super().__init__(subject)
        self.engine = subject.engine

    @cached_property
    def detector(self) -> SmallDetector:
        """The detector that is trained and run."""
        return smallest_detector(BuiltBackbone.of(BACKBONE))

    @cached_property
    def batch(self) -> mx.io.DataBatch:
        """A batch of noise with an object on every level."""
        from ssdreg.mx import mx
        plan = self.detector.plan
        objects = labels(plan)
        difficult = np.zeros((*objects.shape[:2], 1), "float32")
        return mx.io.DataBatch([mx.nd.array(input_images(plan))],
                               [mx.nd.array(np.concatenate((objects, difficult), 2))], pad=0)

    def lesson(self, **options: object) -> Lesson:
        """Return what is to be trained, in float32, by a recipe with these options."""
        recipe = TrainOptions(batch_size=len(self.batch.data[0]), precision="float32",
                              **{"optimizer": "sgd", **options})  # type: ignore[arg-type]
        network = Network(self.detector.plan, self.detector.train, self.detector.deploy)
        shapes = {"data": self.batch.data[0].shape, "label": self.batch.label[0].shape}
        return prepare_lesson(network, recipe, (Device(CPU),), "float32", shapes)

    @cached_property
    def start(self) -> Params:
        """The parameters that every training starts from."""
        return draw(self.lesson())

    def learner(self, lesson: Lesson, engine: Engine | None = None) -> Learner:
        """Return a learner of the engine, or of another, at the start."""
        learner = (engine or self.engine).learn(lesson)
        learner.begin(self.start)
        return learner

    def steps(self, learner: Learner, count: int = STEPS) -> list[Sums]:
        """Learn from the batch several times."""
        return [learner.step(self.batch, RATE) for _ in range(count)]


def answers_for_devices(examination: EngineExamination) -> None:
    """Ask whether it computes on a processor, and on a GPU that is not there."""
    engine = examination.engine
    reason = engine.why_not((NO_DEVICE,))
    if not reason:
        raise ConformanceError(f"it says that it computes on {NO_DEVICE}, which nobody has")
    processor = engine.why_not((Device(CPU),))
    if processor:
        raise UnexaminedError(f"it {processor}")
    there = engine.precisions_on(Device(CPU))
    unknown = {*there} - {*PRECISIONS}
    if "float32" not in there or unknown:
        raise ConformanceError(f"it trains in {', '.join(there) or 'nothing'} on a processor: "
                               f"float32 must be there, and of others only "
                               f"{', '.join(PRECISIONS[2:])}")


def steps_as_mxnet(examination: EngineExamination) -> None:
    """Take a few steps by both: losses, parameters and running moments must be MXNet's."""
    lesson = examination.lesson()
    ours = examination.learner(lesson)
    theirs = examination.learner(lesson, get_engine(MXNET))
    for number in range(1, STEPS + 1):
        mine, right = (examination.steps(learner, 1)[0] for learner in (ours, theirs))
        for name, value in attrs.asdict(right).items():
            if abs(getattr(mine, name) - value) > LOSSES * max(1.0, abs(value)):
                raise ConformanceError(f"{name} of step {number} is {getattr(mine, name):g}, and "
                                       f"{value:g} by MXNet")
        if number == 1:  # later ones enlarge rounding
            _hold_changes(examination.start, ours.params(), theirs.params())


def _hold_changes(start: Params, ours: Params, theirs: Params) -> None:
    for before, mine, right in zip(*(attrs.astuple(params, recurse=False)
                                     for params in (start, ours, theirs))):
        if mine.keys() != right.keys():
            names = sorted({*mine} ^ {*right})
            raise ConformanceError(f"its parameters are not the symbol's: {names[0]!r} is missing "
                                   f"or too much")
        for name in right:
            values = right[name].asnumpy()
            change = np.linalg.norm(values - before[name].asnumpy())
            distance = np.linalg.norm(mine[name].asnumpy() - values)
            if distance > CHANGES * change + ROUNDING * np.linalg.norm(values):
                raise ConformanceError(f"{name!r} is {distance:g} from the other engine's after "
                                       f"a step, which changed it by {change:g}")


def leaves_what_is_frozen(examination: EngineExamination) -> None:
    """Freeze a stage: its parameters and running moments must stay to the bit."""
    lesson = examination.lesson(freeze_stages=1)
    learner = examination.learner(lesson)
    examination.steps(learner, 1)
    after = learner.params()
    moved = [name for name in lesson.frozen
             if not np.array_equal(after.args[name].asnumpy(),
                                   examination.start.args[name].asnumpy())]
    if moved:
        raise ConformanceError(f"{moved[0]!r} is frozen and has changed")


def goes_on_from_a_state(examination: EngineExamination) -> None:
    """Save after some steps and go on, by itself and by MXNet: the same steps as without."""
    for optimizer in ("sgd", "adam"):
        lesson = examination.lesson(optimizer=optimizer)
        whole = examination.learner(lesson)
        examination.steps(whole)
        params, state = _copied(whole.params()), _copied_arrays(whole.optimizer())
        expected = examination.steps(whole)
        again = examination.engine.learn(lesson)
        again.restore(params, state, STEPS)
        if examination.steps(again) != expected:
            raise ConformanceError(f"with {optimizer}, what is restored takes other steps than "
                                   f"what was saved")
    lesson = examination.lesson()
    whole, other = examination.learner(lesson), get_engine(MXNET).learn(lesson)
    examination.steps(whole)
    _hold_next_step(examination, whole, other)


def _copied(params: Params) -> Params:
    return Params(_copied_arrays(params.args), _copied_arrays(params.auxs))


def _copied_arrays(arrays: Mapping[str, mx.nd.NDArray]) -> dict[str, mx.nd.NDArray]:
    return {name: array.copy() for name, array in arrays.items()}


def goes_on_from_mxnet(examination: EngineExamination) -> None:
    """Go on from a state of MXNet's."""
    lesson = examination.lesson()
    theirs = examination.learner(lesson, get_engine(MXNET))
    examination.steps(theirs)
    _hold_next_step(examination, theirs, examination.engine.learn(lesson))


def _hold_next_step(examination: EngineExamination, one: Learner, other: Learner) -> None:
    """Take a step by one, and by another that goes on from its state: they must be the same."""
    before = _copied(one.params())
    other.restore(before, _copied_arrays(one.optimizer()), STEPS)
    for learner in (one, other):
        examination.steps(learner, 1)
    _hold_changes(before, one.params(), other.params())


def detects_as_mxnet(examination: EngineExamination) -> None:
    """Detect in noise images by both: the same rows in the same order."""
    detector = examination.detector
    plan, symbol = detector.plan, detector.deploy
    model = DeployModel("the detector", symbol, random_params(symbol, plan.data_shape), plan,
                        tuple(f"class {index}" for index in range(plan.num_classes)))
    images = noise_images(plan)
    mine, right = (engine.open_backend(model, Device(CPU), None, "float32").run(images)
                   for engine in (examination.engine, get_engine(MXNET)))
    if mine.shape != right.shape or mine.dtype != np.float32:
        raise ConformanceError(f"its detections are {mine.dtype} {mine.shape}, MXNet's float32 "
                               f"{right.shape}")
    parity = compare(right, mine, model.post_processing)
    if not parity.equal:
        raise ConformanceError(f"{parity.mismatches} of {parity.boxes} boxes are not MXNet's; "
                               f"{parity.sentences[0]}")


DEVICES = Check("devices", "it says which devices and precisions it has", answers_for_devices)
STEPPING = Check("steps", "it learns what MXNet learns", steps_as_mxnet, (DEVICES,))
FREEZING = Check("freezing", "what is frozen stays to the bit", leaves_what_is_frozen, (STEPPING,))
RESTORING = Check("restoring", "what is saved goes on to the bit, by MXNet too",
                  goes_on_from_a_state, (STEPPING,))
TAKING_OVER = Check("taking over", "it goes on where MXNet stopped", goes_on_from_mxnet,
                    (STEPPING,))
DETECTING = Check("detecting", "it detects what MXNet detects", detects_as_mxnet, (DEVICES,))

ENGINE_CHECKS = (DEVICES, STEPPING, FREEZING, RESTORING, TAKING_OVER, DETECTING)
