"""Images that 8-bit scales are taken from, and that their effect is measured on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from attrs import field, frozen

from ssdreg.data import DetectionIter, Packed, open_eval
from ssdreg.errors import DataError
from ssdreg.registry.preprocessing import Preprocessing

#: What leaves pixels as they are.
_AS_THEY_ARE = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
#: Images that are passed over for each that is taken, at most: they have to be decoded too.
_LONGEST_STEP = 8


@frozen(eq=False)
class Example:
    """An image (1, H, W, 3) uint8, resized, with its boxes (M, 6) as evaluation reads them."""

    image: np.ndarray = field(repr=False)
    boxes: np.ndarray = field(repr=False)


def read_examples(packed: Packed, data_shape: tuple[int, int],
                  count: int | None = None) -> Iterator[Example]:
    """Read the images of a data set in their order, resized to `data_shape` (height, width).

    With `count`, only so many, spread over the data set. Raises DataError when one cannot be read.
    """
    batches = open_eval(packed, data_shape, 1, _AS_THEY_ARE)
    try:
        step = 1 if count is None else min(max(len(batches) // count, 1), _LONGEST_STEP)
        yield from islice(_examples(batches, step), count)
    finally:
        batches.close()


def _examples(batches: DetectionIter, step: int) -> Iterator[Example]:
    for index, batch in enumerate(batches):
        if index % step == 0:
            pixels = batch.data[0].asnumpy().transpose(0, 2, 3, 1)
            yield Example(np.ascontiguousarray(pixels.astype(np.uint8)),
                          batch.label[0].asnumpy()[0])


def normalized(batches: Iterable[np.ndarray], preprocessing: Preprocessing) -> Iterator[np.ndarray]:
    """Turn images (B, H, W, 3) uint8 into a network's input (B, 3, H, W) float32.

    Raises DataError when there are none.
    """
    none = True
    for batch in batches:
        none = False
        yield preprocessing.normalized(batch)
    if none:
        raise DataError("8 bits take their scales from images, and there are none")
