"""The machines of a job: a file with a line for each, and the commands that start members there."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen
from ssdreg_runtime.system.threads import VARIABLE

from ssdreg.errors import LaunchError
from ssdreg.launching.layout import WORKER, Layout, Place
from ssdreg.launching.telling import MODULE, words

#: ssh asks nothing, and gives up a machine that has not answered for some 20 seconds.
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5",
       "-o", "ServerAliveCountMax=3")
LOCAL = "127.0.0.1"
#: What of this process's environment members on other machines are given too, where it is set.
CARRIED = (VARIABLE, "SSDREG_OFFLINE")


@frozen
class Host:
    """A machine: its name or address for ssh, and how many workers it takes."""

    name: str
    workers: int = 1


@frozen
class Member:
    """A process to start: what it is called, what it is, and the command that starts it."""

    title: str
    role: str
    command: tuple[str, ...]


def read_hosts(file: Path) -> tuple[Host, ...]:
    """Read a file with a machine a line: a name, and the number of its workers, 1 if left out.

    Raises LaunchError for a file that cannot be read, or a line that is none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f"{file} cannot be read as a list of machines: {error}") from error
    hosts = []
    for number, line in enumerate(lines, 1):
        name, *counts = line.partition("#")[0].split() or [""]
        if not name:
            continue
        # ssh would take it for an option
        if name.startswith("-") or len(counts) > 1 or not all(
                count.isdecimal() and int(count) for count in counts):
            raise LaunchError(f"{file}, line {number}: {line.strip()!r} is no machine: write its "
                              f"name, and behind it how many workers it takes, 1 or more")
        hosts.append(Host(name, *map(int, counts)))
    if not hosts:
        raise LaunchError(f"{file} names no machine: write one a line")
    return tuple(hosts)


def placed(layout: Layout, hosts: Sequence[Host]) -> tuple[tuple[Host, Place], ...]:
    """Return where each member runs: workers as the machines take them, in their order.

    The scheduler is on the first machine, and servers are given out in turns. Raises LaunchError
    where the machines take fewer workers than there are.
    """
    taken = [host for host in hosts for _ in range(host.workers)][:layout.workers]
    if len(taken) < layout.workers:
        raise LaunchError(f"{layout.workers} workers are wanted, and the {len(hosts)} machines "
                          f"take {len(taken)}: name more, or write a number behind a name")
    others = [hosts[0], *(hosts[server % len(hosts)] for server in range(layout.servers))]
    workers = [(host, Place(taken[:rank].count(host), taken.count(host), host.name))
               for rank, host in enumerate(taken)]
    return (*((host, Place(address=host.name)) for host in others[:layout.first_worker]), *workers)


def local_members(layout: Layout, command: Sequence[str]) -> Iterator[Member]:
    """Yield the members of a job on this machine."""
    (host,) = (Host(LOCAL, layout.workers),)
    for member, (_, place) in enumerate(placed(layout, (host,))):
        yield Member(layout.title(member), layout.role(member), (
            sys.executable, "-m", MODULE, *words(layout, member, place), "--", *command))


def remote_members(layout: Layout, hosts: Sequence[Host], command: Sequence[str]
                   ) -> Iterator[Member]:
    """Yield the members of a job on several machines, started by ssh in the folder of this name.

    Python is the one that runs here, under the same path there.
    """
    carried = [f"{name}={os.environ[name]}" for name in CARRIED if name in os.environ]
    for member, (host, place) in enumerate(placed(layout, hosts)):
        line = shlex.join((*(("env", *carried) if carried else ()), sys.executable, "-m", MODULE,
                           *words(layout, member, place), "--", *command))
        yield Member(f"{layout.title(member)} on {host.name}", layout.role(member), (
            *SSH, host.name, f"cd {shlex.quote(str(Path.cwd()))} && exec {line}"))


def slurm_members(layout: Layout, command: Sequence[str]) -> Iterator[Member]:
    """Yield the one command of Slurm's that starts all members, one a task.

    Each finds out by its task's number which it is.
    """
    yield Member("srun", WORKER, (
        "srun", f"--ntasks={layout.members}", "--distribution=cyclic", "--kill-on-bad-exit=1",
        "--unbuffered", sys.executable, "-m", MODULE, *words(layout), "--", *command))
