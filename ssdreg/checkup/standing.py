"""Where a run stands: is its state consistent, with its files and with its log?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from ssdreg.checkup.finding import Finding
from ssdreg.errors import DataError, RunError
from ssdreg.runs.log import Epoch, readable_lines, write_log
from ssdreg.runs.run import LOG, Run
from ssdreg.training.state import check_files, step_back
from ssdreg.training.state_file import START, STATE, StateFile, read_start, read_state


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
    """Find a log that is lost, cannot be read, or is of another training than the state."""
    try:
        lines, damaged = run.log(), False
    except DataError as error:
        lines, damaged = readable_lines(run.log_file), True
        yield Finding(LOG, str(error), f"the {len(lines)} lines that can be read are kept",
                      mend=partial(write_log, run.log_file, lines))
    try:
        stands = read_state(run)
    except RunError:
        return
    last = stands.state.epoch
    kept = [line for line in lines if line.epoch <= last]
    if len(kept) < len(lines):
        yield Finding(LOG, f"it has epochs behind {last}, where the state stands: a kill "
                           f"between the two, or a step back", "they are removed",
                      mend=partial(write_log, run.log_file, kept))
    there = {line.epoch: line for line in kept}
    missing = [epoch for epoch in range(1, last + 1) if epoch not in there]
    if missing and not damaged:
        gone = "" if run.log_file.is_file() else "is not there, so that it "
        whole = [there.get(epoch) or _line(stands, epoch) for epoch in range(1, last + 1)]
        yield Finding(LOG, f"it {gone}has no line of epoch {_shortened(missing)}: what they "
                           f"reached is not known any more",
                      "their steps, and learning rates by the recipe, are written, their times in "
                      "equal shares, losses as unknown; `ssdreg eval` measures an epoch again",
                      mend=partial(write_log, run.log_file, whole))


def _shortened(epochs: list[int], most: int = 10) -> str:
    more = f" and {len(epochs) - most} more" if len(epochs) > most else ""
    return ", ".join(map(str, epochs[:most])) + more


def _line(stands: StateFile, epoch: int) -> Epoch:
    """Return what a state still knows of an epoch whose line is lost: nothing that was measured."""
    state = stands.state
    steps = (state.updates - state.step) * epoch // state.epoch
    return Epoch(epoch=epoch, steps=steps, seconds=state.seconds * epoch / state.epoch,
                 lr=stands.options.rate(steps - 1, steps // epoch), images_per_second=math.nan,
                 cls_loss=math.nan, loc_loss=math.nan)
