"""Batches for training and evaluation, read by MXNet's ``ImageDetRecordIter``.

MXNet 1.9.1's iterator has three habits that one iterator over the whole file cannot be rid of, all
seen by experiment. Its ``seed`` moves the shuffling only: the augmentation draws the same numbers
in every new iterator, and other numbers with another ``preprocess_threads``. It shuffles within a
chunk of 8 MB. And it decodes such a chunk, hundreds of small JPEG files, to floats before it gives
the first batch, which takes a gigabyte.

So every batch is a small RecordIO file of its own, read by its own single-threaded iterator, and
several are read at once. The order is drawn over the whole data set. A few small warm-up images in
front, drawn with the seed and thrown away, move MXNet's random numbers on. What a batch holds then
depends on the data, the settings and the seed, but not on threads or machine. It also means that
the augmentations are drawn from a pool of some thousands, dealt out anew to the images each epoch.
"""

from __future__ import annotations

import functools
import io
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, field, frozen
from PIL import Image
from ssdreg_runtime.system.names import native
from ssdreg_runtime.system.threads import usable_processors

from ssdreg.data.augmentation import Augmentation
from ssdreg.data.packed import Packed
from ssdreg.data.recordio import RecordIndex, index_records, read_records
from ssdreg.errors import DataError
from ssdreg.registry.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: More threads than this bring little: a batch is prepared faster than most devices learn from it.
MOST_THREADS = 8

#: Floats in a row of a batch label: class, x1, y1, x2, y2, difficult.
LABEL_COLUMNS = 6

#: ImageDetRecordIter puts channels, height, width and label length in front of each label.
_ITERATOR_HEADER = 4
_LENGTH_COLUMN = 3

#: With crops a warm-up image draws hundreds of numbers, how many depends on its box. Without, each
#: draws the same few, so that it takes more images to come far.
_MOST_WARM_UPS_WITH_CROPS = 16
_MOST_WARM_UPS = 64
_WARM_UP_SIDE = 32  # pixels: small, yet a crop of any scale in use holds some

_Edges = tuple[float, float, float, float]  # x1, y1, x2, y2 in 0 to 1


@frozen
class _Source:
    """What all batches of one iterator share."""

    index: RecordIndex = field(repr=False)
    data_shape: tuple[int, int]
    batch_size: int
    max_objects: int
    preprocessing: Preprocessing
    augmentation: Augmentation | None


@frozen
class _Batch:
    """The records of one batch, how many of the last are repeats, and its warm-up boxes."""

    records: tuple[int, ...]
    pad: int = 0
    warm_up: tuple[_Edges, ...] = ()


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

    def reset(self) -> None:
        """Go back to the first batch."""
        self._stop_reading()
        self._left = iter(self._batches)

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
               negatives: bool = True) -> DetectionIter:
    """Open one epoch of training: shuffled, augmented, every image with an object once.

    So are the negatives, images without any object, unless they are left out. Images whose objects
    have no usable box are no part of it.

    `data_shape` is (height, width) in pixels. `augmentation` ``None`` only resizes;
    `preprocessing` ``None`` is the default one. `seed` (0 or more) draws order and augmentation:
    another epoch needs another seed. Batches are the same bit for bit for a seed, whatever
    `threads` is (``None``: one a usable processor, 8 at most). `max_objects` is M, at least and by
    default that of `packed`. The last batch is filled from the front of the order, and says so in
    ``pad``.

    Raises `DataError` when no image has an object or `max_objects` is too small.
    """
    source = _source(packed, data_shape, batch_size, augmentation, preprocessing, max_objects)
    learned = source.index.objects > 0
    if not learned.any():
        raise DataError(f"{packed.rec}: no image has an object, so there is nothing to learn from")
    if negatives:
        learned |= source.index.negative
    random = np.random.default_rng(seed)
    order = random.permutation(np.flatnonzero(learned))
    batches = _batches(order, batch_size)
    if augmentation is not None:
        most = _MOST_WARM_UPS_WITH_CROPS if augmentation.crop_probability else _MOST_WARM_UPS
        batches = tuple(evolve(batch, warm_up=_warm_up(random, most)) for batch in batches)
    return DetectionIter(source, batches, _thread_count(threads))


def open_eval(packed: Packed, data_shape: tuple[int, int], batch_size: int,
              preprocessing: Preprocessing | None = None, threads: int | None = None,
              max_objects: int | None = None) -> DetectionIter:
    """Open one pass of evaluation: all images in file order, resized and not augmented.

    Images without objects are there too. Parameters, the last batch and errors are those of
    `open_train`.
    """
    source = _source(packed, data_shape, batch_size, None, preprocessing, max_objects)
    order = np.arange(len(source.index.objects))
    return DetectionIter(source, _batches(order, batch_size), _thread_count(threads))


def _source(packed: Packed, data_shape: tuple[int, int], batch_size: int,
            augmentation: Augmentation | None, preprocessing: Preprocessing | None,
            max_objects: int | None) -> _Source:
    if batch_size < 1 or len(data_shape) != 2 or min(data_shape) < 1:
        raise DataError(f"a batch of {batch_size} images of {data_shape} (height, width) cannot be "
                        f"made; all three are at least 1")
    index = index_records(packed.rec)
    wanted = index.max_objects if max_objects is None else max_objects
    if wanted < index.max_objects:
        raise DataError(f"{packed.rec}: an image has {index.max_objects} objects, more than the "
                        f"{wanted} a label is to hold; raise max_objects")
    return _Source(index, (int(data_shape[0]), int(data_shape[1])), batch_size, wanted,
                   preprocessing or Preprocessing(), augmentation)


def _thread_count(threads: int | None) -> int:
    if threads is None:
        return min(MOST_THREADS, len(usable_processors()))
    if threads < 1:
        raise DataError(f"{threads} threads cannot read data; use 1 or more")
    return threads


def _batches(order: np.ndarray, batch_size: int) -> tuple[_Batch, ...]:
    pad = -len(order) % batch_size
    # np.resize repeats from the front, as often as a batch larger than the data needs
    records = np.resize(order, len(order) + pad).reshape(-1, batch_size)
    last = len(records) - 1
    return tuple(_Batch(tuple(row.tolist()), pad if number == last else 0)
                 for number, row in enumerate(records))


def _warm_up(random: np.random.Generator, most: int) -> tuple[_Edges, ...]:
    """Boxes of 1 to `most` warm-up images, small and near a corner, which few crops contain.

    MXNet draws numbers until a crop contains the box, so each box takes it another way forward.
    """
    count = random.integers(1, most, endpoint=True)
    x, y = random.uniform(0.0, 0.15, (2, count))
    return tuple(zip(x.tolist(), y.tolist(), (x + 0.05).tolist(), (y + 0.05).tolist()))


def _read_batch(source: _Source, batch: _Batch) -> mx.io.DataBatch:
    from ssdreg.mx import mx

    index, skip = source.index, len(batch.warm_up)
    with tempfile.TemporaryDirectory(prefix="ssdreg-") as folder:
        rec = Path(folder) / "batch.rec"
        rec.write_bytes(_warm_up_records(index, batch) + read_records(index, batch.records))
        try:
            raw = mx.io.ImageDetRecordIter(
                path_imgrec=native(rec), data_shape=(3, *source.data_shape),
                batch_size=source.batch_size + skip, preprocess_threads=1, prefetch_buffer=1,
                label_pad_width=index.header_width + source.max_objects * index.object_width,
                shuffle=False, resize_mode="force", verbose=False,
                **_normalization_parameters(source.preprocessing),
                **(source.augmentation.to_parameters() if source.augmentation else {})).next()
        except mx.base.MXNetError as error:
            raise DataError(f"{index.path}: MXNet cannot read one of the records "
                            f"{sorted(set(batch.records))}: {error}") from error
    label = mx.nd.array(_boxes(raw.label[0].asnumpy()[skip:], source))
    return mx.io.DataBatch(data=[raw.data[0][skip:]], label=[label], pad=batch.pad,
                           index=np.array(batch.records))


def _normalization_parameters(preprocessing: Preprocessing) -> dict[str, float]:
    return {f"{name}_{channel}": value
            for name in ("mean", "std")
            for channel, value in zip("rgb", getattr(preprocessing, name))}


def _warm_up_records(index: RecordIndex, batch: _Batch) -> bytes:
    from ssdreg.mx import mx

    if not batch.warm_up:
        return b""
    with tempfile.TemporaryDirectory(prefix="ssdreg-") as folder:
        rec = Path(folder) / "warm-up.rec"
        writer = mx.recordio.MXRecordIO(native(rec), "w")
        for box in batch.warm_up:
            label = [index.header_width, index.object_width, *[0.0] * (index.header_width - 2),
                     0.0, *box, *[0.0] * (index.object_width - 5)]
            header = mx.recordio.IRHeader(0, label, 0, 0)
            writer.write(mx.recordio.pack(header, _warm_up_image()))
        writer.close()
        return rec.read_bytes()


@functools.lru_cache(maxsize=1)
def _warm_up_image() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (_WARM_UP_SIDE, _WARM_UP_SIDE)).save(stream, "PNG")
    return stream.getvalue()


def _boxes(raw: np.ndarray, source: _Source) -> np.ndarray:
    """The (B, M, 6) label in the iterator's own labels (B, widths and objects in one row)."""
    index = source.index
    start = _ITERATOR_HEADER + index.header_width
    table = raw[:, start:].reshape(len(raw), source.max_objects, index.object_width)
    boxes = np.full((len(raw), source.max_objects, LABEL_COLUMNS), -1, np.float32)
    counts = (raw[:, _LENGTH_COLUMN] - index.header_width) // index.object_width
    real = np.arange(source.max_objects) < counts[:, None]
    boxes[real, -1] = 0.0  # labels of five columns know no difficult objects
    columns = min(index.object_width, LABEL_COLUMNS)
    boxes[real, :columns] = table[real, :columns]
    return boxes
