"""The files of a run: what was left over, what is damaged, what is not this network's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from ssdreg_runtime.system import leftovers as unfinished

from ssdreg.checkup.finding import Finding
from ssdreg.errors import RunError
from ssdreg.graph.nodes import DATA
from ssdreg.progress import Telling
from ssdreg.runs.checksums import (
    FILE,
    damage,
    note,
    read_checksums,
    readable_checksums,
    withdraw,
    write_checksums,
)
from ssdreg.runs.lock import FILE as LOCK
from ssdreg.runs.lock import holder
from ssdreg.runs.params import read_params
from ssdreg.runs.run import Run
from ssdreg.training.start import parameter_shapes
from ssdreg.training.state_file import START, START_PARAMS, STATE

#: What is put behind the name of a file that is not to be read any more.
DAMAGED = ".damaged"


def leftovers(run: Run) -> Iterator[Finding]:
    """Find what processes have left unfinished, and what a state has made superfluous."""
    for left in unfinished.leftovers(run.path):
        if left.is_dead:
            yield Finding(left.path.name, f"process {left.pid} was killed while it wrote "
                                          f"{left.target}", "it is removed",
                          mend=partial(unfinished.sweep, run.path))
        elif not left.is_here:
            yield Finding(left.path.name, "a process of another machine writes it, or was killed "
                                          "there: it is removed when it is a week old")
    if (run.path / LOCK).is_file() and holder(run.path) is None:
        yield Finding(LOCK, "its process was killed", "it is removed",
                      mend=(run.path / LOCK).unlink)
    if (run.path / STATE).is_file():
        for name in (START, START_PARAMS):
            if (run.path / name).is_file():
                yield Finding(name, "it was needed until the first save", "it is removed",
                              mend=(run.path / name).unlink)


def checksums(run: Run) -> Iterator[Finding]:
    """Find a list of checksums that is damaged, or of other files than there are."""
    try:
        known = read_checksums(run.path)
    except RunError:
        known = readable_checksums(run.path)
        yield Finding(FILE, "it is damaged", f"the {len(known)} lines that can be read are kept",
                      mend=partial(write_checksums, run.path, known))
    for name in sorted(known):
        if not (run.path / name).is_file():
            yield Finding(name, "its checksum is noted, and it is not there", "it is not listed",
                          mend=partial(withdraw, run.path, name))


def epochs(run: Run, told: Telling) -> Iterator[Finding]:
    """Find parameters that are damaged, not this network's, or no numbers."""
    known = readable_checksums(run.path)
    wanted = _shapes(run)
    for epoch in run.epochs():
        file = run.params_file(epoch)
        wrong = damage(file, known.get(file.name)) or _misfit(file, wanted)
        if wrong:
            yield Finding(file.name, wrong, f"it is renamed to {file.name}{DAMAGED}",
                          mend=partial(set_aside, run, file))
        elif file.name not in known:
            yield Finding(file.name, "no checksum of it is known", "the one that it has is noted",
                          mend=partial(note, run.path, file.name))
        told.advance()


def set_aside(run: Run, file: Path) -> None:
    """Rename a damaged file, so that nothing reads it."""
    file.replace(file.with_name(file.name + DAMAGED))
    withdraw(run.path, file.name)


def _shapes(run: Run) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of the parameters that detect; empty where the network cannot be read."""
    try:
        symbol = run.load_symbol()
    except RunError:
        return {}
    shapes = parameter_shapes(symbol, {DATA: (1, 3, *run.plan.data_shape)})
    return {name: shape for name, shape in shapes.items() if name != DATA}


def _misfit(file: Path, wanted: Mapping[str, tuple[int, ...]]) -> str:
    """Say what is wrong with parameters that have their checksum, or none; "" where nothing is.

    They may be no numbers, and one may be missing or have another shape.
    """
    try:
        params = read_params(file)
    except RunError as error:
        return str(error)
    arrays = {**params.args, **params.auxs}
    for name, shape in wanted.items():
        if name not in arrays:
            return f"{name!r} is missing, which the network has"
        if tuple(arrays[name].shape) != shape:
            return f"{name!r} has the shape {tuple(arrays[name].shape)}, the network's is {shape}"
    return ""
