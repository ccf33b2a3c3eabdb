"""Trainings by both engines from the same parameters with the same batches: how they part.

Rounding alone makes two trainings part, and a network enlarges it from step to step. How much, a
third training tells: MXNet's again, from parameters that differ by what rounding to float32 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from ssdreg.engines import MXNET
from ssdreg.registry.names import get_engine
from ssdreg.runs.params import Params
from ssdreg.training.learner import Learner, Lesson
from ssdreg.training.start import draw
from ssdreg.training.state_file import Sums

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Half the distance of neighbouring float32 numbers, as a share of them.
ROUNDING = 2.0**-24


@frozen
class Apart:
    """How far a training is from MXNet's after so many steps, as shares.

    - `loss`: of the step's loss, cross-entropy and boxes together
    - `parameters`: the distance of all that learnt (Euclidean norm), of what MXNet's have moved
      since the start
    - `worst`: the greatest difference of any parameter, of the greatest value of its array
    """

    steps: int
    loss: float
    parameters: float
    worst: float


@frozen
class Together:
    """How far PyTorch is from MXNet, and how far MXNet is from itself with another rounding."""

    torch: tuple[Apart, ...]
    rounding: tuple[Apart, ...]


def warmed_up(lesson: Lesson, batches: Iterable[mx.io.DataBatch], rate: float) -> Params:
    """Return random parameters after a step of MXNet's for each batch.

    Their running moments are those of pictures, so that they can be frozen.
    """
    learner = get_engine(MXNET).learn(lesson)
    learner.begin(draw(lesson))
    for batch in batches:
        learner.step(batch, rate)
    return learner.params()


def train_together(lesson: Lesson, start: Params, batches: Iterable[mx.io.DataBatch], rate: float,
                   shown: tuple[int, ...]) -> Together:
    """Train by both engines, and tell how far they are apart after `shown` steps.

    `batches` are at least as many as the last of them.
    """
    learners = [get_engine(name).learn(lesson) for name in (MXNET, "torch", MXNET)]
    for learner, params in zip(learners, (start, start, _rounded(start))):
        learner.begin(params)
    before, found = _values(start), ([], [])  # type: ignore[var-annotated]
    for step, batch in zip(range(1, shown[-1] + 1), batches):
        expected, *others = (learner.step(batch, rate) for learner in learners)
        if step in shown:
            right = _learnt(lesson, learners[0])
            for place, (sums, learner) in enumerate(zip(others, learners[1:])):
                found[place].append(_apart(step, sums, expected, _learnt(lesson, learner), right,
                                           before))
    return Together(tuple(found[0]), tuple(found[1]))


def _apart(steps: int, sums: Sums, expected: Sums, values: Mapping[str, np.ndarray],
           right: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> Apart:
    def loss(of: Sums) -> float:
        return of.mean_cls_loss + of.mean_loc_loss

    def distance(others: Mapping[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(np.square(array - others[name]).sum(dtype=np.float64)
                                 for name, array in right.items())))
    worst = max(float(np.abs(values[name] - array).max() / max(np.abs(array).max(), 1e-30))
                for name, array in right.items())
    return Apart(steps, abs(loss(sums) - loss(expected)) / loss(expected),
                 distance(values) / distance(before), worst)


def _rounded(params: Params) -> Params:
    """Return parameters each of which is up to half a float32 step away."""
    from ssdreg.mx import mx
    generator = np.random.default_rng(0)
    return Params({name: mx.nd.array(array.asnumpy() * (1 + 2 * ROUNDING * generator.choice(
        (-1, 1), array.shape))) for name, array in params.args.items()}, params.auxs)


def _learnt(lesson: Lesson, learner: Learner) -> dict[str, np.ndarray]:
    """Return the parameters that learn, as they are."""
    return {name: array.asnumpy() for name, array in learner.params().args.items()
            if name not in lesson.frozen and not name.endswith("bn_data_gamma")}


def _values(params: Params) -> dict[str, np.ndarray]:
    return {name: array.asnumpy() for name, array in params.args.items()}
