"""The learning-rate range test: steps with ever higher rates, until the loss diverges.

As Smith, Cyclical Learning Rates for Training Neural Networks, 2017; but the rate rises
exponentially, because rates are compared by their ratios.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg import data as datasets
from ssdreg.errors import Interrupted, RunError
from ssdreg.progress import Progress, Telling, Work
from ssdreg.training.learner import Learner, prepare_lesson
from ssdreg.training.start import draw
from ssdreg.training.stopping import StopRequest
from ssdreg.training.trainer import epoch_seed
from ssdreg.tuning.curve import RateCurve, is_divergent
from ssdreg.tuning.prepared import Prepared

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The rates that are tried, from the first to the last step.
FIRST, LAST = 1e-6, 1.0
#: Steps from the one to the other, as time permits.
FEWEST, MOST = 40, 200
#: Steps with the first rate, by which the time of one is measured; the very first builds buffers.
_PRACTICE = 3


@frozen
class RangeTest:
    """The losses of a range test, and how many seconds an image took, its reading included."""

    curve: RateCurve
    image_seconds: float


def measure_rates(prepared: Prepared, seconds: float, progress: Progress | None = None
                  ) -> RangeTest:
    """Train a network a few steps with rates from `FIRST` to `LAST`; return the losses.

    They are about as many as fit into `seconds`, within `FEWEST` and `MOST`. The batch is that of
    the default recipe. Raises RunError where the losses of the first steps are no numbers already,
    Interrupted after Ctrl-C.
    """
    with closing(_batches(prepared)) as batches, StopRequest() as stop:
        first = next(batches)
        learner = _learner(prepared, first)
        measured: list[float] = []
        for _ in range(_PRACTICE):
            began = time.monotonic()
            _loss(learner, next(batches), FIRST)
            measured.append(time.monotonic() - began)
        steps = max(FEWEST, min(MOST, int(seconds / min(measured))))
        rates: list[float] = []
        losses: list[float] = []
        began = time.monotonic()
        with Telling(progress, Work(what="range test", unit="steps", total=steps)) as telling:
            for index in range(steps):
                if stop.requested:
                    raise Interrupted
                rate = FIRST * (LAST / FIRST)**(index / (steps - 1))
                loss = _loss(learner, next(batches), rate)
                if not math.isfinite(loss):
                    break
                rates.append(rate)
                losses.append(loss)
                telling.tell(done=index + 1, note=f"rate {rate:.2g}, loss {loss:.3f}")
                if is_divergent(losses):
                    break
    if len(rates) < 3:
        raise RunError("the loss is not a number in the first steps already: the starting "
                       "parameters or the images hold values that are no numbers")
    seconds = (time.monotonic() - began) / (len(rates) * prepared.default.batch_size)
    return RangeTest(RateCurve(tuple(rates), tuple(losses)), seconds)


def _learner(prepared: Prepared, batch: mx.io.DataBatch) -> Learner:
    options, choice = prepared.default, prepared.choice
    shapes = {"data": tuple(batch.data[0].shape), "label": tuple(batch.label[0].shape)}
    lesson = prepare_lesson(prepared.network, options, choice.devices,
                            choice.precision(options.precision), shapes)
    learner: Learner = choice.engine.learn(lesson)
    learner.begin(draw(lesson, prepared.taken.params if prepared.taken else None))
    return learner


def _loss(learner: Learner, batch: mx.io.DataBatch, rate: float) -> float:
    """Learn from a batch; return the loss that it had before."""
    sums = learner.step(batch, rate)
    return sums.mean_cls_loss + sums.mean_loc_loss


def _batches(prepared: Prepared) -> Generator[mx.io.DataBatch, None, None]:
    """Yield batches of one epoch after the other, without an end."""
    plan, options, data = prepared.network.plan, prepared.default, prepared.data
    epoch = 0
    while True:
        batches = datasets.open_train(data.train, plan.data_shape, options.batch_size,
                                      data.augmentation, plan.preprocessing,
                                      seed=epoch_seed(options.seed, epoch))
        try:
            yield from batches
        finally:
            batches.close()
        epoch += 1
