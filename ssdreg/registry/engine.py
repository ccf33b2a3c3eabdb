"""What a plug-in declares: an engine, which trains and runs what a symbol says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import field, frozen, validators

from ssdreg.registry.converters import are_names, as_aliases, as_tuple, is_listed, is_name, is_text
from ssdreg.registry.device import Device
from ssdreg.registry.lazy_reference import Reference, resolve, valid_reference

if TYPE_CHECKING:
    import numpy as np
    from ssdreg_runtime.backends import Backend

    from ssdreg.deploy.model import DeployModel
    from ssdreg.engines.processes import Group, Processes
    from ssdreg.training.learner import Learner, Lesson


@frozen(kw_only=True)
class Engine:
    """What computes the symbols that ssdreg assembles and verifies, as a plug-in declares it.

    The functions are callables, or texts ``"module:function"`` that are imported when they are
    first called:

    - `unmet(devices) -> str`: why it cannot compute on these devices in this process, a clause
      behind its name ("needs the package torch, which is not installed"); empty where it can.
      `devices` are `Device` values, at least one, all of one kind.
    - `precisions(device) -> tuple of str`: what it trains in on a device, the fastest first:
      float32, bfloat16, float16. Parameters, losses and updates are float32 in all of them.
    - `learner(lesson) -> Learner`: what trains a network, see `ssdreg.training.learner`.
    - `backend(model, device, threads, precision) -> Backend`: what runs a `DeployModel`, with the
      protocol of `ssdreg_runtime.backends`; `threads` is None where nobody asked for a number, and
      `precision` "auto" or one of that module's. Raises ModelError for one that it has not.
    - `export(model, training, folder)`: writes a detector with its training symbol as a program
      of its own, into an empty folder; None where it writes none.
    - `compiles`: whether it compiles networks that it trains, as the option `compile` of the
      recipe says; the others compute all in one way.
    - `detect_exported(folder, images) -> detections`: what the program in such a folder finds in
      images (B, H, W, 3) uint8, as a `Backend` returns it; None where a folder cannot be compared.
    - `recomputes`: whether it trains with `TrainOptions.recompute`.
    - `wires`: what its processes can send gradients in to each other, of `TrainOptions.wire`.
    - `join(processes, device) -> Group`: connects this process with those that train one network
      with it, on this device; see `ssdreg.engines.processes`. None where it trains in one process
      only.
    """

    name: str = field(validator=is_name)
    summary: str = field(validator=is_text)
    unmet: Reference = field(validator=valid_reference, repr=False)
    precisions: Reference = field(validator=valid_reference, repr=False)
    learner: Reference = field(validator=valid_reference, repr=False)
    backend: Reference = field(validator=valid_reference, repr=False)
    export: Reference | None = field(
        default=None, validator=validators.optional(valid_reference), repr=False)
    detect_exported: Reference | None = field(
        default=None, validator=validators.optional(valid_reference), repr=False)
    join: Reference | None = field(
        default=None, validator=validators.optional(valid_reference), repr=False)
    compiles: bool = field(default=False, validator=validators.instance_of(bool))
    recomputes: bool = field(default=False, validator=validators.instance_of(bool))
    wires: tuple[str, ...] = field(default=("float32",), converter=as_tuple,
                                   validator=[is_listed, are_names])
    aliases: tuple[str, ...] = field(
        default=(), converter=as_aliases, validator=[is_listed, are_names])

    @property
    def several_processes(self) -> bool:
        """Whether processes that were started together train one network together."""
        return self.join is not None

    def why_not(self, devices: Sequence[Device]) -> str:
        """Return why it cannot compute on these devices here; empty where it can."""
        return str(resolve(self.unmet)(tuple(devices)))

    def precisions_on(self, device: Device) -> tuple[str, ...]:
        """Return what it trains in on a device, the fastest first."""
        return tuple(resolve(self.precisions)(device))

    def learn(self, lesson: Lesson) -> Learner:
        """Return what trains a network."""
        return cast("Learner", resolve(self.learner)(lesson))

    def connect(self, processes: Processes, device: Device) -> Group:
        """Connect this process with the others; only where there is `join`."""
        assert self.join is not None
        return cast("Group", resolve(self.join)(processes, device))

    def open_backend(self, model: DeployModel, device: Device, threads: int | None,
                     precision: str) -> Backend:
        """Return what runs a detector on a device."""
        return cast("Backend", resolve(self.backend)(model, device, threads, precision))

    def write(self, model: DeployModel, training: object, folder: Path) -> None:
        """Write a detector as a program of its own; only where there is `export`."""
        assert self.export is not None
        resolve(self.export)(model, training, folder)

    def run_exported(self, folder: Path, images: np.ndarray) -> np.ndarray:
        """Detect by what was written to a folder; only where there is `detect_exported`."""
        assert self.detect_exported is not None
        return cast("np.ndarray", resolve(self.detect_exported)(folder, images))
