"""The memory that is free: the system's, and that of the control groups."""

from __future__ import annotations

import math
from pathlib import Path

from ssdreg_runtime.system.memory import available_memory

MEMINFO = "MemTotal: 100 kB\nMemAvailable: 64 kB\nSwapFree: 8 kB\nHugePages_Total: 0\n"


def available(folder: Path) -> float:
    return available_memory(folder / "meminfo", folder / "cgroup", folder / "membership")


def write_group(folder: Path, limit: str, usage: str, statistics: str,
                names: tuple[str, str] = ("memory.max", "memory.current")) -> None:
    folder.mkdir(parents=True)
    for name, text in zip((*names, "memory.stat"), (limit, usage, statistics)):
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


def test_nothing_is_known_without_the_systems_files(tmp_path: Path) -> None:
    assert available(tmp_path) == math.inf


def test_the_system_counts_what_is_available_and_swap(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO, encoding="utf-8")
    assert available(tmp_path) == 72 * 1024


def test_the_tightest_group_on_the_way_to_the_root_holds(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO, encoding="utf-8")
    (tmp_path / "membership").write_text("0::/job/task\n", encoding="utf-8")
    write_group(tmp_path / "cgroup/job/task", "max", "9000", "inactive_file 0")
    assert available(tmp_path) == 72 * 1024
    for file in ("memory.max", "memory.current", "memory.stat"):
        text = {"memory.max": "20000", "memory.current": "9000",
                "memory.stat": "anon 5\ninactive_file 1000"}[file]
        (tmp_path / "cgroup/job" / file).write_text(text, encoding="utf-8")
    assert available(tmp_path) == 20000 - 9000 + 1000


def test_groups_of_the_first_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("5:memory:/job\n4:cpu:/other\n", encoding="utf-8")
    write_group(tmp_path / "cgroup/memory/job", "20000", "9000", "total_inactive_file 500",
                ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    assert available(tmp_path) == 11500
