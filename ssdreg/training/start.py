"""Starting parameters: drawn at random, or taken from a checkpoint as far as they fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.errors import RunError
from ssdreg.progress import Progress
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.names import find_detector, same_name
from ssdreg.runs.params import Params, read_params
from ssdreg.runs.run import open_run
from ssdreg.training.learner import Lesson

if TYPE_CHECKING:
    from ssdreg.mx import mx
    from ssdreg.training.state import Saved


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


@frozen
class Start:
    """Parameters to start from, and what they are in words."""

    params: Params
    what: str


def choose_start(backbone: Backbone, source: str | None, *,
                 progress: Progress | None = None) -> Start | None:
    """Read the parameters a training starts from.

    `source` is a run's folder, a ``.params`` file, the name of weights declared for the backbone
    or of a detector, or ``""`` for its default ones, fetched if need be. None takes those declared
    that are on disk already, and gives None where there are none. `progress` is told how far a
    download is.

    Raises RunError when there is no such file, UnknownNameError when no such weights are
    declared, WeightsError when they cannot be fetched or do not fit.
    """
    from ssdreg.deploy.pretrained import open_pretrained
    from ssdreg.weights.fetching import fetch
    from ssdreg.weights.loading import find_weights, read_weights, weights_of, weights_on_disk
    if source and Path(source).exists():
        return Start(read_checkpoint(Path(source)), source)
    if source and not any(same_name(source, declared.name) for declared in weights_of(backbone)):
        declared = find_detector(source)
        if declared is None:
            read_checkpoint(Path(source))  # raises RunError: the file is not there
        else:
            return Start(open_pretrained(declared, progress=progress).params,
                         f"the detector {declared.name}")
    weights = (weights_on_disk(backbone) if source is None
               else find_weights(backbone, source or None))
    if weights is None:
        return None
    return Start(read_weights(weights, fetch(weights, progress=progress), backbone),
                 f"the weights {weights.title}")


def take(checkpoint: Params, symbol: mx.sym.Symbol, shapes: dict[str, tuple[int, ...]],
         source: str | Path) -> Taken:
    """Keep what of `checkpoint` the symbol has under the same name and shape.

    Raises RunError when nothing fits.
    """
    wanted_args = [name for name in symbol.list_arguments() if name not in shapes]
    shapes_by_name = parameter_shapes(symbol, shapes)
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
    total = len(checkpoint.args) + len(checkpoint.auxs)
    return Taken(Params(*fitting), tuple(fresh), tuple(reshaped), total - used - len(reshaped))


def parameter_shapes(symbol: mx.sym.Symbol, shapes: dict[str, tuple[int, ...]]
                     ) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a symbol's arguments and auxiliary states; `shapes` has its inputs'."""
    args, _, auxs = symbol.infer_shape(**shapes)
    return {**dict(zip(symbol.list_arguments(), args)),
            **dict(zip(symbol.list_auxiliary_states(), auxs))}


def check_saved(lesson: Lesson, saved: Saved, path: Path) -> None:
    """Raise RunError where what was saved after a step is not of this network and optimizer.

    `path` is the run's folder.
    """
    shapes = parameter_shapes(lesson.symbol, dict(lesson.shapes))
    wanted = {name: shape for name, shape in shapes.items() if name not in lesson.shapes}
    for params in (saved.params, saved.average or saved.params):
        _refuse_others({**params.args, **params.auxs}, wanted, path)
    # which of them there have to be, the engine knows
    _refuse_others(saved.optimizer, {
        slot: wanted[slot.rpartition(".")[0]] for slot in saved.optimizer
        if slot.rpartition(".")[0] in wanted}, path)


def _refuse_others(arrays: Mapping[str, mx.nd.NDArray], wanted: Mapping[str, tuple[int, ...]],
                   path: Path) -> None:
    for name, shape in wanted.items():
        there = tuple(arrays[name].shape) if name in arrays else None
        if there != shape:
            have = "is missing" if there is None else f"has the shape {there}"
            raise RunError(f"{path} cannot go on: {name!r} {have} in what was saved, and its "
                           f"network and recipe need {shape}. `ssdreg train --pretrained {path}` "
                           f"with another --out begins from its best epoch")


def draw(lesson: Lesson, start: Params | None = None) -> Params:
    """Return all parameters of a network: those of `start`, the others drawn by the recipe's seed.

    The same seed draws the same parameters for every engine.
    """
    from ssdreg.mx import mx
    symbol, rule = lesson.symbol, initializer()
    shapes, attributes = parameter_shapes(symbol, dict(lesson.shapes)), symbol.attr_dict()
    given = start or Params({}, {})
    mx.random.seed(lesson.options.seed)

    def filled(names: Iterable[str], there: Mapping[str, mx.nd.NDArray]
               ) -> dict[str, mx.nd.NDArray]:
        arrays = {}
        for name in sorted(names):  # MXNet's order, in which the seed's numbers are used up
            arrays[name] = there[name] if name in there else mx.nd.zeros(shapes[name])
            if name not in there:
                rule(mx.init.InitDesc(name, attributes.get(name)), arrays[name])
        return arrays
    inputs = lesson.shapes
    return Params(filled((name for name in symbol.list_arguments() if name not in inputs),
                         given.args),
                  filled(symbol.list_auxiliary_states(), given.auxs))


def initializer() -> mx.init.Initializer:
    """Return the initializer for what starts at random.

    Weights as He et al., Delving Deep into Rectifiers, 2015; biases and offsets 0, scales 1; a
    parameter with an initializer of its own in the symbol keeps that.
    """
    from ssdreg.mx import mx
    return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2.0)
