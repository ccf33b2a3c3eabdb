"""Processes that train together, connected by torch.distributed."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from inspect import signature
from typing import Any

import torch

# before processes are connected: the defaults of its functions are the group that there is when it
# is imported, which DistributedDataParallel does, and would keep that group for ever
import torch.distributed.nn
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ssdreg.engines.processes import Processes
from ssdreg.errors import RunError
from ssdreg.registry.device import CUDA, Device
from ssdreg_torch.devices import torch_device

#: How long a process waits for another: data may be packed meanwhile, or a detector validated.
#: torchrun notices sooner when a process, or its machine, is gone.
PATIENCE = timedelta(days=1)

#: Running moments are not sent around in every step: newer versions of PyTorch have another name.
_SYNC_BUFFERS = next(name for name in ("forward_sync_buffers", "broadcast_buffers")
                     if name in signature(DistributedDataParallel).parameters)


class TorchGroup:
    """Processes connected by torch.distributed; see `Group` of ssdreg.

    Numbers go by gloo, and gradients by gloo between processors, by NCCL between GPUs.
    """

    def __init__(self, processes: Processes, device: Device) -> None:
        self.processes = processes
        self._device = torch_device(device)
        backend = "gloo"
        if device.kind == CUDA:
            torch.cuda.set_device(self._device)
            backend = "cpu:gloo,cuda:nccl"
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise RunError(f"{processes.count} processes cannot find each other: "
                           f"{' and '.join(missing)} are not in the environment; start them by "
                           f"torchrun")
        with reaching():
            store, rank, count = next(distributed.rendezvous(
                "env://", processes.rank, processes.count, timeout=PATIENCE))
            # torchrun may keep one store for all restarts: what those that died wrote is no answer
            distributed.init_process_group(
                backend, timeout=PATIENCE, rank=rank, world_size=count,
                store=distributed.PrefixStore(f"restart {processes.restarts}", store))

    def sum(self, values: Sequence[float]) -> tuple[float, ...]:
        """See `Group.sum`."""
        totals = torch.tensor(values, dtype=torch.float64)
        with reaching():
            distributed.all_reduce(totals)
        return tuple(totals.tolist())

    def finish(self) -> None:
        """See `Group.finish`: nothing that one process does afterwards concerns another."""

    def close(self) -> None:
        """See `Group.close`. What a training left behind is freed here.

        The threads of gloo end with the last reference to the group. One that lives on may want
        Python's lock while Python ends, and then aborts the process.
        """
        gc.collect()
        distributed.destroy_process_group()

    def parallel(self, module: nn.Module, wire: str) -> nn.Module:
        """Return a module whose gradients are means over the processes, sent as `wire` says.

        It begins with the first process's parameters in each.
        """
        settings: dict[str, Any] = {_SYNC_BUFFERS: False}
        own = [self._device] if self._device.type == "cuda" else None
        # of 1x1 filters, whose values lie in the same order whatever the strides are called
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        with reaching():
            # parameters that no loss needs are found at the first step
            parallel = DistributedDataParallel(module, device_ids=own, static_graph=True,
                                               **settings)
        if wire == "bfloat16":
            # a lambda, since annotations that are texts here would be refused
            parallel.register_comm_hook(None, lambda _, bucket: _mean_of_bfloat16(bucket))
        return parallel

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Write the means over the processes to tensors of one type and device."""
        if not tensors:
            return
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        with reaching():
            distributed.all_reduce(joined)
        joined /= self.processes.count
        for tensor, mean in zip(tensors, joined.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(mean.view_as(tensor))


def _mean_of_bfloat16(bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
    """Begin to average a bucket of gradients, as DistributedDataParallel asks for it.

    PyTorch's own hook is this, and refuses gloo, which adds up bfloat16 as NCCL does.
    """
    buffer = bucket.buffer()
    sent = buffer.to(torch.bfloat16).div_(distributed.get_world_size())

    def received(future: torch.futures.Future[Any]) -> Tensor:
        future.wait()
        return buffer.copy_(sent)
    work = distributed.all_reduce(sent, async_op=True)
    assert work is not None
    return work.get_future().then(received)


@contextmanager
def reaching() -> Iterator[None]:
    """Turn what is raised where another process does not answer into a RunError."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"the processes that train together cannot reach each other, or one has "
                       f"ended: {reason}") from error
