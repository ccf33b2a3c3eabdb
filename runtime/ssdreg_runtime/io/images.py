"""Images as networks take them: read from files, Pillow or NumPy, and resized as in training."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Union

import numpy as np
from attrs import field, frozen
from PIL import Image, ImageOps, UnidentifiedImageError

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.decoding import UNREADABLE, Picture, decode_and_say
from ssdreg_runtime.io.pixels import to_rgb

#: An image: a file's name, an image of Pillow, an array (h, w, 3) or (h, w) of uint8.
ImageLike = Union[str, "os.PathLike[str]", Image.Image, np.ndarray]

#: The fixed point of OpenCV's bilinear resize: weights are whole 2048ths.
_WEIGHT_ONE = 2048

#: Numbers of a block between the two passes of the resize.
_BLOCK_NUMBERS = 1 << 16


@frozen(eq=False)
class PreparedImage:
    """An image ready for the network: `pixels` (H, W, 3) uint8, and its own (width, height)."""

    pixels: np.ndarray = field(repr=False)
    size: tuple[int, int]


@frozen(eq=False)
class SizedPixels:
    """The pixels of an image, (h, w, 3) uint8, RGB, and its own (width, height).

    Pixels are fewer than that where a large picture was decoded at a part of its size.
    """

    pixels: np.ndarray = field(repr=False)
    size: tuple[int, int]

    @classmethod
    def all_of(cls, pixels: np.ndarray) -> SizedPixels:
        """Return pixels none of which were left out."""
        return cls(pixels, (pixels.shape[1], pixels.shape[0]))


def prepare(image: ImageLike, data_shape: tuple[int, int]) -> PreparedImage:
    """Read an image and resize it to `data_shape`, (height, width); raise DataError if it is bad.

    `Detector.detect` does this itself; a stream does it before, in worker threads.
    """
    sized = read_sized(image)
    return PreparedImage(resize(sized.pixels, data_shape), sized.size)


def read(image: ImageLike) -> np.ndarray:
    """Return an image as RGB, (h, w, 3) uint8.

    A file is turned upright as its camera noted; an image of Pillow is taken as it lies, because
    boxes are to be drawn into that. An array is (h, w, 3) uint8, red first, or grey,
    (h, w) or (h, w, 1). Of 16 bits in a file the upper 8 are kept, transparency is dropped. Of a
    JPEG that is cut short by its end, what is there is taken, and logged; see
    `ssdreg_runtime.io.decoding`, which also says which JPEGs are decoded at a part of their size.
    Raises DataError, a sentence, for anything else, for a picture that is too large to be decoded,
    and for an image without pixels.
    """
    return read_sized(image).pixels


def read_sized(image: ImageLike) -> SizedPixels:
    """Return an image as `read` does, with its own size; see there."""
    if isinstance(image, np.ndarray):
        return SizedPixels.all_of(_from_array(image))
    if isinstance(image, Image.Image):
        return SizedPixels.all_of(_from_pillow(image))
    if isinstance(image, (str, os.PathLike)):
        return _from_file(Path(image))
    raise DataError(f"{type(image).__name__} is no image: give a file's name, an image of Pillow, "
                    f"or an array of NumPy (height, width, 3) of uint8")


def upright(picture: Picture) -> SizedPixels:
    """Return a decoded picture's pixels, turned as its camera noted; its image is turned with them.
    """
    image, is_reduced = picture.image, picture.is_reduced
    is_wide = image.width > image.height
    # in place, because it would copy an image that needs no turning
    ImageOps.exif_transpose(image, in_place=True)
    pixels = np.asarray(to_rgb(image))
    if not is_reduced:
        return SizedPixels.all_of(pixels)
    sideways = (image.width > image.height) != is_wide
    return SizedPixels(pixels, picture.size[::-1] if sideways else picture.size)


def _from_file(file: Path) -> SizedPixels:
    if file.is_dir():
        raise DataError(f"{file} is a folder: give the images in it")
    if not file.exists():
        raise DataError(f"{file} is not there: give an image")
    try:
        return upright(decode_and_say(file.read_bytes(), str(file)))
    except UnidentifiedImageError as error:
        # Pillow's message only repeats the file's name
        raise DataError(f"{file} cannot be read as an image: its format is not known") from error
    except UNREADABLE as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    if 0 in image.size:
        raise _without_pixels(*image.size)
    try:
        return np.asarray(to_rgb(image))
    except DataError:
        raise
    # Pillow reads an open image's pixels only here
    except UNREADABLE as error:
        raise DataError(f"the image cannot be read: {error}") from error


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8:
        hint = ("; multiply fractions of 0 to 1 by 255" if array.dtype.kind == "f" else "")
        raise DataError(f"an array of {array.dtype} is no image: give uint8, 0 to 255{hint}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise DataError(f"an array of shape {array.shape} is no image: give (height, width, 3), "
                        f"red first, or (height, width) for grey")
    if array.size == 0:
        raise _without_pixels(array.shape[1], array.shape[0])
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)


def _without_pixels(width: int, height: int) -> DataError:
    return DataError(f"an image of {width}x{height} pixels has none: give one with at least one")


def resize(pixels: np.ndarray, data_shape: tuple[int, int]) -> np.ndarray:
    """Resize (h, w, 3) uint8 to `data_shape`, (height, width), as training images are.

    This is the bilinear interpolation of OpenCV for 8 bits, `cv2.resize` with `INTER_LINEAR`, to
    the bit, which `mx.image.imresize(..., interp=1)` is: no smoothing where it makes smaller,
    weights of 11 bits, a horizontal pass rounded down to 7 bits behind the point and a vertical
    one to 2. Pillow's smooths, and the network has not seen such images.
    """
    height, width = data_shape
    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    columns = _columns(width, pixels.shape[1])
    resized = np.empty((height, width * 3), np.uint8)
    # a block at a time, so that what lies between the passes stays in the processor's cache
    step = max(1, _BLOCK_NUMBERS // (width * 3))
    for start, band in enumerate(_bands(height, pixels.shape[0], step)):
        _resize_band(pixels, columns, band, resized[start * step:start * step + step])
    return resized.reshape(height, width, 3)


def _resize_band(pixels: np.ndarray, columns: _AxisWeights, band: _Band, out: np.ndarray) -> None:
    """Fill the resized rows `out` (n, W * 3) from the image (h, w, 3)."""
    # a row as its w * 3 numbers, which NumPy goes through in one sweep
    source_rows = pixels[band.rows].reshape(-1, pixels.shape[1] * 3)
    # "clip", because only that mode writes without a second buffer; all indices are inside
    near = source_rows.take(columns.first, axis=1, mode="clip")
    across = np.multiply(near, columns.first_weight, dtype=np.int32)
    source_rows.take(columns.second, axis=1, mode="clip", out=near)
    across += np.multiply(near, columns.second_weight, dtype=np.int32)
    across >>= 4
    above, below = across[band.axis.first], across[band.axis.second]
    above *= band.axis.first_weight
    above >>= 16
    below *= band.axis.second_weight
    below >>= 16
    above += below
    above += 2
    above >>= 2
    out[:] = above


@frozen(eq=False)
class _AxisWeights:
    """For each output index of an axis: the two input indices, and their weights."""

    first: np.ndarray
    second: np.ndarray
    first_weight: np.ndarray
    second_weight: np.ndarray


@frozen(eq=False)
class _Band:
    """Some output rows: the input rows they need, and weights by their indices among those."""

    rows: np.ndarray | slice
    axis: _AxisWeights


@lru_cache(maxsize=64)
def _columns(out_size: int, in_size: int) -> _AxisWeights:
    before, share = _source_positions(out_size, in_size)
    # beyond the first and last column there is only that column
    share[(before < 0) | (before >= in_size - 1)] = 0
    channels = np.arange(3)
    first, second = ((np.clip(place, 0, in_size - 1)[:, None] * 3 + channels).ravel()
                     for place in (before, before + 1))
    first_weight, second_weight = (np.repeat(weight, 3) for weight in _fixed_point_weights(share))
    return _AxisWeights(first, second, first_weight, second_weight)


@lru_cache(maxsize=64)
def _bands(out_size: int, in_size: int, step: int) -> tuple[_Band, ...]:
    before, share = _source_positions(out_size, in_size)
    # here OpenCV weighs the first and last row with itself, which rounds differently
    upper, lower = np.clip(before, 0, in_size - 1), np.clip(before + 1, 0, in_size - 1)
    weights = [weight[:, None] for weight in _fixed_point_weights(share)]
    bands = []
    for start in range(0, out_size, step):
        part = slice(start, start + step)
        needed_rows, inverse = np.unique(np.stack([upper[part], lower[part]]), return_inverse=True)
        first, second = inverse.reshape(2, -1)
        contiguous = needed_rows[-1] - needed_rows[0] == len(needed_rows) - 1
        rows = slice(int(needed_rows[0]), int(needed_rows[-1]) + 1) if contiguous else needed_rows
        bands.append(_Band(rows, _AxisWeights(first, second, weights[0][part], weights[1][part])))
    return tuple(bands)


def _source_positions(out_size: int, in_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each output pixel, the input pixel before it, and the share of the next one."""
    # the order of operations and the float32 are OpenCV's; other ones round differently
    scale = 1.0 / (out_size / in_size)
    position = ((np.arange(out_size) + 0.5) * scale - 0.5).astype(np.float32)
    before = np.floor(position)
    return before.astype(np.intp), position - before


def _fixed_point_weights(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    one = np.float32(_WEIGHT_ONE)
    return (np.rint((np.float32(1) - share) * one).astype(np.int32),
            np.rint(share * one).astype(np.int32))
