"""The passes of training compiled by torch.compile, where that pays within the run.

Compiling takes a minute or two, and makes a step faster by a share that is known when it was
measured. So a run first takes some steps without it. Where what is expected to be saved in the
steps that are left is well above what compiling is expected to cost, the passes are compiled beside
the training, both are timed on the batch at hand, and the faster go on. PyTorch keeps
what was compiled in the cache folder that `ssdreg_torch.devices` names, and finds it again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor, nn

from ssdreg.errors import RunError
from ssdreg.progress import Note
from ssdreg_torch.module import Result, SymbolModule
from ssdreg_torch.precision import computing_in

if TYPE_CHECKING:
    from ssdreg.training.learner import Lesson
    from ssdreg_torch.processes import TorchGroup

#: Steps without compiled code: first those that are not timed, since what they need is made in
#: them, then those that are.
WARM_UP, TIMED = 2, 4
#: What is to be saved is at least so many times the cost, as neither is known before.
PAYS = 2.0


#: What compiles, by PyTorch's name.
BACKEND = "inductor"


@frozen
class Expectation:
    """What compiling is expected to take, in seconds, and to save, as a share of a step."""

    seconds: float
    saving: float

    def pays(self, steps: int, seconds: float) -> bool:
        """Tell whether so many steps, of so many seconds each, are worth compiling for."""
        return steps * seconds * self.saving > PAYS * self.seconds


#: By the kind of a device. On a processor (two cores of an AMD EPYC, PyTorch 2.13) resnet18 at
#: 128x128 takes 94 to 108 s beside other work and 5 s when it is found in the cache, and its step
#: 20% less; the plain statement of resnet50 at 300x300 takes 55 s, and 8% less. On GPUs nothing was
#: measured here: the same seconds, and a smaller saving, are a guess, which the measuring corrects.
EXPECTED: Mapping[str, Expectation] = MappingProxyType({
    "cpu": Expectation(100.0, 0.15), "cuda": Expectation(100.0, 0.1)})


class SwitchedModule(nn.Module):
    """A symbol's module, computed operator by operator until it is given compiled code."""

    def __init__(self, module: SymbolModule) -> None:
        super().__init__()
        self.module = module
        self.call: Callable[..., Result] = module.forward

    def forward(self, **inputs: Tensor) -> Result:
        """Compute the module; see `SymbolModule.forward`."""
        return self.call(**inputs)


class Compiling:
    """What decides, in the first steps of a run, whether its passes are compiled.

    The option `compile` of the recipe says "on": before the first step, whatever it costs; "off":
    never; or "auto": where it pays. Several processes decide together.
    """

    def __init__(self, modules: Sequence[SwitchedModule], lesson: Lesson, device: torch.device,
                 group: TorchGroup | None, steps: int) -> None:
        self._modules, self._lesson, self._device = modules, lesson, device
        self._group, self._left = group, steps
        self._wanted = lesson.options.compile
        self._expected = EXPECTED.get(device.type)
        self._seconds: list[float] = []
        self._open = self._wanted != "off" and not (
            self._wanted == "auto" and self._expected is None)

    def before_step(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Compile if it is time to; `batches` are the images and labels for each module."""
        if not self._open:
            return
        if self._wanted == "on":
            self._open = False
            self._compile(batches, f"--compile {self._wanted}")
        elif len(self._seconds) == WARM_UP + TIMED:
            self._open = False
            step = self._mean(statistics.median(self._seconds[WARM_UP:]))
            if self._expected is not None and self._expected.pays(self._left, step):
                self._compile(batches, f"{self._left:,} steps of {step:.2g} s are left, --compile "
                                       f"off leaves it out")

    def after_step(self, seconds: float) -> None:
        """Note how long a step took."""
        self._left -= 1
        if self._open:
            self._seconds.append(seconds)

    def _compile(self, batches: Sequence[tuple[Tensor, Tensor]], reason: str) -> None:
        """Compile and time; then go on with what is faster, or where that is asked for with it."""
        tell = self._lesson.tell
        tell(Note(f"compiling the network by torch.compile, which takes minutes where it is not in "
                  f"the cache ({reason})"))
        began = time.perf_counter()
        why_not = self._unable()
        if why_not:
            tell(Note(f"not compiled, the training goes on without: {why_not}"))
            return
        try:
            calls = [torch.compile(switched.module.forward, backend=BACKEND, fullgraph=True,
                                   dynamic=False, **self._mode()) for switched in self._modules]
            for call, switched, (images, label) in zip(calls, self._modules, batches):
                self._passes(call, switched.module, images, label)
        except Exception as error:  # a compiler may raise anything
            reason = _sentence(error)
            if self._group is not None:  # the others wait in the middle of their passes
                raise RunError(f"torch.compile failed in one of several processes: give --compile "
                               f"off ({reason})") from error
            tell(Note(f"not compiled, the training goes on without: {reason}"))
            return
        spent = time.perf_counter() - began
        module, (images, label) = self._modules[0].module, batches[0]
        # in turns, since other programs take their share of the machine
        rounds = [[self._passes(call, module, images, label) for call in (module.forward, calls[0])]
                  for _ in range(TIMED)]
        plain, compiled = (self._mean(min(seconds)) for seconds in zip(*rounds))
        times = f"{compiled:.3g} s forward and back, {plain:.3g} s without"
        if compiled >= plain and self._wanted == "auto":
            tell(Note(f"compiled in {spent:.0f} s and no faster, so not used: {times}"))
            return
        for switched, call in zip(self._modules, calls):
            switched.call = call
        tell(Note(f"compiled in {spent:.0f} s: {times}"))

    def _mode(self) -> dict[str, Any]:
        # CUDA graphs, where one module has one device and no other process is waited for in it
        graphs = (self._device.type == "cuda" and self._group is None and len(self._modules) == 1)
        return {"mode": "reduce-overhead"} if graphs else {}

    def _unable(self) -> str:
        """Return why some process cannot compile at all; empty where all can.

        A process by itself finds that out with its own network.
        """
        if self._group is None:
            return ""
        reason = ""
        try:
            torch.compile(_little)(torch.zeros(64, device=self._device))
        except Exception as error:  # a compiler may raise anything
            reason = _sentence(error)
        failed, = self._group.sum((float(bool(reason)),))
        return (reason or "another process cannot") if failed else ""

    def _passes(self, call: Callable[..., Any], module: SymbolModule, images: Tensor, label: Tensor
                ) -> float:
        """Return the seconds of the passes forward and back, which leave the module as it was."""
        moments = module.moments()
        before = {name: moment.clone() for name, moment in moments.items()}
        began = time.perf_counter()
        try:
            with computing_in(self._lesson.precision, images.device):
                _, loss = call(data=images, label=label)
            torch.autograd.grad(loss, [parameter for parameter in module.parameters()
                                       if parameter.requires_grad], allow_unused=True)
            if images.device.type == "cuda":
                torch.cuda.synchronize(images.device)
            return time.perf_counter() - began
        finally:
            with torch.no_grad():
                for name, moment in moments.items():
                    moment.copy_(before[name])

    def _mean(self, seconds: float) -> float:
        """Return the mean over all processes, by which all decide the same."""
        if self._group is None:
            return seconds
        total, = self._group.sum((seconds,))
        return total / self._group.processes.count


def _little(tensor: Tensor) -> Tensor:
    return tensor.sin() + 1


def _sentence(error: Exception) -> str:
    """Return what an error of a compiler says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
