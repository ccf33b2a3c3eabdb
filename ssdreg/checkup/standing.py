"""Where a run stands: is its state consistent, with its files and with its log?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ssdreg.checkup.finding import Finding
from ssdreg.errors import DataError, RunError
from ssdreg.runs.log import Epoch, readable_lines, write_log
from ssdreg.runs.run import LOG, Run
from ssdreg.training.state import check_files, step_back
from ssdreg.training.state_file import START, STATE, read_start, read_state


def state(run: Run) -> Iterator[Finding]:
    """Find a state that cannot be, or whose files are damaged."""
    if not (run.path / STATE).is_file():
        if (run.path / START).is_file():
            yield from _start(run)
        return  # imported, or quantised: nothing goes on
    try:
        stands = read_state(run)
    except RunError as error:
        yield Finding(STATE, str(error))
        return
    try:
        check_files(run)
    except RunError as error:
        epoch = next(run.whole_epochs(stands.state.epoch), None)
        yield Finding(STATE, str(error), "" if epoch is None else (
            f"training goes on from epoch {epoch}, with an optimizer that begins anew"),
            mend=None if epoch is None else partial(step_back, run))


def _start(run: Run) -> Iterator[Finding]:
    try:
        read_start(run)
        check_files(run)
    except RunError as error:
        yield Finding(START, str(error))


def log(run: Run) -> Iterator[Finding]:
    """Find a log that cannot be read, or that is of another training than the state."""
    if not run.log_file.is_file():
        return
    try:
        lines, damaged = run.log(), False
    except DataError as error:
        lines, damaged = readable_lines(run.log_file), True
        yield Finding(LOG, str(error), f"the {len(lines)} lines that can be read are kept",
                      mend=partial(write_log, run.log_file, lines))
    try:
        stands = read_state(run).state
    except RunError:
        return
    kept = [line for line in lines if line.epoch <= stands.epoch]
    if len(kept) < len(lines):
        yield Finding(LOG, f"it has epochs behind {stands.epoch}, where the state stands: a kill "
                           f"between the two, or a step back", "they are removed",
                      mend=partial(write_log, run.log_file, kept))
    missing = _missing(kept, stands.epoch)
    if missing and not damaged:
        yield Finding(LOG, f"it has no line of epoch {', '.join(map(str, missing))}: what they "
                           f"reached is not known any more")


def _missing(lines: list[Epoch], last: int, most: int = 10) -> list[int]:
    there = {line.epoch for line in lines}
    return [epoch for epoch in range(1, last + 1) if epoch not in there][:most]
