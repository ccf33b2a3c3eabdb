"""What the training loop asks of the engine that computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from attrs import field, frozen

from ssdreg.detector.plan import Plan
from ssdreg.engines.processes import Alone, Group
from ssdreg.errors import RunError
from ssdreg.progress import Progress, silent
from ssdreg.registry.device import Device, named
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import SHOWN, TRAIN_OUTPUTS
from ssdreg.registry.names import list_engines
from ssdreg.runs.params import Params
from ssdreg.training.freezing import INPUTS, backbone_parameters, fixed, with_fixed_norms
from ssdreg.training.network import Network
from ssdreg.training.options import TrainOptions
from ssdreg.training.state_file import Sums

if TYPE_CHECKING:
    from ssdreg.data import DetectionIter
    from ssdreg.mx import mx


@frozen(eq=False)
class Lesson:
    """What is to be trained: a network, by a recipe, on devices.

    - `symbol`: what a step computes from ``data`` (B, 3, H, W) and ``label`` (B, M, 6), both
      float32; its first outputs are those of `TRAIN_OUTPUTS`, in their order. Normalisations that
      are frozen use their running moments in it.
    - `deploy`: the symbol that detects
    - `frozen`: the parameters that stay as they are
    - `rates`: what the learning rate is multiplied by, by parameter; 1 for those that are not there
    - `shapes`: of the ``data`` and ``label`` of a batch, or of this process's part of it
    - `devices`: what that is divided among evenly; all are of one kind
    - `group`: the processes that learn together, each from its part of every batch; one alone
      learns from the whole
    - `precision`: what the network is computed in, see `Engine.precisions`
    - `steps`: how many the whole run has; 0 where that is not known
    - `tell`: is called with a `Note` of what the engine decides on the way
    """

    symbol: mx.sym.Symbol = field(repr=False)
    deploy: mx.sym.Symbol = field(repr=False)
    plan: Plan
    options: TrainOptions
    frozen: tuple[str, ...]
    rates: Mapping[str, float] = field(repr=False)
    shapes: Mapping[str, tuple[int, ...]]
    devices: tuple[Device, ...]
    precision: str
    group: Group = field(factory=Alone)
    steps: int = 0
    tell: Progress = field(default=silent, repr=False)


def prepare_lesson(network: Network, options: TrainOptions, devices: tuple[Device, ...],
                   precision: str, shapes: Mapping[str, tuple[int, ...]],
                   group: Group | None = None, *, steps: int = 0, tell: Progress = silent
                   ) -> Lesson:
    """Return what a network learns by a recipe; the arguments are the lesson's.

    Raises RunError when a batch cannot be divided among the devices, and for what cannot be frozen.
    """
    from ssdreg.mx import mx
    group = group or Alone()
    check_devices(options, devices, group.processes.count)
    symbol, plan = network.train, network.plan
    outputs = mx.sym.Group([symbol[name] for name in step_outputs(symbol)])
    stays = fixed(outputs, plan, options)
    outputs = with_fixed_norms(outputs, stays.norms)
    return Lesson(outputs, network.deploy, plan, options, stays.parameters,
                  head_rates(outputs, plan, options.head_lr), shapes, devices, precision, group,
                  steps, tell)


def check_devices(options: TrainOptions, devices: tuple[Device, ...], processes: int = 1) -> None:
    """Raise RunError when the recipe cannot be followed on these devices of each process.

    That is when the batch cannot be divided evenly, or when batch normalisation is to take moments
    over several devices of one process.
    """
    parts = processes * len(devices)
    if options.batch_size % parts:
        what = f"{processes} processes" if processes > 1 else f"{parts} devices"
        raise RunError(f"a batch of {options.batch_size} cannot be divided among {what}: choose a "
                       f"multiple of {parts}")
    if options.sync_norm and len(devices) > 1:
        raise RunError(f"--sync-norm takes moments over processes, and {named(devices)} are "
                       f"devices of one: start a process for each by torchrun, or leave it out")


def check_recomputation(options: TrainOptions, engine: Engine) -> None:
    """Raise RunError when the recipe wants recomputation, which the engine does not have."""
    if options.recompute and not engine.recomputes:
        others = [other.name for other in list_engines() if other.recomputes]
        raise RunError(f"--recompute: the engine {engine.name} keeps what the backward pass needs "
                       f"and computes nothing again: choose --engine {others[0]}, a smaller "
                       f"--batch-size, or leave it out")


def step_outputs(symbol: mx.sym.Symbol) -> list[str]:
    """Return the outputs of a training symbol that a step needs: those read, then other losses.

    The detections are left out, because non-maximum suppression in every step costs time and
    teaches nothing.
    """
    others = [name for name in symbol.list_outputs() if name not in (*TRAIN_OUTPUTS, SHOWN)]
    return [*TRAIN_OUTPUTS, *others]


def head_rates(symbol: mx.sym.Symbol, plan: Plan, factor: float) -> dict[str, float]:
    """Return the multiplier of the learning rate for every parameter behind the backbone.

    It is `factor` times the one that the symbol itself gives a parameter.
    """
    attributes, backbone = symbol.attr_dict(), backbone_parameters(symbol, plan)
    return {name: factor * float(attributes.get(name, {}).get("__lr_mult__", 1))
            for name in symbol.list_arguments() if name not in {*backbone, *INPUTS}}


class Learner(Protocol):
    """A training symbol on its devices, with parameters and the state of their optimizer.

    It is made for one run: its symbol, its recipe and the shape of its batches stay the same.
    """

    def begin(self, params: Params) -> None:
        """Start with parameters, all that the symbol has, and with an optimizer's first state."""

    def restore(self, params: Params, optimizer: Mapping[str, mx.nd.NDArray], updates: int) -> None:
        """Go on from parameters, and from the optimizer's state after so many updates."""

    def step(self, batch: mx.io.DataBatch, rate: float) -> Sums:
        """Learn from a batch with a learning rate; return its losses and what counted.

        Of several processes each is given its part, and returns that part's numbers; all have the
        same parameters afterwards.
        """

    def params(self) -> Params:
        """Return the parameters as they are after the last step, float32.

        Running moments are means over devices and processes. Here, and where it detects, a process
        does not wait for the others.
        """

    def optimizer(self) -> Mapping[str, mx.nd.NDArray]:
        """Return the optimizer's state: arrays called ``PARAMETER.SLOT``, slots counted from 0.

        Slots are MXNet's: the momentum of sgd and nag, which holds steps; the running mean and the
        running square of adam and lamb. Another engine goes on from them.
        """

    def detect(self, batches: DetectionIter, params: Params
               ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Detect with these parameters of the same network; see `Inference.detect_all`."""
