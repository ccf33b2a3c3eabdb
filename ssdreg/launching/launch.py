"""`launch`: one command that trains in several processes, on one machine or several."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from ssdreg.launching.finding import first_node
from ssdreg.launching.hosts import (
    LOCAL,
    Member,
    local_members,
    read_hosts,
    remote_members,
    slurm_members,
)
from ssdreg.launching.layout import Layout
from ssdreg.launching.supervising import supervise

#: Where members find each other on other machines, unless it is said otherwise.
PORT = 29500


def members(engine: str, workers: int, command: Sequence[str], *, servers: int | None = None,
            hosts: Path | None = None, slurm: bool = False, port: int | None = None
            ) -> tuple[Member, ...]:
    """Return what is to be started so that workers train together by the command's words.

    That is here, on the machines of a file by ssh, or in the allocation of Slurm's that this
    process is in. Raises LaunchError for what cannot be.
    """
    if slurm:
        root = first_node(os.environ.get("SLURM_JOB_NODELIST", ""))
        nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
        layout = Layout.of(engine, workers, servers, root, port or PORT, nodes)
        return tuple(slurm_members(layout, command))
    if hosts is not None:
        machines = read_hosts(hosts)
        layout = Layout.of(engine, workers, servers, machines[0].name, port or PORT,
                           len(machines))
        return tuple(remote_members(layout, machines, command))
    layout = Layout.of(engine, workers, servers, LOCAL, port or free_port())
    return tuple(local_members(layout, command))


def launch(started: Iterable[Member]) -> int:
    """Run the members to the end; see `supervise`."""
    return supervise(tuple(started))


def written(started: Iterable[Member]) -> str:
    """Return the commands that start members, one a line."""
    return "\n".join(f"{member.title}: {shlex.join(member.command)}" for member in started)


def free_port() -> int:
    """Return a port of this machine that nobody listens at now."""
    with socket.socket() as listening:
        listening.bind((LOCAL, 0))
        return int(listening.getsockname()[1])
