"""Runs that torchrun's restarts find again: which job began one is noted in its folder."""

from __future__ import annotations

import json
from pathlib import Path

from ssdreg_runtime.system.files import write_json

from ssdreg.engines.processes import Processes
from ssdreg.runs.run import CONFIG, PREFIX
from ssdreg.training.state import FILE as STATE

#: The file that names the job, in the run's folder.
FILE = "job.json"


def note(path: Path, processes: Processes) -> None:
    """Note which job begins a run in this folder, before it is one."""
    if processes.job:
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / FILE, {"job": processes.job})


def forget(path: Path) -> None:
    """Make what was begun without anything saved no run any more."""
    for name in (CONFIG, f"{PREFIX}-symbol.json", "deploy-symbol.json"):
        (path / name).unlink(missing_ok=True)


def is_of_job(path: Path, processes: Processes) -> bool:
    """Tell whether an earlier start of this process's own job began the run in this folder."""
    if not processes.restarts or not processes.job:
        return False
    try:
        return bool(json.loads((path / FILE).read_text(encoding="utf-8"))["job"] == processes.job)
    except (OSError, ValueError, KeyError, TypeError):
        # no job began it, or none whose note can be read
        return False


def is_saved(path: Path) -> bool:
    """Tell whether a run has a state to go on from."""
    return (path / STATE).is_file()
