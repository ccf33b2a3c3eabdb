"""Picture files decoded, and JPEG files that are cut short by their end decoded as far as they go.

A copy that broke off lacks a few bytes, and most of the picture is there. Training, evaluation and
detection all come here, so that such a file is a picture in all of them, or in none.
"""

from __future__ import annotations

import io
import logging

import numpy as np
from PIL import Image

_log = logging.getLogger(__name__)

#: What may be missing of a cut picture: a twentieth of its pixels.
MOST_MISSING = 0.05

_END = b"\xff\xd9"
#: A pixel that differs more than this between two endings of a file is not told by the file.
_TOLD = 16


def decode(content: bytes) -> tuple[Image.Image, bytes, str]:
    """Decode a picture file, and return the image, loaded, with the bytes that it was decoded from.

    A JPEG that lacks at most `MOST_MISSING` of its pixels at its end gets the end it lacks; what is
    missing is then said in words, which are empty otherwise. Raises what Pillow raises for any
    other that is damaged, and for what is no picture.
    """
    try:
        return _load(content), content, ""
    except OSError as error:
        if not content.startswith(b"\xff\xd8") or "truncated" not in str(error):
            raise
        missing = _missing(content)
        if missing > MOST_MISSING:
            raise
        whole = content + _END
        return _load(whole), whole, (f"cut short by its end, which takes {missing:.1%} of its "
                                     f"pixels; decoded as far as it goes")


def decode_and_say(content: bytes, name: str) -> Image.Image:
    """Decode a picture file as `decode` does, and log what is missing of it."""
    image, _, cut = decode(content)
    if cut:
        _log.warning("ssdreg: %s is %s", name, cut)
    return image


def _load(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def _missing(content: bytes) -> float:
    """Return the share of a JPEG's pixels that depend on what comes behind its end.

    1 where what is there is no picture.
    """
    random = np.random.default_rng(0)
    # 255 would begin a marker
    noise = random.integers(0, 255, len(content), dtype=np.uint8).tobytes()
    # a last byte that would begin a marker too
    told = content.rstrip(b"\xff")
    try:
        pixels = [np.asarray(_load(told + ending).convert("RGB")).astype(np.int16)
                  for ending in (_END, noise + _END)]
    except (OSError, SyntaxError, ValueError):
        return 1.0
    return float((np.abs(pixels[0] - pixels[1]).max(axis=2) > _TOLD).mean())
