"""Starting parameters: drawn at random, or taken from a checkpoint as far as they fit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from ssdreg.errors import RunError
from ssdreg.run import Params, open_run, read_params

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen
class Taken:
    """What of a checkpoint fits a network by name and shape.

    `fresh` lists the network's parameters that it lacks, `reshaped` those whose shape differs
    (predictors of other classes): both start at random. `unused` counts what was left over.
    """

    params: Params
    fresh: tuple[str, ...]
    reshaped: tuple[str, ...]
    unused: int

    def describe(self) -> str:
        """Say in a few lines what was kept and what starts anew."""
        kept = len(self.params.args) + len(self.params.auxs)
        lines = [f"{kept} parameters taken from the checkpoint, {self.unused} of it not needed"]
        for names, why in ((self.reshaped, "of another shape there (other classes or anchors)"),
                           (self.fresh, "not in it")):
            if names:
                lines.append(f"{len(names)} start anew, {why}: {_shortened(names)}")
        return "\n".join(lines)


def _shortened(names: tuple[str, ...], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def read_checkpoint(path: Path) -> Params:
    """Read starting parameters from a ``.params`` file or a run folder (its best epoch)."""
    if path.is_dir():
        return open_run(path).load_params()
    if not path.is_file():
        raise RunError(f"{path} is not there: give a .params file or the folder of a run")
    return read_params(path)


def take(checkpoint: Params, symbol: mx.sym.Symbol, shapes: dict[str, tuple[int, ...]],
         source: Path) -> Taken:
    """Keep what of `checkpoint` the symbol has under the same name and shape.

    Raises RunError when nothing fits, or when what fits is not finite.
    """
    wanted_args = [name for name in symbol.list_arguments() if name not in shapes]
    shapes_by_name = _shapes(symbol, shapes)
    fitting: list[dict[str, mx.nd.NDArray]] = []
    fresh: list[str] = []
    reshaped: list[str] = []
    used = 0
    for wanted, given in ((wanted_args, checkpoint.args),
                          (symbol.list_auxiliary_states(), checkpoint.auxs)):
        kept = {}
        for name in wanted:
            if name not in given:
                fresh.append(name)
            elif tuple(given[name].shape) != shapes_by_name[name]:
                reshaped.append(name)
            else:
                kept[name] = given[name].astype("float32")
        used += len(kept)
        fitting.append(kept)
    if not used:
        raise RunError(f"nothing in {source} fits this network by name and shape: "
                       f"was it trained with another backbone?")
    for name, array in {**fitting[0], **fitting[1]}.items():
        if not np.isfinite(array.asnumpy()).all():
            raise RunError(f"{name!r} in {source} is not finite: the checkpoint comes from a "
                           f"training that diverged; take an earlier one")
    total = len(checkpoint.args) + len(checkpoint.auxs)
    return Taken(Params(*fitting), tuple(fresh), tuple(reshaped), total - used - len(reshaped))


def _shapes(symbol: mx.sym.Symbol, shapes: dict[str, tuple[int, ...]]
            ) -> dict[str, tuple[int, ...]]:
    args, _, auxs = symbol.infer_shape(**shapes)
    return {**dict(zip(symbol.list_arguments(), args)),
            **dict(zip(symbol.list_auxiliary_states(), auxs))}


def frozen_names(symbol: mx.sym.Symbol, pattern: str | None, inputs: Iterable[str]) -> list[str]:
    """Return the parameters whose names `pattern` matches from the start.

    Raises RunError when it matches none, or all of them.
    """
    if pattern is None:
        return []
    names = [name for name in symbol.list_arguments() if name not in inputs]
    found = [name for name in names if re.match(pattern, name)]
    if not found or len(found) == len(names):
        count = "none" if not found else "every one"
        raise RunError(f"--freeze {pattern!r} matches {count} of the {len(names)} parameters, "
                       f"such as {', '.join(names[:3])} and {names[-1]}")
    return found


def initializer() -> mx.init.Initializer:
    """Return the initializer for what starts at random.

    Weights as He et al., Delving Deep into Rectifiers, 2015; biases and offsets 0, scales 1; a
    parameter with an initializer of its own in the symbol keeps that.
    """
    from ssdreg.mx import mx
    return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2.0)
