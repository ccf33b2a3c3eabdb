"""Which engine computes: the one that is named, or the first that can."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ssdreg.engines import MXNET
from ssdreg.errors import DependencyError, RunError
from ssdreg.registry.device import Device, named, parse_devices
from ssdreg.registry.engine import Engine
from ssdreg.registry.names import get_engine, list_engines

AUTO = "auto"


@frozen
class Choice:
    """An engine with its devices, and why it was chosen: a clause behind its name."""

    engine: Engine
    devices: tuple[Device, ...]
    reason: str

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

    def describe(self, precision: str) -> str:
        """Say what computes, where, and why."""
        return f"computed by {self.engine.name} on {named(self.devices)} in {precision}, " \
               f"{self.reason}"


def choose_engine(engine: str | Engine = AUTO, device: str = "cpu", before: str | None = None
                  ) -> Choice:
    """Return the engine of a name; or, with "auto", the first that can compute on these devices.

    That is the one that computed `before`, then those of plug-ins, MXNet last. Raises
    UnknownNameError for a name that no engine has, SsdregError for a text that names no device, and
    DependencyError where the engine, or every engine, cannot compute there.
    """
    devices = parse_devices(device)
    if engine != AUTO:
        chosen = get_engine(engine)
        reason = chosen.why_not(devices)
        if reason:
            raise DependencyError(f"the engine {chosen.name} {reason}")
        return Choice(chosen, devices, "as asked for")
    refused: dict[str, str] = {}
    for candidate in _candidates(before):
        reason = candidate.why_not(devices)
        if not reason:
            return Choice(candidate, devices, _why(candidate, before, refused))
        refused[candidate.name] = reason
    raise DependencyError("; ".join(f"the engine {name} {reason}"
                                    for name, reason in refused.items()))


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
