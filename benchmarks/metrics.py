"""What the measures of an evaluation cost, in processor time.

    python benchmarks/metrics.py [--images 1000] [--detections 100] [--classes 20] [--rounds 3]

Draws detections about random objects, measures them in every way, and prints the least seconds of
the rounds. Training takes the first three every epoch, `ssdreg eval` all of them. Where pycocotools
is installed its figures are computed too, and the largest difference is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable

import attrs
import numpy as np

from ssdreg.metrics import coco
from ssdreg.metrics.comparison import Comparison, compare
from ssdreg.metrics.confusion import measure_confusion
from ssdreg.metrics.thresholds import measure_curves
from ssdreg.metrics.tide import measure_errors
from ssdreg.metrics.voc import evaluate

#: Objects an image, on average: as many as COCO has.
OBJECTS = 7
SIZE = (640, 480)


def draw(images: int, detections: int, classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw objects, and detections of which most lie about an object and have its class."""
    random = np.random.default_rng(0)
    boxes = []
    for _ in range(images):
        count = int(random.integers(1, 2 * OBJECTS))
        corners, sides = random.uniform(0, 0.6, (count, 2)), random.uniform(0.02, 0.4, (count, 2))
        objects = np.column_stack([corners, corners + sides])
        labels = random.integers(0, classes, count)
        about = random.integers(0, count, detections)
        moved = objects[about] + random.normal(0, 0.03, (detections, 4))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 0.005)
        named = np.where(random.random(detections) < 0.7, labels[about],
                         random.integers(0, classes, detections))
        boxes.append((np.column_stack([named, random.random(detections), moved]),
                      np.column_stack([labels, objects, random.random(count) < 0.05])))
    return boxes


def by_pycocotools(comparison: Comparison) -> np.ndarray:
    """Return the twelve figures as pycocotools computes them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for rows_of in (coco._objects, coco._detections):
            side = COCO()
            side.dataset = coco._dataset(comparison, rows_of)
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


def least(rounds: int, work: Callable[[], object]) -> float:
    """Return the least processor time of some rounds, in seconds."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("images", 1000), ("detections", 100), ("classes", 20), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    boxes = draw(options.images, options.detections, options.classes)
    names = [f"class{index}" for index in range(options.classes)]
    sizes = [SIZE] * options.images
    comparison = compare(boxes, sizes, names)
    detections = [image.detections for image in comparison.images]
    truths = [image.truths for image in comparison.images]
    coco.evaluate_coco(compare(boxes[:1], sizes[:1], names))  # what is imported is imported
    works = {"gathering": lambda: compare(boxes, sizes, names),
             "VOC": lambda: evaluate(detections, truths, names),
             "COCO": lambda: coco.evaluate_coco(comparison),
             "thresholds": lambda: measure_curves(comparison),
             "confusion": lambda: measure_confusion(comparison, 0.5),
             "errors by kind": lambda: measure_errors(comparison)}
    print(f"{options.images} images with {options.detections} detections each, "
          f"{options.classes} classes; the least of {options.rounds} rounds, processor time")
    for name, work in works.items():
        print(f"{name:16} {least(options.rounds, work):6.2f} s")
    try:
        theirs = by_pycocotools(comparison)
    except ImportError as error:
        print(f"not compared with pycocotools: {error}")
        return
    print(f"{'pycocotools':16} {least(1, lambda: by_pycocotools(comparison)):6.2f} s")
    mine = np.nan_to_num(attrs.astuple(coco.evaluate_coco(comparison).figures), nan=-1)
    print(f"largest difference of a COCO figure: {np.abs(mine - theirs).max():.1e}")


if __name__ == "__main__":
    main()
