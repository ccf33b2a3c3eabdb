"""Picture files as they lie on the disk: their size, and how their camera was held."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from attrs import frozen
from PIL import Image
from ssdreg_runtime.io.decoding import UNREADABLE, open_picture

__all__ = ["SIDEWAYS", "UNREADABLE", "UPRIGHT", "Edges", "Measured", "Size", "measure",
           "orientation_of", "turn", "turn_edges"]

UPRIGHT = 1
_ORIENTATION = 0x0112  # EXIF tag
#: Orientations that swap width and height.
SIDEWAYS = (5, 6, 7, 8)

Size = tuple[int, int]
Edges = tuple[float, float, float, float]

_TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
          4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
          6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_90}


@frozen
class Measured:
    """The size (width, height) of a picture as stored, and EXIF's orientation, 1 to 8."""

    size: Size
    orientation: int = UPRIGHT

    @property
    def upright(self) -> Size:
        """The size of the picture when it is turned as its camera noted."""
        width, height = self.size
        return (height, width) if self.orientation in SIDEWAYS else (width, height)


def measure(file: Path) -> Measured:
    """Read a picture's size and orientation, and none of its pixels.

    Raises one of `UNREADABLE` for what is no picture.
    """
    with open_picture(file) as image:
        return Measured(image.size, orientation_of(image))


def orientation_of(image: Image.Image) -> int:
    """Return EXIF's orientation of an open picture, 1 where there is none that is known.

    A PNG's pixels are decoded for it only where its file holds one behind them.
    """
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        stream = getattr(image, "fp", None)
        if stream is None or not _has_exif(stream):
            return UPRIGHT
    value = image.getexif().get(_ORIENTATION, UPRIGHT)
    return value if value in _TURNS else UPRIGHT


def _has_exif(stream: BinaryIO) -> bool:
    """Tell whether a PNG has a chunk ``eXIf``, and leave the stream where it was."""
    place = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return True
            stream.seek(length + 4, 1)
        return False
    finally:
        stream.seek(place)


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture's pixels as this orientation asks."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def turn_edges(edges: Edges, orientation: int, size: Size) -> Edges:
    """Turn a box on a stored picture of `size` with the picture; see `turn`."""
    (x1, y1, x2, y2), (width, height) = edges, size
    if orientation in SIDEWAYS:
        x1, y1, x2, y2, width, height = y1, x1, y2, x2, height, width
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return x1, y1, x2, y2
