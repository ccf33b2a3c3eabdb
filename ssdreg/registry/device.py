"""Devices by their names, whoever computes on them."""

from __future__ import annotations

from attrs import frozen

from ssdreg.errors import SsdregError

CPU, CUDA, MPS = "cpu", "cuda", "mps"


@frozen
class Device:
    """A device: its kind, ``cpu``, ``cuda`` or ``mps``, and which of these it is."""

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.kind == CUDA else self.kind


def parse_devices(text: str) -> tuple[Device, ...]:
    """Return the devices that ``cpu``, ``cuda``, ``cuda:0,1`` or ``mps`` names, each once.

    ``gpu``, as MXNet says, is ``cuda``. Raises SsdregError for any other text.
    """
    kind, colon, which = text.partition(":")
    kind = CUDA if kind == "gpu" else kind
    parts = which.split(",") if colon else ["0"]
    usable = kind in (CPU, CUDA, MPS) and all(part.isdecimal() for part in parts)
    if not usable or (colon and kind != CUDA) or len({*parts}) < len(parts):
        raise SsdregError(f"--device {text!r} is no device: write cpu, cuda, cuda:0,1 or mps")
    return tuple(Device(kind, int(part)) for part in parts)


def named(devices: tuple[Device, ...]) -> str:
    """Write devices as `parse_devices` reads them."""
    first = devices[0]
    if first.kind != CUDA:
        return first.kind
    return f"{CUDA}:{','.join(str(device.index) for device in devices)}"
