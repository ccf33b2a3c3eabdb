"""int8 for ONNX Runtime: quantisation nodes in the file, scales from real images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from ssdreg_runtime.system.files import scratch_folder
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.processor import multiplies_int8
from ssdreg_runtime.system.telemetry import no_telemetry

from ssdreg.errors import DataError, DependencyError
from ssdreg.exporting.openvino_model import stated_facts
from ssdreg.quantization.facts import refuse_unless_float32_model, set_precision
from ssdreg.quantization.onnxruntime.graph import network_nodes, prepare

if TYPE_CHECKING:
    import onnx

#: What is quantised: what ONNX Runtime's kernels for processors have in int8.
OPERATORS = ("Conv", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Add", "Mul", "Concat", "Resize",
             "MaxPool", "AveragePool", "GlobalAveragePool")
#: And what ranges are taken of besides: ONNX Runtime 1.19, the last for Python 3.9, stumbles over
#: a softmax without one, though it is not to be quantised.
_RANGED = ("Softmax",)


def quantize_onnx(model: onnx.ModelProto, batches: Iterable[np.ndarray],
                  keep: Sequence[str] = ()) -> onnx.ModelProto:
    """Return a detector in int8, its scales from real images.

    `model` is what `ssdreg.exporting.to_onnx` makes; `batches` are (B, H, W, 3) uint8, of the
    model's size. Activations are 8 bits without sign, weights 8 bits with sign and a scale for
    each output channel, biases 32 bits (Jacob et al., Quantization and Training of Neural Networks
    for Efficient Integer-Arithmetic-Only Inference, 2018). Normalisation, softmax, decoding and
    suppression stay float32, and so do the nodes whose names are in `keep`.

    Where the processor adds products of 8 bits in 16, as all do that have no VNNI, weights have 7
    bits: the sums would be cut off.

    Raises DataError without images, ModelError for a model that is not float32.
    """
    try:
        import onnx
        with no_telemetry():
            from onnxruntime import quantization as tools
    except ImportError as error:
        raise DependencyError("int8 for ONNX Runtime is made by packages that are not installed: "
                              f"run `{install('onnxruntime')}`") from error
    refuse_unless_float32_model(stated_facts(model))
    prepared = prepare(model)
    chosen = [name for name in network_nodes(prepared) if name not in set(keep)]
    with scratch_folder() as folder, _quiet():
        exact, file = folder / "exact.onnx", folder / "int8.onnx"
        # by file: a model in memory loses its weights in ONNX Runtime 1.19
        exact.write_bytes(prepared.SerializeToString())
        tools.quantize_static(
            exact, file, _Images(batches), quant_format=tools.QuantFormat.QDQ, per_channel=True,
            activation_type=tools.QuantType.QUInt8, weight_type=tools.QuantType.QInt8,
            op_types_to_quantize=[*OPERATORS, *_RANGED], nodes_to_quantize=chosen,
            calibrate_method=tools.CalibrationMethod.MinMax, reduce_range=not multiplies_int8())
        quantized = onnx.load(file)
    quantized.producer_name = model.producer_name
    set_precision(quantized, "int8")
    return quantized


class _Images:
    """Batches as ONNX Runtime's calibration reads them, one by one."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self._batches = iter(batches)
        self._first = next(self._batches, None)
        if self._first is None:
            raise DataError("8 bits take their scales from images, and there are none")

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the name of the model's input; None behind the last."""
        batch, self._first = self._first, None
        if batch is None:
            batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's advice on its own commands from the user, who uses others.

    It logs by functions of `logging` that give the root a handler, which is taken away again:
    everybody's log would go there.
    """
    logger = logging.getLogger()
    before, handlers = logger.level, list(logger.handlers)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.handlers[:] = handlers
