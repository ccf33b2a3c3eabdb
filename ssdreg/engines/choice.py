"""Which engine computes: the one that is named, or the first that can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from attrs import frozen
from ssdreg_runtime.backends import AUTO

from ssdreg.engines import MXNET
from ssdreg.engines.processes import ALONE, Alone, Group, Processes
from ssdreg.errors import DependencyError, RunError
from ssdreg.registry.device import Device, named, parse_devices
from ssdreg.registry.engine import Engine
from ssdreg.registry.names import get_engine, list_engines


@frozen
class Choice:
    """An engine with its devices, and why it was chosen: a clause behind its name.

    `processes` is where this process stands among those that train together; `devices` are its own.
    """

    engine: Engine
    devices: tuple[Device, ...]
    reason: str
    processes: Processes = ALONE

    def precision(self, wanted: str) -> str:
        """Return what to train in: what is wanted, or with "auto" the fastest that there is.

        Raises RunError for what the engine does not train in on these devices.
        """
        there = self.engine.precisions_on(self.devices[0])
        if wanted == AUTO:
            return there[0]
        if wanted not in there:
            raise RunError(f"--precision {wanted}: the engine {self.engine.name} trains in "
                           f"{' or '.join(there)} on {named(self.devices)} here")
        return wanted

    def check_compile(self, wanted: str) -> None:
        """Raise RunError where compiling is asked for, and the engine does not compile."""
        if wanted == "on" and not self.engine.compiles:
            raise RunError(f"--compile on: the engine {self.engine.name} does not compile: leave "
                           f"it out")

    def check_wire(self, wanted: str) -> None:
        """Raise RunError where the engine's processes cannot send gradients in this."""
        if wanted not in self.engine.wires:
            raise RunError(f"--wire {wanted}: processes of the engine {self.engine.name} send "
                           f"gradients in {' or '.join(self.engine.wires)}")

    def describe(self, precision: str) -> str:
        """Say what computes, where, and why."""
        count = self.processes.count
        shared = f" by {count} processes" if count > 1 else ""
        return (f"computed by {self.engine.name} on {named(self.devices)} in {precision}{shared}, "
                f"{self.reason}")

    @contextmanager
    def connected(self) -> Iterator[Group]:
        """Yield the processes that train together, connected; this one where it is alone."""
        if self.processes.count == 1:
            yield Alone(self.processes)
            return
        with closing(self.engine.connect(self.processes, self.devices[0])) as group:
            yield group
            group.finish()


def choose_engine(engine: str | Engine = AUTO, device: str = "cpu", before: str | None = None,
                  processes: Processes = ALONE) -> Choice:
    """Return the engine of a name; or, with "auto", the first that can compute on these devices.

    That is the one that computed `before`, then those of plug-ins, MXNet last; of several
    `processes` each chooses the same, and has devices of its own. Raises UnknownNameError for a
    name that no engine has, SsdregError for a text that names no device, DependencyError where the
    engine, or every engine, cannot compute there, and RunError where it cannot in several
    processes.
    """
    devices = processes.own_devices(parse_devices(device))
    if engine != AUTO:
        chosen = get_engine(engine)
        reason = chosen.why_not(devices)
        if reason:
            raise DependencyError(f"the engine {chosen.name} {reason}")
        if processes.count > 1 and not chosen.several_processes:
            raise RunError(f"the engine {chosen.name} {_one_process(processes)}")
        return Choice(chosen, devices, "as asked for", processes)
    refused: dict[str, str] = {}
    for candidate in _candidates(before):
        reason = candidate.why_not(devices)
        if not reason and processes.count > 1 and not candidate.several_processes:
            reason = _one_process(processes)
        if not reason:
            return Choice(candidate, devices, _why(candidate, before, refused), processes)
        refused[candidate.name] = reason
    error = DependencyError if processes.count == 1 else RunError
    raise error("; ".join(f"the engine {name} {reason}" for name, reason in refused.items()))


def _one_process(processes: Processes) -> str:
    others = [engine.name for engine in list_engines() if engine.several_processes]
    instead = f", or with --engine {others[0]}" if others else ""
    return (f"trains in one process, and {processes.count} were started together: start "
            f"one{instead}")


def _candidates(before: str | None) -> Sequence[Engine]:
    """Return all engines, in the order in which they are preferred."""
    return sorted(list_engines(), key=lambda engine: (engine.name != before, engine.name == MXNET))


def _why(engine: Engine, before: str | None, refused: dict[str, str]) -> str:
    if engine.name == before:
        return "as before"
    others = [other.name for other in list_engines()
              if other.name != engine.name and other.name not in refused]
    if others:
        return f"which is installed; --engine {others[-1]} is another"
    if refused:
        return "since " + "; and ".join(f"{name} {reason}" for name, reason in refused.items())
    return "the only engine installed"
