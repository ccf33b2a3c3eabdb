"""Picture files decoded, and JPEG files that are cut short by their end decoded as far as they go.

A copy that broke off lacks a few bytes, and most of the picture is there. Training, evaluation and
detection all come here, so that such a file is a picture in all of them, or in none.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from attrs import field, frozen
from PIL import Image

_log = logging.getLogger(__name__)

#: Pixels of one picture that are decoded, 8192 x 8192: each takes up to 12 bytes meanwhile.
MAX_PIXELS = 2**26
#: Pixels of a JPEG that is decoded at a part of its size. Pillow itself opens no more than that.
MAX_REDUCED_PIXELS = 178_956_970
#: What is left of them then, at most: more than any network takes.
_REDUCED_PIXELS = 2**24
#: The parts of its size that a JPEG can be decoded at.
_REDUCTIONS = (2, 4, 8)
_JPEGS = ("JPEG", "MPO")

#: What Pillow raises of a file that is no picture or a damaged one, and `open_picture`.
UNREADABLE = (OSError, ValueError, SyntaxError, struct.error)

#: What may be missing of a cut picture: a twentieth of its pixels.
MOST_MISSING = 0.05

_END = b"\xff\xd9"
#: A pixel that differs more than this between two endings of a file is not told by the file.
_TOLD = 16
#: Rows of two pictures that are compared at once.
_ROWS = 256

#: Pillow's modules, whose warnings are left out: of many pixels, which are refused here or reduced,
#: and of damage beside the pixels, which are all there.
_PILLOW = r"PIL\."
#: Python's entry for that filter.
_NO_WARNING = ("ignore", None, Warning, re.compile(_PILLOW), 0)


@frozen(eq=False)
class Picture:
    """A decoded picture file.

    - `image`: loaded; `content`: the bytes that it was decoded from
    - `missing`: what is missing of it, in words, empty for nothing
    - `size`: width and height as the file states them, which a reduced image is smaller than
    """

    image: Image.Image
    content: bytes = field(repr=False)
    missing: str
    size: tuple[int, int]

    @property
    def is_reduced(self) -> bool:
        """Whether the image was decoded at a part of its size."""
        return self.image.size != self.size


def open_picture(source: Path | BinaryIO) -> Image.Image:
    """Open a picture without decoding it.

    Raises what `decode_picture` raises, also for a picture that is too large to be decoded.
    """
    if _NO_WARNING not in warnings.filters:
        # behind all others, so that whoever asks for these warnings gets them
        warnings.filterwarnings("ignore", module=_PILLOW, append=True)
    try:
        image = Image.open(source)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"it has more pixels than are decoded of one picture, {MAX_PIXELS:,}, or "
                         f"{MAX_REDUCED_PIXELS:,} of a JPEG: save it smaller") from error
    width, height = image.size
    most = MAX_REDUCED_PIXELS if _can_be_reduced(image) else MAX_PIXELS
    if width * height > most:
        image.close()
        raise ValueError(f"it has {width}x{height} pixels, more than the {most:,} that are decoded "
                         f"of one picture: save it smaller")
    return image


def _can_be_reduced(image: Image.Image) -> bool:
    # of a progressive one, all coefficients of the full size are in memory before the first pixel
    return image.format in _JPEGS and not image.info.get("progressive")


def decode_picture(content: bytes) -> Picture:
    """Decode a picture file.

    A JPEG that lacks at most `MOST_MISSING` of its pixels at its end gets the end it lacks. One of
    more than `MAX_PIXELS` is decoded at a half, a quarter or an eighth of its size. Raises what
    Pillow raises for any other that is damaged, and for what is no picture, and ValueError, a
    sentence, for one that is too large.
    """
    try:
        image, size = _load(content)
        return Picture(image, content, "", size)
    except OSError as error:
        if not content.startswith(b"\xff\xd8") or "truncated" not in str(error):
            raise
        missing = _missing(content)
        if missing > MOST_MISSING:
            raise
        whole = content + _END
        image, size = _load(whole)
        return Picture(image, whole, f"cut short by its end, which takes {missing:.1%} of its "
                                     f"pixels; decoded as far as it goes", size)


def decode_and_say(content: bytes, name: str) -> Picture:
    """Decode a picture file as `decode_picture` does, and log what is missing of it."""
    picture = decode_picture(content)
    if picture.missing:
        _log.warning("ssdreg: %s is %s", name, picture.missing)
    return picture


def _load(content: bytes) -> tuple[Image.Image, tuple[int, int]]:
    """Return the image of a file, loaded, and the size that the file states."""
    image = open_picture(io.BytesIO(content))
    width, height = size = image.size
    if width * height > MAX_PIXELS:
        part = next((part for part in _REDUCTIONS
                     if width * height <= _REDUCED_PIXELS * part**2), _REDUCTIONS[-1])
        image.draft(None, (width // part, height // part))
    image.load()
    return image, size


def _missing(content: bytes) -> float:
    """Return the share of a JPEG's pixels that depend on what comes behind its end.

    1 where what is there is no picture.
    """
    random = np.random.default_rng(0)
    # 255 would begin a marker
    noise = random.integers(0, 255, len(content), dtype=np.uint8).tobytes()
    # a last byte that would begin a marker too
    readable = content.rstrip(b"\xff")
    try:
        one, other = (np.asarray(_load(readable + ending)[0].convert("RGB"))
                      for ending in (_END, noise + _END))
    except (OSError, SyntaxError, ValueError):
        return 1.0
    differing = 0
    for start in range(0, len(one), _ROWS):
        apart = np.abs(one[start:start + _ROWS].astype(np.int16) - other[start:start + _ROWS])
        differing += int((apart.max(axis=2) > _TOLD).sum())
    return differing / (one.shape[0] * one.shape[1])
