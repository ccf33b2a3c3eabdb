"""Uploaded pictures: bounded before they are decoded, prepared for the network, and drawn into.

All of it runs in worker threads.
"""

from __future__ import annotations

import io
import logging

from attrs import evolve, field, frozen
from PIL import Image, UnidentifiedImageError

from ssdreg_runtime.boxes.detections import Detections
from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.draw.paint import draw_boxes
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.io.images import PreparedImage
from ssdreg_runtime.io.pictures import read_picture
from ssdreg_runtime.serving.refusal import Refusal

_log = logging.getLogger(__name__)

#: The formats that are read, those of `ssdreg_runtime.io.pictures.IMAGE_SUFFIXES`, by Pillow's
#: names. Pillow has others that run programs or hold whole documents.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")

#: Labels are small letters, which Pillow's usual JPEG blurs.
_OPTIONS = {"jpeg": {"quality": 95}}


@frozen(eq=False)
class Upload:
    """A picture as it was sent, and its name in the answer."""

    name: str
    content: bytes = field(repr=False)


def prepare_upload(upload: Upload, detector: Detector, max_pixels: int) -> PreparedImage:
    """Decode a picture and resize it for the network.

    Raises Refusal: status 413 for more than `max_pixels`, 415 for an unknown format, 400 for one
    that is empty or damaged.
    """
    check_header(upload, max_pixels)
    try:
        sized = read_picture(io.BytesIO(upload.content), upload.name)
        return evolve(detector.prepare(sized.pixels), size=sized.size)
    except DataError as error:
        raise Refusal(400, str(error)) from error
    except Exception as error:
        # a damaged file can make Pillow's decoders raise anything; the request alone is to blame
        _log.warning("decoder failed", exc_info=True)
        raise _damaged(upload.name) from error


def check_header(upload: Upload, max_pixels: int) -> None:
    """Read a picture's size from its header; raise Refusal unless it may be decoded."""
    name = upload.name
    if not upload.content:
        raise Refusal(400, f"{name} is empty: send a picture")
    try:
        with Image.open(io.BytesIO(upload.content), formats=FORMATS) as image:
            width, height = image.size
    except UnidentifiedImageError as error:
        raise Refusal(415, f"{name} cannot be read as an image: its format is not known; send one "
                           f"of {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, "more", max_pixels) from error
    except Exception as error:
        # as above
        raise _damaged(name) from error
    if width * height > max_pixels:
        raise _too_many_pixels(name, f"{width}x{height}", max_pixels)


def _damaged(name: str) -> Refusal:
    return Refusal(400, f"{name} cannot be read as an image: it is damaged")


def _too_many_pixels(name: str, pixels: str, max_pixels: int) -> Refusal:
    return Refusal(413, f"{name} has {pixels} pixels, and the server takes pictures of "
                        f"{max_pixels} at most: send a smaller one")


def draw_upload(upload: Upload, detections: Detections, threshold: float, look: Look,
                picture_format: str) -> bytes:
    """Return a picture with its detections drawn into it, as a file of ``png`` or ``jpeg``.

    It is decoded once more, since no decoded picture waits in memory for the network.
    """
    image = Image.fromarray(read_picture(io.BytesIO(upload.content), upload.name).pixels)
    drawn = draw_boxes(image, detections.rows, detections.classes, threshold, look)
    file = io.BytesIO()
    drawn.save(file, picture_format.upper(), **_OPTIONS.get(picture_format, {}))
    return file.getvalue()
