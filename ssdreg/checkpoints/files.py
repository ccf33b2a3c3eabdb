"""The contents of a checkpoint in any packaging: a symbol, parameters, hyperparameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from ssdreg_runtime.system.files import scratch_folder, visible
from ssdreg_runtime.system.names import as_text

from ssdreg.checkpoints.archive import unpack
from ssdreg.data.text import read_names
from ssdreg.errors import RunError
from ssdreg.graph.nodes import Net
from ssdreg.graph.symbol_file import MAX_BYTES, parse, read_text
from ssdreg.runs.params import Params, read_params

SYMBOL = "-symbol.json"
HYPERPARAMETERS = "hyperparams.json"
_PARAMS = re.compile(r"(?P<prefix>.+)-(?P<epoch>\d{4,})\.params")
#: What the example's deploy.py puts in front of the files it writes.
_DEPLOY = "deploy_"


@frozen(eq=False)
class CheckpointFiles:
    """A checkpoint as it lies on disk.

    `net` is None for parameters without a symbol, `params` for a symbol without parameters.
    `epoch` is the one in the file's name, 0 where there is none. `hyperparameters` are those of
    SageMaker, empty elsewhere.
    """

    path: Path
    net: Net | None
    params: Params | None
    epoch: int = 0
    hyperparameters: Mapping[str, str] = field(factory=dict)


def read_files(path: Path, epoch: int | None = None) -> CheckpointFiles:
    """Read a checkpoint: an archive, a folder, a prefix, or either file of a pair.

    `epoch` picks one of several parameter files. Raises RunError when there is nothing to read,
    when more than one file could be meant, or when a file is damaged.
    """
    if path.is_dir():
        return _from_folder(path, path, epoch)
    if path.name.endswith((".tar.gz", ".tgz")):
        if not path.is_file():
            raise RunError(f"{path} is not there")
        with scratch_folder() as folder:
            unpack(path, folder, _wanted)
            return _from_folder(folder, path, epoch)
    if path.name.endswith(SYMBOL):
        return _from_prefix(path.with_name(path.name[:-len(SYMBOL)]), epoch)
    if path.suffix == ".json" and path.is_file():
        return CheckpointFiles(path, _read_symbol(path, str(path)), None)
    if path.suffix == ".params":
        return _from_params(path, epoch)
    return _from_prefix(path, epoch)


def _wanted(name: str) -> bool:
    return name == HYPERPARAMETERS or name.endswith((SYMBOL, ".params"))


def _from_folder(folder: Path, named: Path, epoch: int | None) -> CheckpointFiles:
    """Find the one symbol of a folder (an unpacked archive) and what belongs to it."""
    symbols = [file for file in visible(folder) if file.name.endswith(SYMBOL)]
    # a network beside its deploy form: the training symbol holds more
    symbols = [file for file in symbols if not file.name.startswith(_DEPLOY)] or symbols
    if len(symbols) != 1:
        names = ", ".join(file.name for file in symbols) or "none"
        raise RunError(f"{named} must hold one *{SYMBOL} to be a checkpoint of a detector, "
                       f"but has {names}")
    prefix = symbols[0].with_name(symbols[0].name[:-len(SYMBOL)])
    source = _from_prefix(prefix, epoch, named)
    if source.params is None:
        raise RunError(f"{named} has no {prefix.name}-*.params: the parameters are missing")
    return source


def _from_prefix(prefix: Path, epoch: int | None, named: Path | None = None) -> CheckpointFiles:
    """Read ``PREFIX-symbol.json`` and the parameters of an epoch, where there are any."""
    symbol = prefix.with_name(prefix.name + SYMBOL)
    files = _epochs(prefix)
    if not symbol.is_file():
        if named is None and not files and not prefix.parent.is_dir():
            raise RunError(f"{prefix} is not there: its folder {prefix.parent} does not exist")
        wrong = f"{symbol} is missing: it holds the network" if files else (
            f"{prefix} is no checkpoint: there is neither {symbol.name} nor {prefix.name}-*.params")
        raise RunError(f"{wrong}; give a prefix, a .params file, a *{SYMBOL} or a model.tar.gz")
    where = f"{symbol.name} in {named}" if named else str(symbol)
    chosen = _choose(prefix, files, epoch)
    return CheckpointFiles(named or symbol, _read_symbol(symbol, where),
                           _read_params(files[chosen], named) if chosen is not None else None,
                           chosen or 0,
                           _read_hyperparameters(symbol.with_name(HYPERPARAMETERS), named))


def _from_params(file: Path, epoch: int | None) -> CheckpointFiles:
    """Read a parameter file and the symbol of its prefix, where there is one."""
    if not file.is_file():
        raise RunError(f"{file} is not there")
    match = _PARAMS.fullmatch(file.name)
    if match:
        prefix, number = file.with_name(match["prefix"]), int(match["epoch"])
        if epoch not in (None, number):
            raise RunError(f"{file} is epoch {number}, not {epoch}: leave --epoch out, or give "
                           f"the prefix {prefix}")
        if prefix.with_name(prefix.name + SYMBOL).is_file():
            return _from_prefix(prefix, number)
        return CheckpointFiles(file, None, _read_params(file), number)
    return CheckpointFiles(file, None, _read_params(file), epoch or 0)


def _epochs(prefix: Path) -> dict[int, Path]:
    if not prefix.parent.is_dir():
        return {}
    matches = ((_PARAMS.fullmatch(file.name), file) for file in sorted(prefix.parent.iterdir()))
    return {int(match["epoch"]): file for match, file in matches
            if match and match["prefix"] == prefix.name}


def _choose(prefix: Path, files: Mapping[int, Path], epoch: int | None) -> int | None:
    """Choose an epoch: the one asked for, or the only one."""
    on_disk = ", ".join(map(str, files)) or "none"
    if epoch is not None and epoch not in files:
        raise RunError(f"{prefix} has no parameters of epoch {epoch}: on disk are {on_disk}")
    if epoch is None and len(files) > 1:
        raise RunError(f"{prefix} has parameters of several epochs ({on_disk}): "
                       f"choose one with --epoch")
    return epoch if epoch is not None else next(iter(files), None)


def _read_symbol(file: Path, where: str) -> Net:
    return parse(read_text(file, where), where)


def _read_params(file: Path, named: Path | None = None) -> Params:
    where = f"{file.name} in {named}" if named else str(file)
    try:
        return read_params(file)
    except RunError as error:
        raise RunError(str(error).replace(str(file), where)) from error


def _read_hyperparameters(file: Path, named: Path | None) -> dict[str, str]:
    """Read SageMaker's hyperparameters, which lie beside the symbol; none elsewhere."""
    if not file.is_file():
        return {}
    where = f"{file.name} in {named}" if named else str(file)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has {file.stat().st_size:,} bytes")
        values: Any = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in values.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise RunError(f"{where} is no JSON object of hyperparameters: {error}") from error


def read_class_names(text: str) -> tuple[str, ...]:
    """Read ``a,b,c``, or a file with a name a line; raise RunError when a name is empty.

    Raises DataError for a file that is not UTF-8, or too large.
    """
    file = Path(text)
    if file.is_file():
        names = list(read_names(file))
    else:
        names = [name.strip() for name in as_text(text).split(",")]
    if not all(names) or not names:
        raise RunError(f"{text!r} is neither a list of class names, as cat,dog, nor a file with "
                       f"a name a line")
    return tuple(names)
