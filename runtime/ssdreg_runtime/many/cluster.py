"""The Ray cluster that detects: one that runs already, or one that is started here for a while."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ssdreg_runtime.errors import ClusterError, DependencyError
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.threads import choose

#: The address of a cluster that is started here and ends with the work.
LOCAL = "local"
#: Bytes of the object store that is started here: names go through it, and no picture.
_STORE = 100 * 2**20
#: Seconds in which the machine of an address answers.
_PATIENCE = 10
#: What Ray reads when it is imported. It reports usage to its makers unless it is told not to; the
#: other ends a warning about a default in its future.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def check_ray() -> None:
    """Raise DependencyError where Ray's data library cannot be imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray.data  # noqa: F401  what it needs besides is only imported with it
    except ImportError as error:
        raise DependencyError(f"detecting on Ray needs its data library, which is not installed "
                              f"here: run `{install('ray')}`") from error


@contextmanager
def connected(address: str, processors: int) -> Iterator[None]:
    """Be connected to the cluster at `address` meanwhile; or to that of this process, if any.

    `LOCAL` is started here with as many processors as there are real cores, or the number that is
    given, and all of it is ended and removed afterwards. Raises ClusterError where there is none.
    """
    import ray
    if ray.is_initialized():
        yield
        return
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address != LOCAL:
            _look_for(address)
            try:
                ray.init(address, **quiet)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise _none_at(address, error) from error
            yield
            return
        # a short name: Ray puts sockets below it, whose paths may have 107 bytes
        with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
            try:
                ray.init(LOCAL, num_cpus=max(processors, choose({}).count), include_dashboard=False,
                         object_store_memory=_STORE, _temp_dir=folder, **quiet)
                yield
            finally:
                ray.shutdown()
    finally:
        ray.shutdown()


def _look_for(address: str) -> None:
    """Raise ClusterError where nobody listens at ``HOST:PORT``: Ray itself waits for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address:
        return  # auto, or an address of Ray's client
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _none_at(address, error) from error


def _none_at(address: str, error: BaseException) -> ClusterError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ClusterError(f"there is no Ray cluster at {address} that this process can join: "
                        f"{reason}; `ray start --head` starts one, and the address local one for "
                        f"this work alone")


def capacity(resource: str) -> float:
    """Return how much of a resource, ``CPU`` or ``GPU``, the machines of the cluster have."""
    import ray
    return float(ray.cluster_resources().get(resource, 0))
