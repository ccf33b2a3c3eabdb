from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ssdreg_runtime.system import threads
from ssdreg_runtime.system.threads import cgroup_quota, choose, physical_cores


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


# Cores

def test_hyper_threads_count_once(tmp_path):
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        write(tmp_path / f"cpu{processor}/topology/thread_siblings_list", siblings + "\n")
    assert physical_cores(range(4), tmp_path) == 2
    assert physical_cores((0, 2), tmp_path) == 1
    assert physical_cores((0, 1), tmp_path) == 2


def test_without_topology_every_processor_is_a_core(tmp_path):
    assert physical_cores((0, 1, 5), tmp_path) == 3


# Control groups

def member(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "membership"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_no_control_group_is_no_limit(tmp_path):
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "membership") == math.inf


def test_version_2_takes_the_tightest_limit_on_the_way_up(tmp_path):
    root = tmp_path / "cgroup"
    write(root / "user/job/cpu.max", "max 100000\n")
    write(root / "user/cpu.max", "150000 100000\n")
    write(root / "other/cpu.max", "10000 100000\n")
    membership = member(tmp_path, "0::/user/job")
    assert cgroup_quota(root, membership) == 1.5
    write(root / "user/job/cpu.max", "50000 100000\n")
    assert cgroup_quota(root, membership) == 0.5


def test_version_2_in_a_container_that_sees_only_its_own_root(tmp_path):
    root = tmp_path / "cgroup"
    write(root / "cpu.max", "200000 100000\n")
    assert cgroup_quota(root, member(tmp_path, "0::/docker/abc")) == 2


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_version_1(tmp_path, controllers):
    root = tmp_path / "cgroup"
    write(root / controllers / "docker/abc/cpu.cfs_quota_us", "300000\n")
    write(root / controllers / "docker/abc/cpu.cfs_period_us", "100000\n")
    membership = member(tmp_path, "5:memory:/elsewhere", f"4:{controllers}:/docker/abc")
    assert cgroup_quota(root, membership) == 3


def test_version_1_unlimited(tmp_path):
    root = tmp_path / "cgroup"
    write(root / "cpu/cpu.cfs_quota_us", "-1\n")
    write(root / "cpu/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(root, member(tmp_path, "4:cpu:/")) == math.inf


def test_other_controllers_do_not_count(tmp_path):
    root = tmp_path / "cgroup"
    write(root / "cpuset_job/cpu.max", "50000 100000\n")
    assert cgroup_quota(root, member(tmp_path, "3:cpuset:/cpuset_job")) == math.inf


# The choice

@pytest.mark.parametrize(("value", "count"), [("3", 3), (" 5 ", 5), ("4,2", 4), ("4 , 2", 4)])
def test_the_users_own_number_wins(value, count):
    threads = choose({"OMP_NUM_THREADS": value})
    assert (threads.count, threads.set_here) == (count, False)
    assert "set by you" in threads.reason


@pytest.mark.parametrize(("quota", "count", "says"), [
    (math.inf, 4, "4 real cores of 8 processors"),
    (1.5, 2, "limited to 1.5 by the control group"),
    (0.25, 1, "limited to 0.25 by the control group"),
    (16, 4, "4 real cores of 8 processors"),
])
@pytest.mark.parametrize("environ", [{}, {"OMP_NUM_THREADS": " "}])
def test_cores_within_the_quota(monkeypatch, environ, quota, count, says):
    # what the machine has cannot be changed by a test; how it is read is tested above
    monkeypatch.setattr(threads, "usable_processors", lambda: frozenset(range(8)))
    monkeypatch.setattr(threads, "physical_cores", lambda processors: len(processors) // 2)
    monkeypatch.setattr(threads, "cgroup_quota", lambda: quota)
    chosen = choose(environ)
    assert (chosen.count, chosen.set_here) == (count, True)
    assert says in chosen.reason
    assert ("control group" in chosen.reason) == (quota < 4)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_the_affinity_mask_of_a_process_counts():
    processor = min(os.sched_getaffinity(0))
    environ = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    script = ("import os; from ssdreg_runtime.system.threads import choose; "
              "print(choose(os.environ).count)")
    done = subprocess.run(["taskset", "-c", str(processor), sys.executable, "-c", script],
                          env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
