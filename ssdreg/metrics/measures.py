"""All measures of a detector together."""

from __future__ import annotations

import math

from attrs import field, frozen

from ssdreg.metrics.coco import CocoResult, evaluate_coco
from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.confusion import Confusion, measure_confusion
from ssdreg.metrics.thresholds import Curves, measure_curves
from ssdreg.metrics.tide import Errors, measure_errors
from ssdreg.metrics.voc import Evaluation, evaluate

#: The threshold of the confusion matrix where no threshold is better than another.
USUAL_THRESHOLD = 0.5


@frozen(eq=False)
class Measures:
    """The measures of a detector on a set of images.

    `voc` has the mAP at IoU 0.5 that decides which epoch is the best one; `coco` COCO's twelve
    figures; `curves` precision and recall over the threshold; `confusion` which classes are taken
    for which, at the threshold with the best F1 of all classes taken together; `errors` the errors
    by kind and what they cost.
    """

    voc: Evaluation
    coco: CocoResult = field(repr=False)
    curves: Curves = field(repr=False)
    confusion: Confusion = field(repr=False)
    errors: Errors = field(repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return what is not in `voc` for JSON, with None for nan and for no best threshold."""
        best = [curve.best() for curve in self.curves.classes]
        pooled = self.curves.pooled.best()
        return {
            "coco": self.coco.figures.to_dict(),
            "best_f1": {
                "all": pooled and pooled.to_dict(),
                "classes": [{"name": of_class.name,
                             "coco_ap": None if math.isnan(ap) else ap,
                             **(point.to_dict() if point else dict.fromkeys(
                                 ("threshold", "precision", "recall", "f1")))}
                            for of_class, ap, point
                            in zip(self.voc.classes, self.coco.class_ap, best)]},
            "confusion": self.confusion.to_dict(),
            "errors": self.errors.to_dict()}


def measure(comparison: Comparison) -> Measures:
    """Measure detections against ground truths in every way there is here."""
    images = comparison.images
    curves = measure_curves(comparison)
    best = curves.pooled.best()
    return Measures(
        voc=evaluate([image.detections for image in images], [image.truths for image in images],
                     comparison.classes),
        coco=evaluate_coco(comparison), curves=curves,
        confusion=measure_confusion(comparison, best.threshold if best else USUAL_THRESHOLD),
        errors=measure_errors(comparison))
