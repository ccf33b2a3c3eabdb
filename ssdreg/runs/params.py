"""Parameters of a network, and MXNet's ``.params`` files of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from ssdreg_runtime.system.files import replacing

from ssdreg.runs.arrays import read_arrays
from ssdreg.runs.checksums import note, withdraw

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen
class Params:
    """Parameters by name: arguments, and auxiliary states (batch norm's running moments)."""

    args: Mapping[str, mx.nd.NDArray]
    auxs: Mapping[str, mx.nd.NDArray]


def read_params(file: Path) -> Params:
    """Read a ``.params`` file of MXNet.

    Raises RunError when it is none, is damaged, or holds numbers that are none.
    """
    return by_kind(read_arrays(file))


def write_params(file: Path, params: Params) -> None:
    """Write a ``.params`` file that ``mx.model.load_checkpoint`` reads, whole or not at all.

    Where a checksum of the file was noted, in the folder of a run, the new one takes its place.
    """
    from ssdreg.mx import save_arrays
    known = withdraw(file.parent, file.name)
    with replacing(file) as beside:
        save_arrays(beside, named(params))
    if known:
        note(file.parent, file.name)


def named(params: Params) -> dict[str, mx.nd.NDArray]:
    """Return parameters by the names that MXNet's files give them: ``arg:NAME``, ``aux:NAME``."""
    return {**{f"arg:{name}": array for name, array in params.args.items()},
            **{f"aux:{name}": array for name, array in params.auxs.items()}}


def by_kind(arrays: Mapping[str, mx.nd.NDArray]) -> Params:
    """Return the parameters that these names stand for; without a kind they are arguments."""
    parts: dict[str, dict[str, mx.nd.NDArray]] = {"arg": {}, "aux": {}}
    for key, array in arrays.items():
        kind, colon, name = key.partition(":")
        parts[kind if colon and kind in parts else "arg"][name if colon else key] = array
    return Params(parts["arg"], parts["aux"])
