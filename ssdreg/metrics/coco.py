"""COCO's twelve figures.

They are defined by ``COCOeval`` of pycocotools, which Lin et al., "Microsoft COCO: Common Objects
in Context", ECCV 2014, and https://cocodataset.org/#detection-eval describe:

- The detections of a class in an image, best first and 100 at most, each take the free object of
  their class that they overlap most, if the IoU reaches the threshold.
- AP is the mean of the interpolated precision at the recalls 0, 0.01 ... 1; the mean is then taken
  over the classes with objects and over the ten IoU thresholds 0.5, 0.55 ... 0.95.
- AR is the recall with 1, 10 or 100 detections an image and class, averaged likewise.
- Small, medium and large are areas of objects up to 32 and 96 pixels squared, in the original
  image. Objects of another size are ignored, and so are unmatched detections of another size.

A difficult object is what COCO calls a crowd: it counts neither as an object nor against the
detections that lie in it, as many as there are, where the share of the *detection's* area that
lies inside reaches the threshold. VOC asks for the IoU there.

COCO takes the area of an object from its outline; here there are boxes only, so it is the box's.
The computation is faster-coco-eval's, whose results are those of pycocotools.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from ssdreg.metrics.comparison import Comparison, ImageBoxes

#: What COCOeval gives where nothing could be measured.
_UNDEFINED = -1


@frozen
class CocoFigures:
    """COCO's twelve figures, 0 to 1; nan where there are no objects to measure them on.

    `ap` to `ar_large` in the order of pycocotools' ``COCOeval.stats``: average precision over the
    IoU thresholds 0.5 to 0.95, at 0.5, at 0.75, and of small, medium and large objects; average
    recall with 1, 10 and 100 detections, and, with 100, of small, medium and large objects.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    ar_small: float
    ar_medium: float
    ar_large: float

    def to_dict(self) -> dict[str, float | None]:
        """Return the figures by name for JSON, which has no nan: None stands for it."""
        return {name: None if math.isnan(value) else value
                for name, value in attrs.asdict(self).items()}


#: The names of the twelve figures, in their order.
FIGURES = tuple(field.name for field in attrs.fields(CocoFigures))


@frozen
class CocoResult:
    """COCO's figures, and the AP (IoU 0.5 to 0.95, all areas) of every class, nan without objects.
    """

    figures: CocoFigures
    class_ap: tuple[float, ...]


def evaluate_coco(comparison: Comparison) -> CocoResult:
    """Return COCO's figures of detections against ground truths.

    Equal to those of pycocotools' ``COCOeval`` with ``iouType="bbox"`` and its default parameters,
    for boxes in pixels and difficult objects as ``iscrowd``.
    """
    from faster_coco_eval import COCO, COCOeval_faster
    classes = len(comparison.classes)
    if not comparison.objects().any():
        return CocoResult(CocoFigures(*[math.nan] * len(FIGURES)), (math.nan,) * classes)
    evaluation = COCOeval_faster(COCO(_dataset(comparison, _objects)),
                                 COCO(_dataset(comparison, _detections)), "bbox",
                                 print_function=_print_nothing)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = CocoFigures(*(_known(value) for value in evaluation.stats[:len(FIGURES)]))
    # thresholds, recalls, classes, areas (all of them first), most detections (100 last)
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
    return CocoResult(figures, tuple(
        _known(of_class.mean()) if (of_class > _UNDEFINED).all() else math.nan
        for of_class in (precision[:, :, index] for index in range(classes))))


def _dataset(comparison: Comparison, rows_of: Any) -> dict[str, Any]:
    """Return annotations as a file of COCO has them: numbers begin at 1, which 0 would break."""
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(comparison.images, 1):
        for annotation in rows_of(image):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
    return {"images": [{"id": number} for number in range(1, len(comparison.images) + 1)],
            "categories": [{"id": index + 1, "name": name}
                           for index, name in enumerate(comparison.classes)],
            "annotations": annotations}


def _objects(image: ImageBoxes) -> list[dict[str, Any]]:
    boxes, areas = _sides(image, image.truths[:, 1:5])
    return [{"category_id": int(label) + 1, "bbox": box, "area": area, "iscrowd": int(difficult)}
            for label, difficult, box, area
            in zip(image.truths[:, 0].tolist(), image.truths[:, 5].tolist(), boxes, areas)]


def _detections(image: ImageBoxes) -> list[dict[str, Any]]:
    boxes, areas = _sides(image, image.detections[:, 2:])
    return [{"category_id": int(label) + 1, "score": score, "bbox": box, "area": area,
             "iscrowd": 0}
            for label, score, box, area
            in zip(image.detections[:, 0].tolist(), image.detections[:, 1].tolist(), boxes, areas)]


def _sides(image: ImageBoxes, shares: np.ndarray) -> tuple[list[list[float]], list[float]]:
    """Return boxes in pixels as COCO writes them: left, top, width, height; and their areas."""
    pixels = image.pixels(shares)
    pixels[:, 2:] -= pixels[:, :2]
    return pixels.tolist(), pixels[:, 2:].prod(axis=1).tolist()


def _known(value: float) -> float:
    return math.nan if value == _UNDEFINED else float(value)


def _print_nothing(*_: object) -> None:
    """Take what the evaluation would print."""
