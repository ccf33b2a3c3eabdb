"""Devices by their names, and thresholds of suppression."""

from __future__ import annotations

import numpy as np
import pytest
from ssdreg_runtime.backends.settings import Device, iou_limit, parse_device
from ssdreg_runtime.errors import SsdregError


@pytest.mark.parametrize(("text", "device"), [
    ("cpu", Device("cpu", "cpu", "", None)),
    ("cuda", Device("cuda", "cuda", "0", "onnxruntime")),
    ("gpu:1", Device("gpu:1", "cuda", "1", "onnxruntime")),
    ("tensorrt:2", Device("tensorrt:2", "tensorrt", "2", "onnxruntime")),
    ("openvino:GPU.1", Device("openvino:GPU.1", "openvino", "GPU.1", "openvino")),
    ("openvino:AUTO:GPU,CPU", Device("openvino:AUTO:GPU,CPU", "openvino", "AUTO:GPU,CPU",
                                     "openvino"))])
def test_names_of_devices(text, device):
    assert parse_device(text) == device


@pytest.mark.parametrize("text", ["", "cpu:0", "cuda:", "cuda:x", "tpu", "openvino", "openvino:",
                                  "openvino:gpu", "GPU", "tensorrt:-1"])
def test_names_that_no_device_has(text):
    with pytest.raises(SsdregError, match="is no device that runs a model file: write cpu, cuda"):
        parse_device(text)


def test_boxes_that_overlap_by_the_threshold_are_suppressed():
    """ONNX suppresses above its constant."""
    [limit] = iou_limit(0.5)
    assert limit.dtype == np.float32
    assert limit < np.float32(0.5) == np.nextafter(limit, np.float32(1))
