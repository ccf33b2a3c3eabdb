"""The worst pictures of an evaluation, with boxes drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

from attrs import field, frozen
from PIL import Image
from ssdreg_runtime.draw.paint import draw_boxes, draw_truths

from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.worst import ImageErrors, rank_images

#: Pictures of a report, and how large they are, in pixels of the longer side.
MOST_PICTURES, LONGEST_SIDE = 12, 640
_QUALITY = 82


@frozen(eq=False)
class WorstPicture:
    """One image twice, as JPEG files: with what is there, and with what was found."""

    errors: ImageErrors
    truths: bytes = field(repr=False)
    detections: bytes = field(repr=False)


def draw_worst(comparison: Comparison, threshold: float, read: Callable[[int], Image.Image],
               most: int = MOST_PICTURES) -> tuple[WorstPicture, ...]:
    """Draw the images with most errors at a threshold on the score, the worst first.

    `read` gives the RGB image of a number, its place in the comparison. Raises what it raises.
    """
    drawn = []
    for errors in rank_images(comparison, threshold)[:most]:
        image, boxes = read(errors.number), comparison.images[errors.number]
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        drawn.append(WorstPicture(
            errors, _jpeg(draw_truths(image, boxes.truths, comparison.classes)),
            _jpeg(draw_boxes(image, boxes.detections, comparison.classes, threshold))))
    return tuple(drawn)


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def data_url(jpeg: bytes) -> str:
    """Return a JPEG file as an address that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
