"""Who is who among the processes of a job: a scheduler, servers and workers, by their number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from ssdreg.engines import MXNET
from ssdreg.errors import LaunchError

SCHEDULER, SERVER, WORKER = "scheduler", "server", "worker"


@frozen
class Place:
    """Where a worker stands on its machine: `rank` of `count`, and the `address` it is found at.

    An empty address, or a name, leaves that to the machine.
    """

    rank: int = 0
    count: int = 1
    address: str = ""


@frozen(kw_only=True)
class Layout:
    """A job: so many `workers` and `servers`, who find each other at `root`:`port`.

    Members are numbered from 0. With servers, the scheduler is the first, and the servers come
    before the workers; without any, as engines other than MXNet want it, all are workers. `root` is
    the machine of the first.
    """

    workers: int
    servers: int
    root: str
    port: int

    @classmethod
    def of(cls, engine: str, workers: int, servers: int | None, root: str, port: int,
           machines: int = 1) -> Layout:
        """Return the layout that an engine wants; MXNet has a server on each of the machines.

        `servers` may ask for another number. One worker has nothing to sum up, and no server.
        Raises LaunchError for numbers that cannot be.
        """
        if workers < 1:
            raise LaunchError(f"--workers {workers}: at least one is needed")
        if engine != MXNET:
            if servers:
                raise LaunchError(f"--servers {servers}: the engine {engine} has no servers, its "
                                  f"workers send to each other: leave it out")
            return cls(workers=workers, servers=0, root=root, port=port)
        if servers is not None and servers < 1:
            raise LaunchError(f"--servers {servers}: MXNet needs at least one")
        count = (servers or min(machines, workers)) if workers > 1 else 0
        return cls(workers=workers, servers=count, root=root, port=port)

    @property
    def first_worker(self) -> int:
        """The number of the first worker among the members."""
        return 1 + self.servers if self.servers else 0

    @property
    def members(self) -> int:
        """How many processes there are."""
        return self.first_worker + self.workers

    def role(self, member: int) -> str:
        """Return what a member is."""
        if member >= self.first_worker:
            return WORKER
        return SERVER if member else SCHEDULER

    def title(self, member: int) -> str:
        """Return what a member is called in messages: ``worker 1 of 4``."""
        role = self.role(member)
        if role == SCHEDULER:
            return role
        first, count = ((self.first_worker, self.workers) if role == WORKER
                        else (1, self.servers))
        return f"{role} {member - first} of {count}"

    def environment(self, member: int, place: Place) -> Mapping[str, str]:
        """Return what a member is told in its environment.

        A worker is told its rank as torchrun does it, for every engine, and all that servers are
        for what ps-lite reads.
        """
        told: dict[str, str] = {}
        if self.servers:
            # the scheduler tells the others the address that it is given here
            is_root = self.role(member) == SCHEDULER
            root = place.address if is_root and place.address else self.root
            told.update(DMLC_ROLE=self.role(member), DMLC_PS_ROOT_URI=root,
                        DMLC_PS_ROOT_PORT=str(self.port), DMLC_NUM_WORKER=str(self.workers),
                        DMLC_NUM_SERVER=str(self.servers))
            if place.address:
                told["DMLC_NODE_HOST"] = place.address
            if root != self.root:
                told["DMLC_USE_KUBERNETES"] = "1"  # ps-lite's word for: listen at all addresses
        if self.role(member) == WORKER:
            told.update(RANK=str(member - self.first_worker), WORLD_SIZE=str(self.workers),
                        LOCAL_RANK=str(place.rank), LOCAL_WORLD_SIZE=str(place.count),
                        MASTER_ADDR=self.root, MASTER_PORT=str(self.port))
        return MappingProxyType(told)
