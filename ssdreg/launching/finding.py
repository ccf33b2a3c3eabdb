"""Which member of a job a process is, where Slurm or Kubernetes started it and numbered it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ssdreg.errors import LaunchError
from ssdreg.launching.layout import Layout, Place

#: What Slurm and Kubernetes call the number of a task, and of a pod of an indexed job.
TASK, POD = "SLURM_PROCID", "JOB_COMPLETION_INDEX"


def own_number(environment: Mapping[str, str]) -> int:
    """Return the number that this process was given; raise LaunchError where it has none."""
    for name in (TASK, POD):
        if environment.get(name, "").isdecimal():
            return int(environment[name])
    raise LaunchError(f"neither {TASK} nor {POD} is in the environment: start this process by "
                      f"`ssdreg launch --slurm` or as it says for Kubernetes")


def own_place(layout: Layout, environment: Mapping[str, str]) -> Place:
    """Return where a member stands among the workers of its machine.

    Slurm gives tasks to the machines in turns, as it is asked to; a pod of Kubernetes is by itself.
    """
    if TASK not in environment:
        return Place()
    counts = tasks_per_node(environment.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    node = int(environment.get("SLURM_NODEID", "0"))
    others = len(range(node, layout.first_worker, len(counts)))
    return Place(max(0, int(environment.get("SLURM_LOCALID", "0")) - others),
                 max(1, counts[node] - others))


def tasks_per_node(text: str) -> tuple[int, ...]:
    """Return how many tasks each machine has, of Slurm's spelling: ``2(x3),1`` is 2, 2, 2, 1."""
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise LaunchError(f"SLURM_STEP_TASKS_PER_NODE is {text!r}, which is no list of numbers "
                              f"such as 2(x3),1")
        counts += [int(match[1])] * int(match[2] or 1)
    return tuple(counts)


def first_node(text: str) -> str:
    """Return the first machine of Slurm's list: ``gpu[07-09,12],cpu1`` is gpu07."""
    match = re.match(r"([^,\[]+)(?:\[(\d+))?", text)
    if match is None:
        raise LaunchError(f"SLURM_JOB_NODELIST is {text!r}: run `ssdreg launch --slurm` in an "
                          f"allocation, in a script of sbatch or under salloc")
    return match[1] + (match[2] or "")
