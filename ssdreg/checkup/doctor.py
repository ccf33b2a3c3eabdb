"""The examination of a run as a whole: `ssdreg.doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from ssdreg.checkup.files import checksums, epochs, leftovers
from ssdreg.checkup.finding import Examination, Finding
from ssdreg.checkup.network import symbols, taps
from ssdreg.checkup.standing import log, state
from ssdreg.errors import RunError
from ssdreg.progress import Progress, Telling, Work
from ssdreg.runs.lock import holder, writing
from ssdreg.runs.run import CONFIG, Run, open_run
from ssdreg.training.state_file import START, STATE, read_start, read_state


def doctor(run: str | os.PathLike[str], *, repair: bool = False,
           progress: Progress | None = None) -> Examination:
    """Examine a run as ``ssdreg doctor`` does, and repair what can be.

    `run` is its folder, all of whose files are read: the symbols are held against the plan and its
    taps verified on the graph, every epoch's parameters against their checksums, the network's
    names and shapes, and whether they are numbers; the state against its files and the log. What
    killed processes have left is found too.

    `repair` does what the findings say: nothing that was learnt is deleted, and what is damaged is
    renamed to end in ``.damaged``. `progress` is told how far it is.

    Raises RunError for a folder that is no run, and, for a repair, where another process writes
    into it; StorageError where it cannot be written to.
    """
    folder = Path(run)
    if not (folder / CONFIG).exists():
        open_run(folder)  # says that it is no run
    with writing(folder, "ssdreg doctor --repair") if repair else nullcontext():
        busy = "" if repair else str(holder(folder) or "")
        try:
            opened = open_run(folder)
        except RunError as error:
            return Examination(folder, (Finding(CONFIG, f"{error}. The parameters are in the other "
                                                        f"files: `ssdreg import` reads them"),), ())
        with Telling(progress, Work(what=f"examining {folder}", unit="epochs",
                                    total=len(opened.epochs()))) as told:
            # one after the other: what one repairs the next one finds repaired
            findings = tuple(finding.after_repair() if repair else finding
                             for finding in _all(opened, told))
        return Examination(folder, findings, _whole(opened), _goes_on(opened), busy)


def _all(run: Run, told: Telling) -> Iterator[Finding]:
    yield from leftovers(run)
    yield from symbols(run)
    yield from taps(run)
    yield from checksums(run)
    yield from epochs(run, told)
    yield from state(run)
    yield from log(run)


def _whole(run: Run) -> tuple[int, ...]:
    try:
        return tuple(reversed(tuple(run.whole_epochs())))
    except RunError:  # the checksums cannot be read, which is among the findings
        return ()


def _goes_on(run: Run) -> str:
    """Say what resuming goes on from; it is empty where it cannot, which is among the findings."""
    try:
        if not (run.path / STATE).is_file():
            return f"from the start, for {read_start(run).options.epochs} epochs" if (
                run.path / START).is_file() else ""
        stands = read_state(run)
    except RunError:
        return ""
    return (f"in epoch {stands.state.epoch + 1} of {stands.options.epochs}, after step "
            f"{stands.state.step}" if stands.state.epoch < stands.options.epochs
            else f"with a larger --epochs than {stands.options.epochs}")
