"""Runs that are begun again: by torchrun's restarts, or where nothing was ever learnt."""

from __future__ import annotations

import json
from pathlib import Path

from ssdreg_runtime.system.files import write_json

from ssdreg.engines.processes import Processes
from ssdreg.errors import RunError
from ssdreg.runs.checksums import FILE as CHECKSUMS
from ssdreg.runs.run import CONFIG, PREFIX, Run, open_run, refuse_run
from ssdreg.training.state import damage_of
from ssdreg.training.state_file import START, START_PARAMS, STATE, read_state

#: The file that names the job, in the run's folder.
FILE = "job.json"


def note(path: Path, processes: Processes) -> None:
    """Note which job begins a run in this folder, before it is one."""
    if processes.job:
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / FILE, {"job": processes.job})


def refuse_learnt(path: Path) -> None:
    """Raise RunError where there is a run in this folder in which anything was learnt.

    Otherwise the folder takes the next attempt: it holds no epoch, and no state behind a step whose
    files are whole.
    """
    if not (path / CONFIG).exists():
        return
    try:
        run = open_run(path)
        learnt = bool(run.epochs()) or (is_saved(path) and _is_of_worth(run))
    except RunError:
        learnt = True  # whatever it is, it is not for this to overwrite
    if learnt:
        refuse_run(path)


def _is_of_worth(run: Run) -> bool:
    saved = read_state(run)
    return saved.state.updates > 0 and not damage_of(run, saved)


def forget(path: Path) -> None:
    """Make what was begun without anything saved no run any more."""
    # the first makes the folder a run
    for name in (CONFIG, f"{PREFIX}-symbol.json", "deploy-symbol.json", START, START_PARAMS, STATE,
                 CHECKSUMS):
        (path / name).unlink(missing_ok=True)
    for pattern in (f"{PREFIX}-*-step*.params", f"{PREFIX}-*.states"):
        for file in path.glob(pattern):
            file.unlink()


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
