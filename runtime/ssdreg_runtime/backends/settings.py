"""How a model file is to be computed: threads, precision, device, suppression."""

from __future__ import annotations

import re

import numpy as np
from attrs import evolve, frozen

from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.errors import ModelError, SsdregError

CPU, CUDA, TENSORRT, OPENVINO = "cpu", "cuda", "tensorrt", "openvino"

#: What a device may be called.
DEVICES = "cpu, cuda, cuda:1, tensorrt, or a device of OpenVINO's, as openvino:GPU"

#: The constant in an ONNX file's graph that suppression compares overlaps with.
IOU_CONSTANT = "iou_threshold"


@frozen
class Device:
    """What computes: its `kind`, and which of these: a number, or OpenVINO's name of a device.

    `text` is what the user called it, `backend` the one that has it, None where any does.
    """

    text: str
    kind: str
    which: str
    backend: str | None


def parse_device(text: str) -> Device:
    """Return the device of ``cpu``, ``cuda:1``, ``tensorrt`` or ``openvino:GPU``.

    ``gpu`` is ``cuda``. Raises SsdregError for any other text.
    """
    kind, colon, which = text.partition(":")
    kind = CUDA if kind == "gpu" else kind
    if kind == CPU and not colon:
        return Device(text, CPU, "", None)
    if kind in (CUDA, TENSORRT) and (not colon or which.isdecimal()):
        return Device(text, kind, which or "0", "onnxruntime")
    if kind == OPENVINO and re.fullmatch(r"[A-Z][A-Z0-9_.:,()]*", which):
        return Device(text, kind, which, OPENVINO)
    raise SsdregError(f"--device {text!r} is no device that runs a model file: write {DEVICES}")


@frozen
class Settings:
    """How a file is computed.

    - `threads` of the processor; `precision`: what was asked for, see `resolve_precision`
    - `device`: what computes
    - `iou`: the overlap from which on the lesser of two boxes is dropped, in place of the file's
      own; None leaves it
    """

    threads: int
    precision: str
    device: Device
    iou: float | None = None


def check_iou(iou: float | None, facts: ModelFacts, name: str) -> None:
    """Raise SsdregError unless a file's suppression can have this threshold; None always can."""
    if iou is None:
        return
    if not 0 < iou <= 1:
        raise SsdregError(f"--iou {iou:g} is no overlap of boxes: give one above 0, and 1 at most")
    if not 0 < facts.nms_threshold <= 1:
        raise ModelError(f"{name} was made without suppression, which --iou would change: leave "
                         f"it out")


def in_force(facts: ModelFacts, iou: float | None) -> ModelFacts:
    """Return the facts of a file whose suppression has another threshold, None for its own."""
    return facts if iou is None else evolve(facts, nms_threshold=iou)


def iou_limit(iou: float) -> np.ndarray:
    """Return the constant of a threshold: MXNet suppresses from it on, ONNX above it."""
    return np.array([np.nextafter(np.float32(iou), np.float32(0))], np.float32)
