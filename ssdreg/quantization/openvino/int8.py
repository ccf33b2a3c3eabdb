"""int8 for OpenVINO, by NNCF: quantisation in the model, scales and biases from real images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.telemetry import no_telemetry

from ssdreg.errors import DataError, DependencyError
from ssdreg.exporting.openvino_model import read_model, stated_facts, write_facts
from ssdreg.graph.stretches import between
from ssdreg.quantization.facts import refuse_unless_float32_model, with_precision

if TYPE_CHECKING:
    import openvino

#: Types of convolutions.
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def quantize_openvino(model: bytes, batches: Iterable[np.ndarray],
                      keep: Sequence[str] = ()) -> openvino.Model:
    """Return a detector in int8 as a model of OpenVINO, its scales from real images.

    `model` is the content of an ONNX file, as ``to_onnx(source).SerializeToString()``; `batches`
    are (B, H, W, 3) uint8, of the model's size. NNCF quantises it by its default method: symmetric,
    with a scale for each channel of the weights, biases corrected for the mean error (Nagel et al.,
    Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.2).
    Normalisation, softmax, decoding and suppression stay as they are, and so do the nodes of the
    ONNX model whose names are in `keep`. What the ONNX file says of itself stands in the model's
    ``rt_info`` under ``ssdreg``.

    Raises DataError without images, ModelError for a model that is not float32.
    """
    import onnx
    images = list(batches)
    if not images:
        raise DataError("8 bits take their scales from images, and there are none")
    facts = stated_facts(onnx.load_model_from_string(model))
    refuse_unless_float32_model(facts)
    read = read_model(model)
    with no_telemetry():
        try:
            import nncf
        except ImportError as error:
            raise DependencyError("int8 for OpenVINO is made by a package that is not installed: "
                                  f"run `{install('openvino', 'ssdreg')}`") from error
    with _quiet():
        quantized: openvino.Model = nncf.quantize(
            read, nncf.Dataset(images), subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=_ignored(read, keep), validate=False))
    write_facts(quantized, with_precision(facts, "int8"))
    return quantized


def _ignored(model: openvino.Model, keep: Sequence[str]) -> list[str]:
    """Return the names of what stays as it is: what is not the network, and what is to be kept."""
    operators = model.get_ordered_ops()
    names = [operator.get_friendly_name() for operator in operators]
    place = {name: index for index, name in enumerate(names)}
    inside = between(
        ([place[port.get_source_output().get_node().get_friendly_name()]
          for port in operator.inputs()] for operator in operators),
        [index for index, operator in enumerate(operators)
         if operator.get_type_name() in _CONVOLUTIONS])
    # a node of ONNX can be several of OpenVINO, called by its name, a stroke and what they do
    return [name for index, (name, operator) in enumerate(zip(names, operators))
            if operator.get_type_name() not in ("Constant", "Parameter", "Result")
            and (index not in inside or name.split("/")[0] in keep)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what NNCF writes to standard output: its log and its progress bars."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logger.setLevel(before)
