"""Processes that train together, connected by MXNet's KVStore over ps-lite.

Workers send what is to be summed to the servers, and fetch the sums: the gradients of a step, the
running moments, and the few numbers of the loop. Each worker then updates its own copy of the
parameters, so that the state of the optimizer is where checkpoints are written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssdreg.engines.processes import Processes
from ssdreg.errors import RunError
from ssdreg.registry.device import Device

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: What ps-lite reads from the environment, without which a process finds no other.
NEEDED = ("DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER",
          "DMLC_NUM_SERVER")
#: What the names of sums begin with on the servers, where parameters have their own names.
_SUM = "ssdreg:"


class MXNetGroup:
    """Processes connected by a KVStore ``dist_sync``; see `Group` of `ssdreg.engines.processes`.

    ps-lite waits for ever where another process has ended: what started the processes ends them.
    """

    def __init__(self, processes: Processes, device: Device) -> None:
        self.processes = processes
        missing = [name for name in NEEDED if name not in os.environ]
        if missing:
            raise RunError(f"{processes.count} processes cannot find each other: "
                           f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in "
                           f"the environment; start them by `ssdreg launch`")
        from ssdreg.mx import mx
        self.store: mx.kv.KVStore = mx.kv.create("dist_sync")
        if self.store.num_workers != processes.count:
            raise RunError(f"DMLC_NUM_WORKER is {self.store.num_workers} and WORLD_SIZE "
                           f"{processes.count}: start the processes by `ssdreg launch`")
        self._set_barrier(False)
        self._made: set[str] = set()

    def sum(self, values: Sequence[float]) -> tuple[float, ...]:
        """See `Group.sum`; in float64, where MXNet else takes numbers for float32."""
        from ssdreg.mx import mx
        array = mx.nd.array(np.asarray(values, np.float64), dtype="float64")
        self.sum_array(f"numbers of {len(values)}", array)
        return tuple(array.asnumpy().tolist())

    def sum_array(self, name: str, array: mx.nd.NDArray) -> None:
        """Write the sums over all processes to an array; those of a name have one shape."""
        key = _SUM + name
        if key not in self._made:
            self.store.init(key, array.zeros_like())
            self._made.add(key)
        self.store.push(key, array)
        self.store.pull(key, out=array)

    def finish(self) -> None:
        """See `Group.finish`: the servers and the scheduler end with the last process."""
        self._set_barrier(True)

    def close(self) -> None:
        """See `Group.close`; MXNet parts when nothing refers to its store any more."""
        del self.store

    def _set_barrier(self, waits: bool) -> None:
        """Say whether the store, when it goes, waits for those of the other processes.

        After an error it must not: they may be waiting for this one.
        """
        from ssdreg.mx import mx
        mx.base.check_call(mx.base._LIB.MXKVStoreSetBarrierBeforeExit(self.store.handle,
                                                                      int(waits)))
