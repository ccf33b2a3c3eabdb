"""Weights for a backbone: found by name, read, and checked against the backbone's own symbol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ssdreg.errors import UnknownNameError, WeightsError
from ssdreg.graph.symbol import Graph, read_graph
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.host import get_backbone, list_weights, same_name
from ssdreg.registry.lazy_reference import resolve
from ssdreg.registry.suggestions import close, some
from ssdreg.registry.weights import Weights
from ssdreg.runs.params import Params
from ssdreg.weights.fetching import fetch, on_disk
from ssdreg.weights.formats import read_file

#: Height and width at which shapes are inferred: every backbone accepts ImageNet's.
SHAPE = (224, 224)

#: Parameters that an error names before it only counts them.
SHOWN = 3


def weights_of(backbone: str | Backbone) -> tuple[Weights, ...]:
    """Return what is declared for a backbone, its default first; empty when nothing is.

    Raises UnknownNameError when there is no such backbone.
    """
    source = get_backbone(backbone)
    return tuple(each for each in list_weights()
                 if any(same_name(each.backbone, name) for name in (source.name, *source.aliases)))


def find_weights(backbone: str | Backbone, name: str | None = None) -> Weights:
    """Return a backbone's weights called `name`, its default ones when None.

    Raises UnknownNameError, which lists what there is.
    """
    source = get_backbone(backbone)
    found = weights_of(source)
    for each in found:
        if name is None or same_name(each.name, name):
            return each
    if found:
        raise UnknownNameError(f"no weights of {source.name} are called {name!r}: there are "
                               f"{some([each.name for each in found])}")
    others = siblings_with_weights(source)
    if others:
        raise UnknownNameError(f"no weights are declared for {source.name}, but for "
                               f"{' and '.join(others)}; `ssdreg weights` lists all")
    others = tuple(dict.fromkeys(each.backbone for each in list_weights()))
    raise UnknownNameError(f"no weights are declared for {source.name}; they are for "
                           f"{some(others) or 'no backbone that is installed'}"
                           f"{'; `ssdreg weights` lists all' if others else ''}")


def siblings_with_weights(backbone: Backbone) -> tuple[str, ...]:
    """Return the backbones of this one's kind that have weights, those most like it first.

    A kind is what names begin with, whoever brings them: ``resnet``, ``vgg``.
    """
    others = {each.backbone for each in list_weights()} - {backbone.name}
    return tuple(close(backbone.name, [name for name in others
                                       if _kind(name) == _kind(backbone.name)], alike=0.0))


def _kind(name: str) -> str:
    # a zoo's name and a dot may stand in front
    found = re.match(r"(?:[a-z]+\.)?([a-z]*)", name.lower())
    return found.group(1) if found else ""


def weights_on_disk(backbone: str | Backbone) -> Weights | None:
    """Return the first weights declared for a backbone that are on disk; reads none of them."""
    return next((each for each in weights_of(backbone) if on_disk(each) is not None), None)


def load_weights(backbone: str | Backbone, name: str | None = None) -> Params:
    """Return a backbone's weights, fetched if need be, as float32 by its symbol's own names.

    What describes the feature maps is complete and of the right shape. The classifier's
    parameters are there where they fit: a detector does without, and weights for another number
    of classes serve it as well.

    Raises UnknownNameError when there are none, and WeightsError when they cannot be fetched or
    read, or do not fit the backbone.
    """
    source = get_backbone(backbone)
    weights = find_weights(source, name)
    return read_weights(weights, fetch(weights), source)


def read_weights(weights: Weights, path: Path, backbone: Backbone | None = None) -> Params:
    """Read weights from a file; see :func:`load_weights`. `backbone` is the named one when None."""
    arrays = read_file(path)
    if weights.names is not None:
        try:
            arrays = resolve(weights.names)(arrays)
        except WeightsError:
            raise
        # the plug-in's own function, given a file that it may not be made for
        except Exception as error:
            raise WeightsError(f"{path}: the names of {weights.title} cannot be mapped: "
                               f"{type(error).__name__}: {error}") from error
    source = backbone or get_backbone(weights.backbone)
    return fit(source, arrays, f"the weights {weights.title} in {path}")


def fit(backbone: Backbone, arrays: Mapping[str, np.ndarray], what: str) -> Params:
    """Sort arrays into the arguments and auxiliary states of a backbone's own symbol.

    Raises WeightsError when they lack a parameter that a feature map is computed from, hold one
    that the symbol does not have, or one of another shape; `what` begins the message.
    """
    from ssdreg.mx import mx
    symbol = backbone.symbol()
    graph = read_graph(symbol, SHAPE)
    needed = _features(graph)
    shapes = graph.parameters()
    missing = [name for name in shapes if name in needed and name not in arrays]
    superfluous = [name for name in arrays if name not in shapes]
    misshapen = [name for name, array in arrays.items()
                 if name in shapes and array.shape != shapes[name]]
    complaints = [
        _listed("lack", missing, len(needed)),
        _listed("have, unknown to the backbone,", superfluous, len(arrays)),
        _listed("have in another shape", [
            f"{name} {arrays[name].shape} instead of {shapes[name]}"
            for name in misshapen if name in needed], len(needed))]
    if any(complaints):
        raise WeightsError(f"{what} do not fit {backbone.name}: "
                           f"they {', and '.join(filter(None, complaints))}")
    auxiliary = set(symbol.list_auxiliary_states())
    loaded = {name: mx.nd.array(array, dtype="float32") for name, array in arrays.items()
              if name not in misshapen}
    return Params({name: array for name, array in loaded.items() if name not in auxiliary},
                  {name: array for name, array in loaded.items() if name in auxiliary})


def _features(graph: Graph) -> set[str]:
    """Return the names of the parameters that some feature map is computed from."""
    pictures = [graph.nodes[index] for index in graph.trunk
                if graph.nodes[index].stride is not None]
    return set(graph.parameters(graph.upstream([pictures[-1].name])))


def _listed(verb: str, names: Iterable[str], of: int) -> str:
    """Say which names a complaint is about, and how many; nothing when there are none."""
    every = list(names)
    if not every:
        return ""
    shown = ", ".join(every[:SHOWN]) + (", ..." if len(every) > SHOWN else "")
    return f"{verb} {len(every)} of {of} parameters: {shown}"
