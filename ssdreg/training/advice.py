"""What a training reached, and what would likely help it further, from figures that it has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ssdreg.anchors.fit import small_boxes
from ssdreg.anchors.match import matches
from ssdreg.detector.plan import Plan
from ssdreg.runs.log import Epoch, best_of, validated

#: Boxes that are looked at; of more, so many evenly spaced ones.
MOST_BOXES = 20_000
#: The share of objects from which on one thing that is wrong with them is worth a sentence.
WORTH_SAYING = 0.05
#: Fewer objects of a class than this teach it badly.
FEW_OBJECTS = 50
#: An AP50 from which on objects are found.
FOUND = 0.5
#: The share of AP50 that AP75 has at least where boxes are not loose.
TIGHT = 0.6
#: A change of AP that is no noise.
CHANGE = 0.01


def reached(log: Sequence[Epoch], average: float) -> str:
    """Return the sentence that says how well a training's best epoch detects.

    `average` are the epochs over which parameters were averaged. Empty without a validation.
    """
    best = best_of(log)
    if best is None:
        return ""
    figures = f"mAP {best.map:.3f} at IoU 0.5"
    if not math.isnan(best.ap) and best.coco is not None:
        figures += (f", COCO's AP {best.ap:.3f} (AP50 {best.coco.ap50:.3f}, "
                    f"AP75 {best.coco.ap75:.3f})")
    params = f", with parameters averaged over {_epochs(average)}" if average else ""
    return f"reached {figures} in epoch {best.epoch} of {log[-1].epoch}{params}"


def advise(log: Sequence[Epoch], plan: Plan, boxes: np.ndarray, classes: Sequence[str]
           ) -> tuple[str, ...]:
    """Return a sentence for each thing that likely holds a detector back.

    `log` is its training's, `boxes` (n, 5) are those it was trained on, as `ssdreg.data.boxes` has
    them, of `classes`.
    """
    return (*_of_training(log), *_of_boxes(plan, boxes, classes))


def _of_training(log: Sequence[Epoch]) -> Iterator[str]:
    entries, best = validated(log), best_of(log)
    if best is None or best.coco is None or math.isnan(best.ap):
        return
    before = [entry.ap for entry in entries if entry.epoch <= 0.75 * entries[-1].epoch]
    if best is entries[-1] and before and best.ap > max(before) + CHANGE:
        yield (f"the last epoch is the best, and AP rose by {best.ap - max(before):.3f} in the "
               f"last quarter: more --epochs will help")
    elif entries[-1].ap < best.ap - 2 * CHANGE:
        yield (f"AP has fallen by {best.ap - entries[-1].ap:.3f} since epoch {best.epoch}: more "
               f"images, or --augment ssd, would help; --patience ends a training that falls")
    if best.coco.ap50 > FOUND and best.coco.ap75 < TIGHT * best.coco.ap50:
        yield (f"objects are found, but boxes are loose (AP75 {best.coco.ap75:.3f} of AP50 "
               f"{best.coco.ap50:.3f}): a larger --data-shape and more --epochs place them better")


def _of_boxes(plan: Plan, boxes: np.ndarray, classes: Sequence[str]) -> Iterator[str]:
    counts = np.bincount(boxes[:, 0].astype(int), minlength=len(classes))
    rare = [f"{name} ({count})" for name, count in zip(classes, counts) if count < FEW_OBJECTS]
    if rare:
        yield f"there are few objects to learn from of {', '.join(rare)}: more images of them help"
    looked_at = boxes[::math.ceil(len(boxes) / MOST_BOXES)]
    small = float(small_boxes(looked_at, plan).mean())
    unmatched = 1 - matches(looked_at, plan).share
    if small > WORTH_SAYING:
        yield (f"{small:.0%} of the objects are small for an input of {plan.data_shape[0]}x"
               f"{plan.data_shape[1]}: a larger --data-shape, or a finer stride in --tap-strides, "
               f"finds more of them")
    elif unmatched > WORTH_SAYING:
        yield (f"no anchor matches {unmatched:.0%} of the objects, which are hard to learn so: "
               f"ssdreg data anchors shows which, and what other sizes do")


def _epochs(count: float) -> str:
    return f"{count:g} epoch" if count == 1 else f"{count:g} epochs"
