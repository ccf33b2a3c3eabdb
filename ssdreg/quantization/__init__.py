"""Detectors in fewer bits: int8 with scales from real images, and bfloat16."""

from __future__ import annotations

from ssdreg.quantization.images import Example, read_examples
from ssdreg.quantization.mxnet.bfloat16 import bfloat16_mxnet
from ssdreg.quantization.mxnet.int8 import quantize_mxnet
from ssdreg.quantization.onnxruntime.int8 import quantize_onnx
from ssdreg.quantization.openvino.int8 import quantize_openvino
from ssdreg.quantization.quantizing import Quantized, quantize_model

__all__ = ["Example", "Quantized", "bfloat16_mxnet", "quantize_model", "quantize_mxnet",
           "quantize_onnx", "quantize_openvino", "read_examples"]
