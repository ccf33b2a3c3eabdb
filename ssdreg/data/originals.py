"""The images of a packed data set as they were packed: their sizes, and their pixels."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image
from ssdreg_runtime.io.decoding import decode_picture, open_picture
from ssdreg_runtime.io.pixels import to_rgb

from ssdreg.data.packed import Packed
from ssdreg.data.pictures import UNREADABLE
from ssdreg.data.recordio import RecordIndex, image_of, index_records
from ssdreg.errors import DataError


def image_sizes(packed: Packed) -> tuple[tuple[int, int], ...]:
    """Return width and height in pixels of every image, in the order of the records.

    They are read from the images' headers, without decoding, and remembered until the file
    changes. Raises DataError for a record that holds no image.
    """
    return _sizes(index_records(packed.rec))


@functools.lru_cache(maxsize=16)
def _sizes(index: RecordIndex) -> tuple[tuple[int, int], ...]:
    sizes = []
    for number in range(len(index.offsets)):
        with _open(index, number) as image:
            sizes.append(image.size)
    return tuple(sizes)


def read_image(packed: Packed, number: int) -> Image.Image:
    """Return the image of a record, counted from 0, in RGB and in its original size.

    Raises DataError for a record that holds no image, or one that cannot be decoded.
    """
    return Image.fromarray(read_pixels(index_records(packed.rec), number))


def read_pixels(index: RecordIndex, number: int) -> np.ndarray:
    """Return the image of a record as training, evaluation and pictures of it have it.

    (h, w, 3) uint8, RGB, as it is stored: what was packed is upright. Raises DataError for a record
    that holds no image, or one that cannot be decoded.
    """
    try:
        image = decode_picture(image_of(index, number)).image
        return np.asarray(to_rgb(image))
    except UNREADABLE as error:
        raise DataError(f"{index.path}: the image of record {number} cannot be decoded ({error}); "
                        f"pack it again") from error


def _open(index: RecordIndex, number: int) -> Image.Image:
    try:
        return open_picture(io.BytesIO(image_of(index, number)))
    except UNREADABLE as error:
        raise DataError(f"{index.path}: record {number} holds no image that can be read "
                        f"({error}); pack it again") from error
