"""What a detector finds in a data set, beside what is there."""

from __future__ import annotations

from ssdreg_runtime.backends import Backend

from ssdreg.data import Packed
from ssdreg.data.originals import image_sizes
from ssdreg.metrics.comparison import Comparison, compare
from ssdreg.quantization.images import read_examples


def settings(backend: Backend) -> tuple[tuple[str, str], ...]:
    """Return what decides the detections of a backend, (name, value), in words."""
    facts = backend.facts
    height, width = facts.data_shape
    return (("backbone", facts.backbone), ("head", facts.head),
            ("input, height x width", f"{height}x{width}"),
            ("classes", ", ".join(facts.classes)),
            ("backend", backend.name), ("precision", backend.precision),
            ("least score", f"{facts.threshold:g}"),
            ("suppression from IoU", f"{facts.nms_threshold:g}"),
            ("suppressed across classes", "yes" if facts.force_suppress else "no"),
            ("detections at most", "all" if facts.nms_topk < 0 else str(facts.nms_topk)),
            ("mean of red, green, blue", ", ".join(f"{value:g}" for value in facts.mean)),
            ("divided by", ", ".join(f"{value:g}" for value in facts.std)))


def compare_on(backend: Backend, packed: Packed) -> Comparison:
    """Detect in every image of a data set, in its order.

    `backend` takes one image at a time. Raises DataError when an image cannot be read.
    """
    facts = backend.facts
    return compare(((backend.run(example.image)[0], example.boxes)
                    for example in read_examples(packed, facts.data_shape)),
                   image_sizes(packed), facts.classes)
