"""A trained detector, ready to look at batches and images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ssdreg.errors import RunError
from ssdreg.graph.symbol_file import reason_of
from ssdreg.metrics.voc import Accumulator, Evaluation
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.params import Params
from ssdreg.runs.run import Run

if TYPE_CHECKING:
    from ssdreg.checkpoints.checkpoint import Checkpoint
    from ssdreg.data import DetectionIter
    from ssdreg.mx import mx


class Inference:
    """A deploy symbol bound to parameters for batches of one size.

    `detect` takes (B, 3, H, W) float32, normalised, and gives (B, N, 6): class, score, x1, y1,
    x2, y2 as shares of the image; class -1 marks empty rows. Raises RunError when a parameter
    of the symbol is missing or has another shape.
    """

    def __init__(self, symbol: mx.sym.Symbol, params: Params, batch_size: int,
                 data_shape: tuple[int, int], context: mx.Context | None = None) -> None:
        from ssdreg.mx import mx
        self.batch_size = batch_size
        try:
            self._executor = symbol.simple_bind(context or mx.cpu(), grad_req="null",
                                                data=(batch_size, 3, *data_shape))
        except (RuntimeError, UnicodeError, MemoryError) as error:
            height, width = data_shape
            raise RunError(f"the symbol cannot be run on {batch_size} pictures of {height}x{width} "
                           f"pixels: {reason_of(error)}") from error
        # Parameters are set once, here. MXNet folds batch norm into the convolutions at the first
        # batch and keeps the folded weights: other parameters in the same executor give neither
        # the old network's answers nor the new one's.
        needed = [*self._executor.arg_dict, *self._executor.aux_dict]
        missing = [name for name in needed
                   if name != "data" and name not in params.args and name not in params.auxs]
        if missing:
            raise RunError(f"the parameter file lacks {len(missing)} of the symbol's parameters, "
                           f"{missing[0]!r} among them: it belongs to another network")
        given = {**params.args, **params.auxs}
        bound = {**self._executor.arg_dict, **self._executor.aux_dict}
        for name, array in bound.items():
            if name != "data" and given[name].shape != array.shape:
                raise RunError(f"{name!r} has the shape {given[name].shape} in the parameter file "
                               f"and {array.shape} in the symbol: it belongs to another network")
        self._executor.copy_params_from(dict(params.args), dict(params.auxs),
                                        allow_extra_params=True)

    def detect(self, batch: mx.nd.NDArray) -> np.ndarray:
        """Detect in a batch of the bound size; raise RunError when it cannot be computed."""
        try:
            return self._executor.forward(is_train=False, data=batch)[0].asnumpy()
        # some settings of layers are looked at when they compute, and not when they are bound
        # ValueError: what is called data is no picture there, or a message is no text
        except (RuntimeError, ValueError) as error:
            _forget_failure()
            raise RunError(f"the network cannot be computed: {reason_of(error)}; its symbol is "
                           f"damaged, or there is no memory left") from error

    def detect_all(self, batches: DetectionIter) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Detect in every batch; give for each image its detections (N, 6) and labels (M, 6)."""
        for batch in batches:
            count = self.batch_size - batch.pad
            detections, labels = self.detect(batch.data[0]), batch.label[0].asnumpy()
            yield from zip(detections[:count], labels[:count])

    def evaluate(self, batches: DetectionIter, classes: Sequence[str]) -> Evaluation:
        """Detect in every batch and compare with its labels: mAP at IoU 0.5."""
        accumulator = Accumulator(classes)
        for detections, labels in self.detect_all(batches):
            accumulator.add(detections, labels)
        return accumulator.result()


def _forget_failure() -> None:
    """Take what MXNet's engine notes of a failure, and raises again when the process ends."""
    from ssdreg.mx import mx
    with suppress(mx.MXNetError):
        mx.nd.waitall()


def open_inference(run: Run, batch_size: int = 1, epoch: int | None = None,
                   context: mx.Context | None = None) -> Inference:
    """Bind a run's network to an epoch's parameters (the best epoch's when None)."""
    return Inference(run.load_symbol(), run.load_params(epoch), batch_size, run.plan.data_shape,
                     context)


def bind_checkpoint(checkpoint: Checkpoint, batch_size: int = 1,
                    context: mx.Context | None = None) -> Inference:
    """Bind a checkpoint's network to its parameters; raise RunError when it has none."""
    if checkpoint.params is None:
        raise RunError(f"{checkpoint.source} is a symbol without parameters: it cannot be run")
    return Inference(checkpoint.symbol, checkpoint.params, batch_size, checkpoint.plan.data_shape,
                     context)


def prepare(image: Image.Image, data_shape: tuple[int, int],
            preprocessing: Preprocessing) -> np.ndarray:
    """Turn an RGB image into the network's input: resized, normalised, (3, H, W) float32."""
    from ssdreg.mx import mx
    height, width = data_shape
    # MXNet's own resize, which is OpenCV's, because training images go through it
    pixels = mx.image.imresize(mx.nd.array(np.asarray(image), dtype="uint8"), width, height,
                               interp=1).asnumpy()
    return preprocessing.normalized(pixels)


def detect_images(inference: Inference, run: Run,
                  images: Iterable[Image.Image]) -> list[np.ndarray]:
    """Detect in images of any size; per image rows (N, 6) of what was found, best first."""
    from ssdreg.mx import mx
    detections: list[np.ndarray] = []
    waiting: list[np.ndarray] = []

    def flush() -> None:
        count = len(waiting)
        waiting.extend([np.zeros_like(waiting[0])] * (inference.batch_size - count))
        for rows in inference.detect(mx.nd.array(np.stack(waiting)))[:count]:
            detections.append(rows[rows[:, 0] >= 0])
        waiting.clear()

    for image in images:
        waiting.append(prepare(image, run.plan.data_shape, run.plan.preprocessing))
        if len(waiting) == inference.batch_size:
            flush()
    if waiting:
        flush()
    return detections
