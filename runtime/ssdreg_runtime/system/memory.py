"""The memory that this process may still take."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def available_memory(meminfo: Path = _MEMINFO, root: Path = Path("/sys/fs/cgroup"),
                     membership: Path = Path("/proc/self/cgroup")) -> float:
    """Return how many bytes the system and the control groups still allow; infinite if unknown.

    Reads version 2 (``memory.max``) along the path from this process's group to the root, and
    version 1 (``memory.limit_in_bytes``). What a group caches of files counts as free.
    """
    return min([_of_system(meminfo), *_of_groups(root, membership)])


def _of_system(meminfo: Path) -> float:
    if not meminfo.is_file():
        return math.inf
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (
        line.partition(":") for line in meminfo.read_text("utf-8").splitlines()) if rest.split()}
    if "MemAvailable" not in kilobytes:
        return math.inf
    return 1024.0 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))


def _of_groups(root: Path, membership: Path) -> Iterator[float]:
    groups = [Path()]
    if membership.is_file():
        # names of groups are names of folders
        for line in os.fsdecode(membership.read_bytes()).splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "memory" in controllers.split(","):
                groups.append(Path(path.lstrip("/")))
    for group in {parent for path in groups for parent in (path, *path.parents)}:
        yield _left(root / group, "memory.max", "memory.current", "inactive_file")
        yield _left(root / "memory" / group, "memory.limit_in_bytes", "memory.usage_in_bytes",
                    "total_inactive_file")


def _left(folder: Path, limit: str, usage: str, cached: str) -> float:
    files = [folder / name for name in (limit, usage, "memory.stat")]
    if not all(file.is_file() for file in files):
        return math.inf
    most, used, statistics = (file.read_text("utf-8").strip() for file in files)
    if most == "max":
        return math.inf
    reclaimable = dict(line.split() for line in statistics.splitlines()).get(cached, "0")
    return float(int(most) - int(used) + int(reclaimable))
