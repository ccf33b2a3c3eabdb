"""The images that a detector does worst on."""

from __future__ import annotations

from attrs import frozen

from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.confusion import BACKGROUND, assign


@frozen
class ImageErrors:
    """What is wrong in one image, at a threshold on the score; `number` is its place, from 0.

    `missed` objects that no detection took, `confused` ones that a detection of another class
    took, and detections of `background`, which took none: all as the confusion matrix counts them.
    """

    number: int
    missed: int
    confused: int
    background: int

    @property
    def errors(self) -> int:
        """How many there are in all."""
        return self.missed + self.confused + self.background


def rank_images(comparison: Comparison, threshold: float,
                iou_threshold: float = 0.5) -> tuple[ImageErrors, ...]:
    """Return the images with errors, those with most first; of equal ones the first in order."""
    wrong = []
    for number, image in enumerate(comparison.images):
        assigned = assign(image, threshold, iou_threshold)
        took = assigned.takes >= 0
        named = image.detections[assigned.detections[took], 0]
        wrong.append(ImageErrors(
            number, missed=len(assigned.missed),
            confused=int((named != image.truths[assigned.takes[took], 0]).sum()),
            background=int((assigned.takes == BACKGROUND).sum())))
    return tuple(sorted((image for image in wrong if image.errors),
                        key=lambda image: -image.errors))
