"""Which layers to keep in float32, so that detections stay as good as they were.

A choice must meet two conditions, both on the calibration images. The mAP may fall by `drop` at
most. That alone says little, since the mAP of a hundred images is itself uncertain by that much;
so what is detected must also agree with what float32 detects: taken for the truth, with boxes
that overlap by three quarters and not by half, it must be found again but for a few times `drop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from attrs import field, frozen
from ssdreg_runtime.backends import Backend

from ssdreg.metrics.voc import Accumulator, Evaluation
from ssdreg.metrics.voc import evaluate as average_precision
from ssdreg.quantization.images import Example
from ssdreg.quantization.sensitivity import LayerNoise, worst

#: Shares of all noise that are taken away by keeping layers, one after another until it is enough.
SHARES = (0.5, 0.75, 0.9, 0.97)
#: The score from which on a detection of float32 counts as one to be found again, and how well.
_SCORE, _OVERLAP = 0.3, 0.75
#: What may be missing of the agreement with float32, in multiples of the drop that is allowed.
_SLACK = 2.5


@frozen
class Trial:
    """One choice of layers to keep in float32, and the accuracy of the detector with it.

    `map` is that on the calibration images, `agreement` the mAP of its detections where those of
    float32 are taken for the truth; nan without objects, or without detections.
    """

    kept: tuple[str, ...]
    map: float
    agreement: float


@frozen(eq=False)
class Exact:
    """The results of float32 on the calibration images: its mAP, and detections by image."""

    map: float
    _found: tuple[np.ndarray, ...] = field(repr=False)

    @classmethod
    def of(cls, backend: Backend, examples: Sequence[Example], classes: Sequence[str]) -> Exact:
        """Run float32 on the calibration images."""
        rows = _detect(backend, examples)
        sure = tuple(detections[(detections[:, 0] >= 0) & (detections[:, 1] >= _SCORE)]
                     for detections in rows)
        return cls(_map(rows, examples, classes),
                   tuple(detections[:, [0, 2, 3, 4, 5]] for detections in sure))

    def trial(self, kept: tuple[str, ...], backend: Backend, examples: Sequence[Example],
              classes: Sequence[str]) -> Trial:
        """Run another detector on the same images and compare."""
        rows = _detect(backend, examples)
        agreement = average_precision(rows, self._found, classes, _OVERLAP).map
        return Trial(kept, _map(rows, examples, classes), agreement)

    def accepts(self, trial: Trial, drop: float) -> bool:
        """Tell whether a trial loses at most `drop`; what could not be measured is no loss."""
        losses = (self.map - trial.map, (1 - trial.agreement) / _SLACK)
        return all(math.isnan(loss) or loss <= drop for loss in losses)

    def best(self, trials: Sequence[Trial], drop: float) -> Trial:
        """Return the first trial that is accepted, without one that which agrees most.

        Where no agreement is a number, it is the one with the best mAP. A number always counts for
        more than none: comparisons with nan are false, and the first trial would win them all.
        """
        accepted = [trial for trial in trials if self.accepts(trial, drop)]
        if accepted:
            return accepted[0]
        return max(trials, key=lambda trial: (_known(trial.agreement), _known(trial.map)))


def _known(value: float) -> float:
    """Put nan below every number."""
    return -math.inf if math.isnan(value) else value


def _detect(backend: Backend, examples: Iterable[Example]) -> list[np.ndarray]:
    return [backend.run(example.image)[0] for example in examples]


def _map(rows: Sequence[np.ndarray], examples: Sequence[Example], classes: Sequence[str]) -> float:
    return average_precision(rows, [example.boxes for example in examples], classes).map


def evaluate(backends: Sequence[Backend], examples: Iterable[Example],
             classes: Sequence[str]) -> list[Evaluation]:
    """Measure the average precision of several backends on the same images, read only once."""
    accumulators = [Accumulator(classes) for _ in backends]
    for example in examples:
        for accumulator, backend in zip(accumulators, backends):
            accumulator.add(backend.run(example.image)[0], example.boxes)
    return [accumulator.result() for accumulator in accumulators]


def choices(measure: Callable[[], Sequence[LayerNoise]]) -> Iterator[tuple[str, ...]]:
    """Give what to keep, more and more of it; layers are measured only if nothing is too little."""
    yield ()
    layers = measure()
    before: tuple[str, ...] = ()
    for share in SHARES:
        kept = tuple(layer.name for layer in worst(layers, share))
        if kept != before:
            yield kept
        before = kept
