"""Detectors: images in, detections out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Union

import numpy as np
from PIL import Image

from ssdreg_runtime.backends import AUTO, Backend, open_backend
from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.backends.picture import PictureBackend
from ssdreg_runtime.backends.settings import CPU
from ssdreg_runtime.boxes.detections import Detections, failed_detections, from_rows
from ssdreg_runtime.boxes.selection import Selection, select
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.images import ImageLike, PreparedImage, prepare

#: Images that run together where the model takes any number.
BATCH_SIZE = 8

#: An image as `Detector.detect` takes it.
DetectorInput = Union[ImageLike, PreparedImage]


class Detector:
    """A detector of a model file that `ssdreg export` or `ssdreg quantize` wrote.

    `path` is the file, ``.onnx`` or ``.xml``; `backend`, `threads`, `precision`, `device` and `iou`
    are those of `open_backend`, which also says what is raised. `only` names the classes that are
    looked for, None for all, and `max_det` is how many objects of a picture are given at most, the
    best. A detector can be called, which is `detect`. `batch_size` is how many images run
    together: the model's own number, or up to 8 where it takes any; then it may be set.
    """

    batch_size: int
    _backend: Backend
    _selection: Selection

    def __init__(self, path: str | os.PathLike[str], backend: str = AUTO,
                 threads: int | None = None, precision: str = AUTO, device: str = CPU,
                 iou: float | None = None, max_det: int | None = None,
                 only: str | Iterable[str] | None = None) -> None:
        self._use(open_backend(path, backend, threads, precision, device=device, iou=iou),
                  max_det, only)

    @classmethod
    def on(cls, backend: Backend, max_det: int | None = None,
           only: str | Iterable[str] | None = None) -> Detector:
        """Return a detector that runs on an open backend."""
        detector = cls.__new__(cls)
        detector._use(backend, max_det, only)
        return detector

    def _use(self, backend: Backend, max_det: int | None = None,
             only: str | Iterable[str] | None = None) -> None:
        self._backend = backend
        self._selection = select(backend.facts.classes, only, max_det)
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
    def takes_pictures(self) -> bool:
        """Whether its file has the input of `ssdreg export --input image`."""
        return isinstance(self._backend, PictureBackend)

    @property
    def facts(self) -> ModelFacts:
        """The metadata of its file."""
        return self._backend.facts

    @property
    def backend(self) -> str:
        """The backend's name: openvino, onnxruntime, or mxnet."""
        return self._backend.name

    @property
    def precision(self) -> str:
        """The precision that the network is computed in."""
        return self._backend.precision

    def __repr__(self) -> str:
        height, width = self.data_shape
        facts = self._backend.facts
        return (f"<{type(self).__name__} {facts.head} on {facts.backbone}, {height}x{width}, "
                f"{len(self.classes)} classes, {self.backend}, {self.precision}>")

    def detect(self, images: DetectorInput | Iterable[DetectorInput]) -> list[Detections]:
        """Detect in one image or several, of any sizes; a result for each, in order.

        An image is a file's name, an image of Pillow, or an array (h, w, 3) of uint8, red first
        (see `ssdreg_runtime.io.images.read`); several are a list or any iterable of these, or an
        array (B, h, w, 3). One that cannot be used costs only its own result, which is empty and
        says why in `error`; images are counted from 0. Raises DataError when none can be used.
        """
        results: list[Detections] = []
        pending: list[tuple[int, PreparedImage]] = []
        for index, image in enumerate(_images(images)):
            try:
                prepared = self.prepare(image)
            except DataError as error:
                results.append(self._failed(index, error))
                continue
            # a placeholder of the result
            results.append(failed_detections("", self.classes, prepared.size))
            pending.append((index, prepared))
            if len(pending) == self.batch_size:
                self._run(pending, results)
                pending = []
        if pending:
            self._run(pending, results)
        if results and all(detections.error for detections in results):
            raise DataError(results[0].error)
        return results

    def __call__(self, images: DetectorInput | Iterable[DetectorInput]) -> list[Detections]:
        """Detect in one image or several; see `detect`."""
        return self.detect(images)

    def prepare(self, image: DetectorInput) -> PreparedImage:
        """Read an image and resize it to the network's input; raise DataError if it is bad.

        `detect` takes the result in place of the image, so that another thread can prepare it.
        """
        return image if isinstance(image, PreparedImage) else prepare(image, self.data_shape)

    def _run(self, pending: list[tuple[int, PreparedImage]], results: list[Detections]) -> None:
        """Detect in a batch of at least one image, and put the detections into `results`."""
        batch_size = self._backend.facts.batch or len(pending)
        batch = np.zeros((batch_size, *self.data_shape, 3), np.uint8)
        for place, (_, prepared) in enumerate(pending):
            batch[place] = prepared.pixels
        for (index, prepared), rows in zip(pending, self._backend.run(batch)):
            try:
                results[index] = self._selection.of(
                    from_rows(rows, prepared.size, self.classes, f"image {index}"))
            except DataError as error:
                results[index] = failed_detections(str(error), self.classes, prepared.size)

    def _failed(self, index: int, error: DataError) -> Detections:
        return failed_detections(f"image {index}: {error}", self.classes)


def _images(images: DetectorInput | Iterable[DetectorInput]) -> Iterator[DetectorInput]:
    """Yield the images of what may be one image or several."""
    single = (isinstance(images, (str, bytes, os.PathLike, Image.Image, PreparedImage))
              or (isinstance(images, np.ndarray) and images.ndim != 4)
              or not isinstance(images, Iterable))
    if single:
        yield images  # type: ignore[misc]
    else:
        yield from images  # type: ignore[misc]
