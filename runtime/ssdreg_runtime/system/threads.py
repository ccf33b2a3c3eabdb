"""The number of OpenMP threads of this process: as many as real cores it may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

VARIABLE = "OMP_NUM_THREADS"


@frozen
class Threads:
    """The number of OpenMP threads, the reason for it, and whether it was chosen here."""

    count: int
    reason: str
    set_here: bool


def choose(environ: Mapping[str, str]) -> Threads:
    """Take the user's ``OMP_NUM_THREADS`` when it is set, else the cores this process may use."""
    setting = environ.get(VARIABLE, "").strip()
    if setting:
        # OpenMP also takes a list, one number a nesting level: the first is the outermost level's
        first = setting.split(",")[0].strip()
        return Threads(int(first) if first.isdigit() else 0, f"{VARIABLE} was set by you", False)
    processors = usable_processors()
    cores = physical_cores(processors)
    quota = cgroup_quota()
    count = max(1, math.ceil(min(cores, quota)))
    reason = f"{cores} real cores of {len(processors)} processors this process may use"
    if quota < cores:
        reason += f", limited to {quota:g} by the control group"
    return Threads(count, reason, True)


def usable_processors() -> frozenset[int]:
    """Return the processors this process may run on: its affinity mask where the system has one."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def physical_cores(processors: Iterable[int],
                   root: Path = Path("/sys/devices/system/cpu")) -> int:
    """Return the number of cores of these processors, hyper-threads of a core counted once."""
    cores = set()
    for processor in processors:
        siblings = root / f"cpu{processor}" / "topology" / "thread_siblings_list"
        cores.add(siblings.read_text("utf-8").strip() if siblings.is_file() else str(processor))
    return max(1, len(cores))


def cgroup_quota(root: Path = Path("/sys/fs/cgroup"),
                 membership: Path = Path("/proc/self/cgroup")) -> float:
    """Return the processor time the control groups allow, in processors; infinite when unlimited.

    Reads version 2 (``cpu.max``) along the path from this process's group to the root, where
    the tightest limit holds, and version 1 (``cpu.cfs_quota_us``).
    """
    limits = [math.inf]
    groups = [Path()]
    if membership.is_file():
        # names of groups are names of folders
        for line in os.fsdecode(membership.read_bytes()).splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                groups.append(Path(path.lstrip("/")))
    for group in {parent for path in groups for parent in (path, *path.parents)}:
        limits.append(_quota_v2(root / group / "cpu.max"))
        for controller in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
            limits.append(_quota_v1(root / controller / group))
    return min(limits)


def _quota_v2(file: Path) -> float:
    if not file.is_file():
        return math.inf
    quota, period = file.read_text("utf-8").split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float:
    quota, period = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
    if not (quota.is_file() and period.is_file()):
        return math.inf
    allowed = int(quota.read_text("utf-8"))
    return math.inf if allowed <= 0 else allowed / int(period.read_text("utf-8"))
