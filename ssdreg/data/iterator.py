"""Batches for training and evaluation: images decoded, augmented and collected by threads.

What a batch holds depends on the data, the settings and the seed, and not on the threads or on the
batches before it: the order is drawn once over the whole data set, and every image has a generator
of its own, made from the seed and its place in the order. Images are decoded as detection decodes
them. Pillow and NumPy let other threads run while they work, so that threads are enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen
from ssdreg_runtime.system.threads import usable_processors

from ssdreg.data.augmentation import Augmentation
from ssdreg.data.originals import read_pixels
from ssdreg.data.packed import Packed
from ssdreg.data.recordio import RecordIndex, index_records, objects_of
from ssdreg.data.transforms import augment, fit
from ssdreg.errors import DataError
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: More threads than this bring little: a batch is prepared faster than most devices learn from it.
MOST_THREADS = 8

#: Floats in a row of a batch label: class, x1, y1, x2, y2, difficult.
LABEL_COLUMNS = 6
#: Images of a mosaic.
_MOSAIC = 4


@frozen
class _Source:
    """What all batches of one iterator share; `learned` are the records that may be drawn."""

    index: RecordIndex = field(repr=False)
    learned: np.ndarray = field(repr=False)
    data_shape: tuple[int, int]
    batch_size: int
    max_objects: int
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    seed: int = 0


@frozen
class _Batch:
    """The records of one batch, the place of its first in the order, and repeats at its end."""

    records: tuple[int, ...]
    first: int
    pad: int = 0

    def part(self, number: int, size: int) -> _Batch:
        """Return one of the parts of this size that it is divided into."""
        begin = number * size
        repeated = begin + size - (len(self.records) - self.pad)
        return _Batch(self.records[begin:begin + size], self.first + begin,
                      min(max(0, repeated), size))


class DetectionIter:
    """Batches of images and boxes, as ``mx.mod.Module`` takes a ``mx.io.DataIter``.

    A batch has ``data[0]`` (B, 3, H, W) float32, RGB and normalised; ``label[0]`` (B, M, 6)
    float32, rows of class, x1, y1, x2, y2 (0 to 1 of the image) and difficult (0 or 1), those
    behind the last object -1 all over; ``index`` (B,), the numbers of the records; and ``pad``,
    how many images at the end repeat others to fill the last batch.

    `reset` goes back to the first batch: the same batches follow, bit for bit.
    """

    def __init__(self, source: _Source, batches: Sequence[_Batch], threads: int) -> None:
        from ssdreg.mx import mx

        self.batch_size = source.batch_size
        self.provide_data = [mx.io.DataDesc("data", (self.batch_size, 3, *source.data_shape))]
        self.provide_label = [mx.io.DataDesc(
            "label", (self.batch_size, source.max_objects, LABEL_COLUMNS), layout="NTC")]
        self._source, self._batches, self._threads = source, tuple(batches), threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ssdreg-data")
        self._ahead: deque[Future[mx.io.DataBatch]] = deque()
        self._left: Iterator[_Batch] = iter(self._batches)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self._batches)

    def __iter__(self) -> DetectionIter:
        return self

    def __next__(self) -> mx.io.DataBatch:
        return self.next()

    def next(self) -> mx.io.DataBatch:
        """The next batch; `StopIteration` behind the last, `DataError` when it cannot be read."""
        # one more than there are threads, so that none waits while a batch is used
        while len(self._ahead) <= self._threads:
            batch = next(self._left, None)
            if batch is None:
                break
            self._ahead.append(self._pool.submit(_read_batch, self._source, batch))
        if not self._ahead:
            raise StopIteration
        return self._ahead.popleft().result()

    def start_at(self, number: int) -> None:
        """Go to the batch of this number, counted from 0; those before it are not read."""
        self._stop_reading()
        self._left = iter(self._batches[number:])

    def reset(self) -> None:
        """Go back to the first batch."""
        self.start_at(0)

    def close(self) -> None:
        """Stop reading ahead and end the threads; the iterator is of no use afterwards."""
        self._stop_reading()
        self._pool.shutdown(wait=True)

    def _stop_reading(self) -> None:
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()


def open_train(packed: Packed, data_shape: tuple[int, int], batch_size: int,
               augmentation: Augmentation | None = None,
               preprocessing: Preprocessing | None = None, seed: int = 0,
               threads: int | None = None, max_objects: int | None = None,
               negatives: bool = True, part: tuple[int, int] = (0, 1)) -> DetectionIter:
    """Open one epoch of training: shuffled, augmented, every image with an object once.

    So are the negatives, images without any object, unless they are left out. Images whose objects
    have no usable box are no part of it.

    `data_shape` is (height, width) in pixels. `augmentation` ``None`` only resizes;
    `preprocessing` ``None`` is the default one. `seed` (0 or more) draws order and augmentation:
    another epoch needs another seed. Batches are the same bit for bit for a seed, whatever
    `threads` is (``None``: one a usable processor, 8 at most). `max_objects` is M, at least and by
    default that of `packed`, four times that with mosaics. The last batch is filled from the front
    of the order, and says so in ``pad``.

    `part` (number, parts) takes one of the equal parts that every batch is divided into, numbered
    from 0: all together are the images of the whole batches, bit for bit, and only those of the
    part are read.

    Raises `DataError` when no image has an object, `max_objects` is too small, or a batch cannot be
    divided so.
    """
    number, parts = part
    if batch_size % parts or not 0 <= number < parts:
        raise DataError(f"a batch of {batch_size} images has no part {number} of {parts}: parts "
                        f"are equal, and numbered from 0")
    index = index_records(packed.rec)
    learned = index.objects > 0
    if not learned.any():
        raise DataError(f"{packed.rec}: no image has an object, so there is nothing to learn from")
    if negatives:
        learned |= index.negative
    random = np.random.default_rng(seed)
    order = random.permutation(np.flatnonzero(learned))
    size = batch_size // parts
    source = _source(packed, data_shape, size, augmentation, preprocessing, max_objects,
                     np.sort(order), seed)
    batches = [batch.part(number, size) for batch in _batches(order, batch_size)]
    return DetectionIter(source, batches, _thread_count(threads))


def open_eval(packed: Packed, data_shape: tuple[int, int], batch_size: int,
              preprocessing: Preprocessing | None = None, threads: int | None = None,
              max_objects: int | None = None) -> DetectionIter:
    """Open one pass of evaluation: all images in file order, resized and not augmented.

    Images without objects are there too. Parameters, the last batch and errors are those of
    `open_train`.
    """
    order = np.arange(len(index_records(packed.rec).objects))
    source = _source(packed, data_shape, batch_size, None, preprocessing, max_objects, order)
    return DetectionIter(source, _batches(order, batch_size), _thread_count(threads))


def _source(packed: Packed, data_shape: tuple[int, int], batch_size: int,
            augmentation: Augmentation | None, preprocessing: Preprocessing | None,
            max_objects: int | None, learned: np.ndarray, seed: int = 0) -> _Source:
    if batch_size < 1 or len(data_shape) != 2 or min(data_shape) < 1:
        raise DataError(f"a batch of {batch_size} images of {data_shape} (height, width) cannot be "
                        f"made; all three are at least 1")
    index = index_records(packed.rec)
    most, whose = index.max_objects, "an image has"
    if augmentation is not None and augmentation.mosaic_probability > 0:
        most, whose = most * _MOSAIC, "a mosaic of images may have"
    wanted = most if max_objects is None else max_objects
    if wanted < most:
        raise DataError(f"{packed.rec}: {whose} {most} objects, more than the {wanted} a label is "
                        f"to hold; raise max_objects")
    return _Source(index, learned, (int(data_shape[0]), int(data_shape[1])), batch_size, wanted,
                   preprocessing or Preprocessing(), augmentation, seed)


def reading_threads(processes: int = 1) -> int:
    """Return how many threads read in each of so many processes: one a usable processor."""
    return max(1, min(MOST_THREADS, len(usable_processors()) // processes))


def _thread_count(threads: int | None) -> int:
    if threads is None:
        return reading_threads()
    if threads < 1:
        raise DataError(f"{threads} threads cannot read data; use 1 or more")
    return threads


def _batches(order: np.ndarray, batch_size: int) -> tuple[_Batch, ...]:
    pad = -len(order) % batch_size
    # np.resize repeats from the front, as often as a batch larger than the data needs
    records = np.resize(order, len(order) + pad).reshape(-1, batch_size)
    last = len(records) - 1
    return tuple(_Batch(tuple(row.tolist()), number * batch_size, pad if number == last else 0)
                 for number, row in enumerate(records))


def _read_batch(source: _Source, batch: _Batch) -> mx.io.DataBatch:
    from ssdreg.mx import mx

    data = np.empty((source.batch_size, 3, *source.data_shape), np.float32)
    label = np.full((source.batch_size, source.max_objects, LABEL_COLUMNS), -1, np.float32)
    mean, std = (np.array(values, np.float32)[:, None, None]
                 for values in (source.preprocessing.mean, source.preprocessing.std))
    for place, record in enumerate(batch.records):
        pixels, boxes = _input(source, record, batch.first + place)
        np.subtract(pixels, mean, out=data[place])
        data[place] /= std
        label[place, :len(boxes)] = boxes
    return mx.io.DataBatch(data=[mx.nd.array(data)], label=[mx.nd.array(label)], pad=batch.pad,
                           index=np.array(batch.records))


def _input(source: _Source, record: int, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image as the network takes it, not normalised yet, and its boxes as shares."""
    image = _picture(source.index, record)
    recipe = source.augmentation
    if recipe is None:
        return fit(*image, source.data_shape)
    random = _random(source.seed, place)
    images = [image]
    if random.random() < recipe.mosaic_probability:
        images += [_picture(source.index, int(other))
                   for other in random.choice(source.learned, _MOSAIC - 1)]
    return augment(images, source.data_shape, recipe, random)


def _random(seed: int, place: int) -> np.random.Generator:
    """Return the generator of the image at this place in the order."""
    # not (seed, place): NumPy takes (seed, 0) for seed itself, whose numbers drew the order
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place,)))


def _picture(index: RecordIndex, record: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's pixels (h, w, 3) uint8 and its boxes (K, 6), with edges in pixels."""
    pixels, boxes = read_pixels(index, record), objects_of(index, record)
    height, width = pixels.shape[:2]
    boxes[:, 1:5] *= (width, height, width, height)
    return pixels, boxes
