"""MXNet's devices, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg.errors import SsdregError

if TYPE_CHECKING:
    from ssdreg.mx import mx


def devices(ctx: str) -> list[mx.Context]:
    """Return the devices that ``cpu`` or ``gpu:0,1`` names; raise SsdregError for any other."""
    from ssdreg.mx import mx
    kind, _, which = ctx.partition(":")
    if kind == "cpu" and not which:
        return [mx.cpu()]
    if kind != "gpu" or not all(part.isdigit() for part in (which or "0").split(",")):
        raise SsdregError(f"--ctx {ctx!r} is no device: write cpu, gpu:0 or gpu:0,1")
    count = mx.context.num_gpus()
    numbers = [int(part) for part in (which or "0").split(",")]
    if any(number >= count for number in numbers):
        raise SsdregError(f"--ctx {ctx!r}: MXNet sees {count} GPUs here; "
                          f"the CPU wheel of MXNet sees none: use --ctx cpu")
    return [mx.gpu(number) for number in numbers]
