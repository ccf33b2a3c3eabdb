"""A run: the folder that training writes and everything later reads.

- ``config.json``: class names and the plan, which holds every number of the detector
- ``ssd-symbol.json``, ``ssd-0001.params``, ...: the training symbol and the parameters of each
  epoch, as ``mx.model.load_checkpoint`` reads them
- ``deploy-symbol.json``: the same network with the output ``detection``
- ``log.csv``: a line an epoch; ``curves.png``: its curves; ``tensorboard``: these for TensorBoard
- ``state.json``, ``*.states``: where training stands, for ``--resume``; ``start.json`` before
- ``SHA256SUMS``: the checksums of parameters and optimizer's states
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from ssdreg_runtime.system.files import replacing, write_json
from ssdreg_runtime.system.names import native

from ssdreg.detector.plan import Plan
from ssdreg.errors import RunError
from ssdreg.graph.symbol_file import read_symbol
from ssdreg.runs.checksums import damage, read_checksums
from ssdreg.runs.config import RunConfig, read_config
from ssdreg.runs.log import Epoch, best_of, has_lines, read_log
from ssdreg.runs.params import Params, read_params

if TYPE_CHECKING:
    from ssdreg.mx import mx

PREFIX = "ssd"
CONFIG = "config.json"
LOG = "log.csv"


@frozen
class Run:
    """A run folder with its configuration read."""

    path: Path
    classes: tuple[str, ...]
    plan: Plan

    @property
    def config_file(self) -> Path:
        """The file that makes a folder a run."""
        return self.path / CONFIG

    @property
    def log_file(self) -> Path:
        """The log, a line an epoch."""
        return self.path / LOG

    def params_file(self, epoch: int) -> Path:
        """Return the name of an epoch's parameter file."""
        return self.path / f"{PREFIX}-{epoch:04d}.params"

    def epochs(self) -> tuple[int, ...]:
        """Return the epochs whose parameters are on disk, in order."""
        matches = (re.fullmatch(rf"{PREFIX}-(\d{{4,}})\.params", file.name)
                   for file in self.path.iterdir())
        return tuple(sorted(int(match.group(1)) for match in matches if match))

    def log(self) -> tuple[Epoch, ...]:
        """Read ``log.csv``; empty before the first epoch has ended, and where its lines are lost.
        """
        return read_log(self.log_file) if has_lines(self.log_file) else ()

    def best_epoch(self) -> int:
        """Return the epoch on disk that is the `best_of` them, the last where none has one."""
        on_disk = self.epochs()
        if not on_disk:
            raise RunError(f"{self.path} has no {PREFIX}-*.params: its training has not finished "
                           f"an epoch yet; let it run on with `ssdreg train --resume`")
        best = best_of([entry for entry in self.log() if entry.epoch in on_disk])
        return best.epoch if best else on_disk[-1]

    def load_params(self, epoch: int | None = None) -> Params:
        """Read an epoch's parameters, the best epoch's when None.

        Raises RunError, which names an epoch that is whole, where they are not what was written.
        """
        file = self.params_file(self.best_epoch() if epoch is None else epoch)
        if not file.is_file():
            raise RunError(f"{file} is not there: the epochs on disk are "
                           f"{', '.join(map(str, self.epochs())) or 'none'}")
        wrong = damage(file, read_checksums(self.path).get(file.name))
        if wrong:
            raise RunError(f"{file} is damaged: {wrong}; {self._whole()}")
        try:
            return read_params(file)
        except RunError as error:
            raise RunError(f"{error}; {self._whole()}") from error

    def whole_epochs(self, last: int | None = None) -> Iterator[int]:
        """Give the epochs, up to `last`, whose parameters are what was written, the newest first.

        Those of which no checksum is known have to be readable.
        """
        checksums = read_checksums(self.path)
        for epoch in reversed(self.epochs()):
            file = self.params_file(epoch)
            known = checksums.get(file.name)
            if (last is None or epoch <= last) and not damage(file, known) and (
                    known or _is_readable(file)):
                yield epoch

    def _whole(self) -> str:
        """Name the best of the epochs that are whole, in words."""
        whole = tuple(self.whole_epochs())
        if not whole:
            return "no epoch of the run is whole"
        best = best_of([entry for entry in self.log() if entry.epoch in whole])
        epoch = best.epoch if best else whole[0]
        return f"epoch {epoch} is whole: the same command with --epoch {epoch} takes it"

    def load_symbol(self, name: str = "deploy") -> mx.sym.Symbol:
        """Read the ``deploy`` symbol (or ``ssd``, the training one)."""
        file = self.path / f"{name}-symbol.json"
        if not file.is_file():
            raise RunError(f"{file} is missing from the run; training writes it when it begins, "
                           f"and a run that was quantised has none: take what it was made from")
        return read_symbol(file)


def _is_readable(file: Path) -> bool:
    try:
        read_params(file)
    except RunError:
        return False
    return True


def refuse_run(path: Path) -> None:
    """Raise RunError when there is a run in this folder already."""
    if (path / CONFIG).exists():
        raise RunError(f"{path} already holds a run: go on with it by `--resume`, "
                       f"choose another --out, or delete it")


def create_run(path: Path, classes: tuple[str, ...], plan: Plan, train_symbol: mx.sym.Symbol,
               deploy_symbol: mx.sym.Symbol) -> Run:
    """Start a run folder; raise RunError when there is one already."""
    run = Run(path, classes, plan)
    refuse_run(path)
    write_network(run, train_symbol, deploy_symbol)
    write_config(run)
    return run


def write_network(run: Run, train_symbol: mx.sym.Symbol, deploy_symbol: mx.sym.Symbol) -> None:
    """Write the symbols of a run, whose folder is made if need be."""
    run.path.mkdir(parents=True, exist_ok=True)
    for name, symbol in ((PREFIX, train_symbol), ("deploy", deploy_symbol)):
        write_symbol(run, name, symbol)


def write_symbol(run: Run, name: str, symbol: mx.sym.Symbol) -> None:
    """Write one symbol of a run, as `Run.load_symbol` calls it."""
    save_symbol(run.path / f"{name}-symbol.json", symbol)


def save_symbol(file: Path, symbol: mx.sym.Symbol) -> None:
    """Write a symbol as MXNet reads it, whole or not at all."""
    from ssdreg.mx import writing_by_mxnet
    with replacing(file) as beside, writing_by_mxnet(beside):
        # by default MXNet leaves out what converts to bfloat16
        symbol.save(native(beside), remove_amp_cast=False)


def write_config(run: Run) -> None:
    """Write what makes a folder a run; last, when all that a run has is there."""
    write_json(run.config_file, RunConfig(classes=run.classes, plan=run.plan).to_json())


def open_run(path: str | Path) -> Run:
    """Open a run folder; raise RunError when it is none or was written by a newer ssdreg."""
    folder = Path(path)
    file = folder / CONFIG
    if not file.is_file():
        raise RunError(f"{folder} is no run: it has no {CONFIG}; "
                       f"give the folder that `ssdreg train --out` wrote")
    config = read_config(file)
    return Run(folder, config.classes, config.plan)
