"""Weights for a backbone: found by name, read, and checked against the backbone's own symbol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdreg.errors import UnknownNameError, WeightsError
from ssdreg.graph.symbol import Graph, read_graph
from ssdreg.progress import Progress
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.lazy_reference import resolve
from ssdreg.registry.names import get_backbone, list_weights, same_name
from ssdreg.registry.suggestions import close, some
from ssdreg.registry.weights import PublishedFile, Weights
from ssdreg.runs.params import Params
from ssdreg.weights.fetching import fetch, on_disk
from ssdreg.weights.formats import read_file

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Height and width at which shapes are inferred: every backbone accepts ImageNet's.
SHAPE = (224, 224)

#: Parameters that an error names before it only counts them.
SHOWN = 3


def weights_of(backbone: str | Backbone) -> tuple[Weights, ...]:
    """Return the weights declared for a backbone, its default first; empty when there are none.

    Raises UnknownNameError when there is no such backbone.
    """
    backbone = get_backbone(backbone)
    names = (backbone.name, *backbone.aliases)
    return tuple(weights for weights in list_weights()
                 if any(same_name(weights.backbone, name) for name in names))


def find_weights(backbone: str | Backbone, name: str | None = None) -> Weights:
    """Return a backbone's weights called `name`, its default ones when None.

    Raises UnknownNameError, which lists the weights there are.
    """
    backbone = get_backbone(backbone)
    candidates = weights_of(backbone)
    for weights in candidates:
        if name is None or same_name(weights.name, name):
            return weights
    if candidates:
        raise UnknownNameError(f"no weights of {backbone.name} are called {name!r}: there are "
                               f"{some([weights.name for weights in candidates])}")
    alternatives = siblings_with_weights(backbone)
    if alternatives:
        raise UnknownNameError(f"no weights are declared for {backbone.name}, but for "
                               f"{' and '.join(alternatives)}; `ssdreg weights` lists all")
    alternatives = tuple(dict.fromkeys(weights.backbone for weights in list_weights()))
    raise UnknownNameError(f"no weights are declared for {backbone.name}; they are for "
                           f"{some(alternatives) or 'no backbone that is installed'}"
                           f"{'; `ssdreg weights` lists all' if alternatives else ''}")


def siblings_with_weights(backbone: Backbone) -> tuple[str, ...]:
    """Return the backbones with weights whose names have the same prefix, the most similar first.

    A prefix is the letters that a name begins with, of any distribution: ``resnet``, ``vgg``.
    """
    backbones = {weights.backbone for weights in list_weights()} - {backbone.name}
    prefix = _name_prefix(backbone.name)
    return tuple(close(backbone.name, [name for name in backbones if _name_prefix(name) == prefix],
                       alike=0.0))


def _name_prefix(name: str) -> str:
    # a zoo's name and a dot may precede it
    match = re.match(r"(?:[a-z]+\.)?([a-z]*)", name.lower())
    return match.group(1) if match else ""


def weights_on_disk(backbone: str | Backbone) -> Weights | None:
    """Return the first declared weights of a backbone that are on disk; None where none are."""
    return next((weights for weights in weights_of(backbone) if on_disk(weights) is not None), None)


def load_weights(backbone: str | Backbone, name: str | None = None, *,
                 progress: Progress | None = None) -> Params:
    """Return a backbone's weights, fetched if need be, as float32 by its symbol's own names.

    The parameters of the feature maps are complete and of the right shape. The classifier's are
    included where their shapes fit: a detector does not use them, so that weights for another
    number of classes can be loaded. `progress` is told how far a
    download is, see `ssdreg.progress`.

    Raises UnknownNameError when there are none, and WeightsError when they cannot be fetched or
    read, or do not fit the backbone.
    """
    backbone = get_backbone(backbone)
    weights = find_weights(backbone, name)
    return read_weights(weights, fetch(weights, progress=progress), backbone)


def read_weights(weights: Weights, path: Path, backbone: Backbone | None = None) -> Params:
    """Read weights from a file; see :func:`load_weights`. `backbone` is the named one when None."""
    arrays = mapped(weights, path)
    backbone = backbone or get_backbone(weights.backbone)
    return fit(backbone, arrays, f"the weights {weights.title} in {path}")


def mapped(weights: PublishedFile, path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a file by the names that its declaration gives them."""
    arrays = read_file(path)
    if weights.names is None:
        return arrays
    try:
        renamed: dict[str, np.ndarray] = resolve(weights.names)(arrays)
        return renamed
    except WeightsError:
        raise
    # the plug-in's own function may raise anything for a file it was not made for
    except Exception as error:
        raise WeightsError(f"{path}: the names of {weights.title} cannot be mapped: "
                           f"{type(error).__name__}: {error}") from error


def fit(backbone: Backbone, arrays: Mapping[str, np.ndarray], subject: str) -> Params:
    """Sort arrays into the arguments and auxiliary states of a backbone's own symbol.

    Raises WeightsError when they lack a parameter that a feature map is computed from, hold one
    that the symbol does not have, or one of another shape; `subject` begins the message.
    """
    symbol = backbone.symbol()
    graph = read_graph(symbol, SHAPE)
    shapes = graph.parameters()
    complaints = complaints_about(arrays, shapes, _feature_parameters(graph))
    if complaints:
        raise WeightsError(f"{subject} do not fit {backbone.name}: they {complaints}")
    return sorted_params({name: array for name, array in arrays.items()
                          if array.shape == shapes[name]}, symbol)


def complaints_about(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]],
                     needed: Set[str], owner: str = "backbone") -> str:
    """Say what is wrong with arrays for parameters of these shapes, `needed` ones among them.

    All that is missing or of another shape and needed, and all that nothing is known of. Empty
    where nothing is wrong.
    """
    missing = [name for name in shapes if name in needed and name not in arrays]
    superfluous = [name for name in arrays if name not in shapes]
    misshapen = [f"{name} {array.shape} instead of {shapes[name]}"
                 for name, array in arrays.items()
                 if name in needed and array.shape != shapes[name]]
    return ", and ".join(filter(None, (
        _describe("lack", missing, len(needed)),
        _describe(f"have, unknown to the {owner},", superfluous, len(arrays)),
        _describe("have in another shape", misshapen, len(needed)))))


def sorted_params(arrays: Mapping[str, np.ndarray], symbol: mx.sym.Symbol) -> Params:
    """Sort arrays into the arguments and auxiliary states of a symbol, as float32."""
    from ssdreg.mx import mx
    auxiliary = set(symbol.list_auxiliary_states())
    loaded = {name: mx.nd.array(array, dtype="float32") for name, array in arrays.items()}
    return Params({name: array for name, array in loaded.items() if name not in auxiliary},
                  {name: array for name, array in loaded.items() if name in auxiliary})


def _feature_parameters(graph: Graph) -> set[str]:
    """Return the names of the parameters that some feature map is computed from."""
    return set(graph.parameters(graph.upstream(graph.pictures[-1:])))


def _describe(verb: str, names: Iterable[str], of: int) -> str:
    """Return the text of a complaint with the names and their number; empty when there are none."""
    listed = list(names)
    if not listed:
        return ""
    shown = ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")
    return f"{verb} {len(listed)} of {of} parameters: {shown}"
