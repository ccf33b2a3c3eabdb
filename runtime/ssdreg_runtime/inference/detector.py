"""Detectors: images in, what was found in them out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Union

import numpy as np
from PIL import Image

from ssdreg_runtime.backends import AUTO, Backend, open_backend
from ssdreg_runtime.boxes.detections import Detections, failed, from_rows
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.images import ImageLike, Prepared, prepare

#: Images that run together where the model takes any number.
BATCH_SIZE = 8

Item = Union[ImageLike, Prepared]


class Detector:
    """A detector of a model file that `ssdreg export` or `ssdreg quantize` wrote.

    `path` is the file, ``.onnx`` or ``.xml``; the other arguments are those of `open_backend`,
    which also says what is raised. `batch_size` is how many images run together: the model's own
    number, or up to 8 where it takes any; then it may be set.
    """

    batch_size: int
    _backend: Backend

    def __init__(self, path: str | os.PathLike[str], backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO) -> None:
        self._use(open_backend(path, backend, threads, precision))

    @classmethod
    def on(cls, backend: Backend) -> Detector:
        """Make a detector of a backend that is open."""
        made = cls.__new__(cls)
        made._use(backend)
        return made

    def _use(self, backend: Backend) -> None:
        self._backend = backend
        self.batch_size = backend.facts.batch or BATCH_SIZE

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self._backend.facts.classes

    @property
    def data_shape(self) -> tuple[int, int]:
        """Height and width of the network's input; images of any size are resized to it."""
        return self._backend.facts.data_shape

    @property
    def backend(self) -> str:
        """What it runs on: openvino, onnxruntime, or mxnet."""
        return self._backend.name

    @property
    def precision(self) -> str:
        """What the network is computed in."""
        return self._backend.precision

    def __repr__(self) -> str:
        height, width = self.data_shape
        facts = self._backend.facts
        return (f"<{type(self).__name__} {facts.head} on {facts.backbone}, {height}x{width}, "
                f"{len(self.classes)} classes, {self.backend}, {self.precision}>")

    def detect(self, images: Item | Iterable[Item]) -> list[Detections]:
        """Detect in one image or several, of any sizes; a result for each, in order.

        An image is a file's name, an image of Pillow, or an array (h, w, 3) of uint8, red first
        (see `ssdreg_runtime.io.images.read`); several are a list or any iterable of these, or an
        array (B, h, w, 3). One that cannot be used costs only its own result, which is empty and
        says why in `error`; images are counted from 0. Raises DataError when none can be used.
        """
        results: list[Detections] = []
        waiting: list[tuple[int, Prepared]] = []
        for index, image in enumerate(_several(images)):
            try:
                prepared = self.prepare(image)
            except DataError as error:
                results.append(self._failed(index, error))
                continue
            # holds the place of the result
            results.append(failed("", self.classes, prepared.size))
            waiting.append((index, prepared))
            if len(waiting) == self.batch_size:
                self._run(waiting, results)
                waiting = []
        if waiting:
            self._run(waiting, results)
        if results and all(found.error for found in results):
            raise DataError(results[0].error)
        return results

    def prepare(self, image: Item) -> Prepared:
        """Read an image and resize it to the network's input; raise DataError if it is bad.

        `detect` takes the result in the image's place, so that this can be done elsewhere.
        """
        return image if isinstance(image, Prepared) else prepare(image, self.data_shape)

    def _run(self, waiting: list[tuple[int, Prepared]], results: list[Detections]) -> None:
        """Detect in a group that is not empty and put what was found in its places."""
        fixed = self._backend.facts.batch or len(waiting)
        batch = np.zeros((fixed, *self.data_shape, 3), np.uint8)
        for place, (_, prepared) in enumerate(waiting):
            batch[place] = prepared.pixels
        for (index, prepared), rows in zip(waiting, self._backend.run(batch)):
            try:
                results[index] = from_rows(rows, prepared.size, self.classes, f"image {index}")
            except DataError as error:
                results[index] = failed(str(error), self.classes, prepared.size)

    def _failed(self, index: int, error: DataError) -> Detections:
        return failed(f"image {index}: {error}", self.classes)


def _several(images: Item | Iterable[Item]) -> Iterator[Item]:
    """Go through what may be one image or several."""
    one = (isinstance(images, (str, bytes, os.PathLike, Image.Image, Prepared))
           or (isinstance(images, np.ndarray) and images.ndim != 4)
           or not isinstance(images, Iterable))
    if one:
        yield images  # type: ignore[misc]
    else:
        yield from images  # type: ignore[misc]
