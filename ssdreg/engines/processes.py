"""Processes that train one network together, as torchrun starts them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from attrs import frozen

from ssdreg.errors import RunError
from ssdreg.registry.device import CPU, CUDA, Device

#: What torchrun calls a job that it was given no name for.
_NAMELESS = "none"


@frozen(kw_only=True)
class Processes:
    """Where this process stands among those that were started together.

    - `rank` of `count`: its number, from 0, among all; `local_rank` of `local_count`: among those
      of its machine
    - `job`: a text that one call of torchrun, with all its restarts, has for itself; empty where
      something else started the process
    - `restarts`: how often torchrun has started the job's processes again
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    job: str = ""
    restarts: int = 0

    @property
    def is_first(self) -> bool:
        """Whether it is the one that validates, writes and tells."""
        return self.rank == 0

    def own_devices(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """Return which of a machine's devices are this process's.

        Alone it has all. One of several has one GPU: of a single one that is named, that and those
        that follow are given out; of several, each. Raises RunError where that does not come out
        even, and for devices that processes cannot share a training on.
        """
        if self.count == 1 or devices[0].kind == CPU:
            return devices
        if devices[0].kind != CUDA:
            raise RunError(f"{self.count} processes cannot train together on {devices[0].kind}: "
                           f"give --device cpu or cuda, or start one process")
        if len(devices) == 1:
            return (Device(CUDA, devices[0].index + self.local_rank),)
        if len(devices) != self.local_count:
            raise RunError(f"{self.local_count} processes cannot share {len(devices)} GPUs: start "
                           f"one process for each GPU that --device names")
        return (devices[self.local_rank],)


#: A process that trains by itself.
ALONE = Processes()


def started_together(environment: Mapping[str, str] = os.environ) -> Processes:
    """Return where this process stands, by what torchrun sets in its environment.

    Those are ``RANK`` and ``WORLD_SIZE``; the rest is taken from ``LOCAL_RANK``,
    ``LOCAL_WORLD_SIZE``, ``TORCHELASTIC_RUN_ID`` and ``TORCHELASTIC_RESTART_COUNT`` where they are
    set. Raises RunError for what are no numbers, or cannot be.
    """
    if not {"RANK", "WORLD_SIZE"} <= {*environment}:
        return ALONE
    rank, count, local_rank, local_count, restarts = (
        _number(environment, name, default) for name, default in (
            ("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"),
            ("TORCHELASTIC_RESTART_COUNT", "0")))
    if rank >= count:
        raise RunError(f"RANK={rank} in the environment is no number of one of {count} processes "
                       f"(WORLD_SIZE), counted from 0: start them by torchrun, or unset both")
    return Processes(rank=rank, count=count, local_rank=local_rank,
                     local_count=max(1, local_count), job=_job(environment), restarts=restarts)


def _number(environment: Mapping[str, str], name: str, default: str) -> int:
    text = environment.get(name, default)
    if not text.isdecimal():
        raise RunError(f"{name}={text} in the environment is no number: start processes by "
                       f"torchrun, or unset RANK and WORLD_SIZE to train in one")
    return int(text)


def _job(environment: Mapping[str, str]) -> str:
    name = environment.get("TORCHELASTIC_RUN_ID", "")
    # without a name it is known by torchrun's own process, which outlives those that it restarts
    return f"{socket.gethostname()}-{os.getppid()}" if name == _NAMELESS else name


class Group(Protocol):
    """The processes that train together, as an engine connects them.

    Every process calls the same functions in the same order. They raise RunError where another
    process has ended.
    """

    @property
    def processes(self) -> Processes:
        """Where this process stands among them."""

    def sum(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the sums over all processes, the same for each."""

    def finish(self) -> None:
        """Say that this process has come to the end; after an error it does not."""

    def close(self) -> None:
        """Part from the others, whatever happened."""


class Alone:
    """A process that trains by itself; see `Group`."""

    def __init__(self, processes: Processes = ALONE) -> None:
        self.processes = processes

    def sum(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the values."""
        return tuple(map(float, values))

    def finish(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def any_says(group: Group, said: bool) -> bool:
    """Tell whether any process says so; all are told the same."""
    return group.sum((float(said),))[0] > 0


def wait(group: Group) -> None:
    """Return when all processes have come here."""
    group.sum((0.0,))


@contextmanager
def one_a_machine_first(group: Group) -> Iterator[None]:
    """Let one process of each machine through, and the others when these are done.

    For what is kept in a cache: the first makes it, and the others find it.
    """
    if group.processes.local_rank:
        wait(group)
    yield
    if not group.processes.local_rank:
        wait(group)
