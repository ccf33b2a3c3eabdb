"""The network of a detector as the text of a class, with the parameters that belong to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from attrs import frozen

from ssdreg.deploy.model import DeployModel
from ssdreg.exporting.reading import OperatorGraph, read_network
from ssdreg.graph.nodes import DATA, Entry, Net
from ssdreg.graph.operators import PRIOR, TARGET
from ssdreg.graph.symbol import Graph, read_graph
from ssdreg_torch.export.body import PASSING, Body, Section, Shape, always
from ssdreg_torch.export.code import Code, extent
from ssdreg_torch.export.identifiers import Identifiers, common_prefix, identifier
from ssdreg_torch.export.idioms import shortened, with_joined_anchors
from ssdreg_torch.export.layers import Layers
from ssdreg_torch.export.lines import broken
from ssdreg_torch.export.parts import LABEL, Parts, computing, split
from ssdreg_torch.export.writing import (
    elementwise,
    multibox,
    pooling,
    shaping,
    weighted,
)

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The modules that fill the table of what writes operators.
WRITTEN_BY = (elementwise, multibox, pooling, shaping, weighted)
#: Names that no layer may have, besides those of every module of PyTorch.
METHODS = ("features", "detect", "loss", "mean", "std")
PREDICTIONS = ("scores", "offsets", "anchors")
_TITLES = ("class scores", "offsets of the boxes from the anchors", "anchors")
#: What losses are called, by the names of MXNet's outputs.
_LOSSES = {"cls_prob": "class_loss", "loc_loss": "offset_loss"}
_INDENT = " " * 8


@frozen(eq=False)
class WrittenNetwork:
    """The lines of the class's methods, and what belongs to them.

    - `declared`: of `__init__`; `features`, `forward`, `detect`, `loss`: of the methods of these
      names; `levels` are the names of what `features` returns, `losses` of what is summed, and
      `pixels` of the normalised images
    - `tensors`: the parameters by their names in the file of parameters
    - `helpers`: the functions that the lines call
    - `detecting`, `targeting`: what makes the settings of detections and of targets, if any
    """

    declared: tuple[str, ...]
    features: tuple[str, ...]
    levels: tuple[str, ...]
    forward: tuple[str, ...]
    detect: tuple[str, ...]
    loss: tuple[str, ...]
    losses: tuple[str, ...]
    pixels: str
    tensors: Mapping[str, torch.Tensor]
    helpers: frozenset[str]
    detecting: Code
    targeting: Code | None


def write_network(model: DeployModel, training_symbol: mx.sym.Symbol,
                  params: Mapping[str, torch.Tensor]) -> WrittenNetwork:
    """Write a detector's network.

    Raises ExportError, naming operator and node, for what cannot be written.
    """
    graph = read_network(model.symbol, model.plan.data_shape,
                         {name: tuple(tensor.shape) for name, tensor in params.items()})
    parts = split(Net.of(model.symbol), training_symbol)
    return _Writer(model, parts, graph, params).write()


def shapes_of(graph: OperatorGraph) -> dict[Entry, Shape]:
    """Return the shapes of all values, None for a dimension that follows the batch."""
    return {(operator.index, place): tuple(None if follows else size for size, follows in zip(
                shape.sizes, shape.follows)) if shape.known else None
            for operator in graph.operators for place, shape in enumerate(operator.outputs)}


class _Writer:
    """Writes the methods one after the other; layers are declared in the order of their use."""

    def __init__(self, model: DeployModel, parts: Parts, graph: OperatorGraph,
                 params: Mapping[str, torch.Tensor]) -> None:
        self.plan, self.parts = model.plan, parts
        self.net = with_joined_anchors(parts.deploy)
        self.shapes = shapes_of(graph)
        features = computing(self.net, parts.levels, ())
        self.instead = self._beginnings(params)
        taken = {*dir(torch.nn.Module), *METHODS}
        self.layers = Layers(self.net, params, Identifiers(self.instead, taken))
        self.helpers: set[str] = set()
        self.losses: tuple[str, ...] = ()
        self.feature_nodes = features
        self.graph = read_graph(model.symbol, model.plan.data_shape)
        (data,) = (index for index, node in enumerate(self.net.nodes)
                   if node.is_variable and node.name == DATA)
        #: What the images are called once they are normalised.
        self.pixels = PASSING if len(self.net.readers()[data]) == 1 else "pixels"
        self.data: dict[Entry, str] = {(data, 0): self.pixels}

    def write(self) -> WrittenNetwork:
        """Write all methods."""
        features, kept = self._features()
        forward = self._forward(kept)
        declared = self._declared([*features.sections, *forward.sections])
        detect, loss = self._detect(), self._loss()
        notes = self._notes()
        return WrittenNetwork(
            declared=tuple(declared),
            features=tuple(features.lines(notes, _INDENT, ("images",))),
            levels=tuple(kept.values()),
            forward=tuple(forward.lines({}, _INDENT, ("images",))),
            detect=tuple(detect.lines({}, _INDENT, ("images", *PREDICTIONS))),
            loss=tuple(loss.lines({}, _INDENT, ("images", "labels", *PREDICTIONS))),
            losses=self.losses, pixels=self.pixels, tensors=self.layers.tensors(),
            helpers=frozenset(self.helpers),
            detecting=multibox.detection_settings(self.parts.detection),
            targeting=self._targeting())

    def _beginnings(self, params: Mapping[str, torch.Tensor]) -> dict[str, str]:
        """Return what is written for beginnings of names: the network's own, and the levels'."""
        finest = next((index for index, node in enumerate(self.net.nodes)
                       if node.name == self.plan.levels[0].node), self.parts.levels[0][0])
        backbone = common_prefix(
            node.name for node in map(self.net.nodes.__getitem__, self.net.upstream(finest))
            if node.is_variable and node.name in params)
        instead = {backbone: ""} if backbone else {}
        priors = [self.net.nodes[index] for index in self.net.find(PRIOR)]
        for level, (stated, prior) in enumerate(zip(self.plan.levels, priors)):
            # a level's own name, what it is made of, and what predicts on it
            for name in (stated.node, prior.name[:-len("_anchors")], f"multi_feat_{level}"):
                if name:
                    instead[f"{name}_"] = f"level{level}_"
        return instead

    def _body(self, given: Mapping[Entry, str], kept: Mapping[Entry, str]) -> Body:
        return Body(self.net, self.layers, self.shapes, self.helpers, given, kept,
                    instead=self.instead)

    def _features(self) -> tuple[Body, dict[Entry, str]]:
        """Write what the levels are computed by; return the names of what is read behind them."""
        there = set(self.feature_nodes)
        behind = [index for index in computing(self.net, self.parts.predictions, ())
                  if index not in there]
        crossing = dict.fromkeys(
            [*self.parts.levels, *(entry for index in behind for entry in self.net.inputs(index)
                                   if entry[0] in there
                                   and not self.net.nodes[entry[0]].is_variable)])
        names = Identifiers(self.instead, {PASSING, "images", self.pixels, *PREDICTIONS})
        kept = {entry: names.new(f"level{self.parts.levels.index(entry)}"
                                 if entry in self.parts.levels else self.net.name(entry[0]))
                for entry in crossing}
        body = self._body(self.data, kept)
        body.write(self.feature_nodes, _Stage(self.graph).title)
        return body, kept

    def _forward(self, given: Mapping[Entry, str]) -> Body:
        """Write the predictions, one after the other."""
        kept = {entry: name for head, name in zip(self.parts.predictions, PREDICTIONS)
                for entry, name in ((head, name), *self._by_level(head, name))}
        body = self._body(given, kept)
        titles: dict[int, str] = {}
        for entry, title in zip(self.parts.predictions, _TITLES):
            for index in computing(self.net, (entry,), given):
                titles.setdefault(index, title)
        body.write(list(titles), titles.__getitem__)
        return body

    def _by_level(self, head: Entry, name: str) -> Iterator[tuple[Entry, str]]:
        """Yield the parts that a prediction is concatenated of, where there is one for a level."""
        for index in self.net.main_line(head[0]):
            parts = self.net.inputs(index)
            if len(parts) == len(self.parts.levels) > 1:
                yield from ((entry, f"{name}{level}") for level, entry in enumerate(parts))
            if len(parts) != 1:
                return

    def _detect(self) -> Body:
        """Write what makes detections of predictions."""
        given = dict(zip(self.parts.predictions, PREDICTIONS))
        (head,) = self.net.heads
        body = Body(self.net, self.layers, self.shapes, self.helpers, given, {head: "rows"}, always)
        body.write(computing(self.net, (head,), given), lambda index: "")
        return body

    def _loss(self) -> Body:
        """Write what makes losses of predictions and labels."""
        given = {**dict(zip(self.parts.in_training, PREDICTIONS))}
        net = shortened(self.parts.train)
        given.update({(index, 0): "labels" for index, node in enumerate(net.nodes)
                      if node.is_variable and node.name == LABEL})
        kept = {entry: _LOSSES.get(net.name(entry[0]), f"{identifier(net.name(entry[0]))}_loss")
                for entry in self.parts.losses}
        self.losses = tuple(kept.values())
        for index in net.find(TARGET):
            kept.update({(index, place): name for place, name in enumerate(
                ("offset_targets", "mask", "class_targets"))})
        # shapes are those of the deploy symbol, whose entries are others
        body = Body(net, self.layers, {}, self.helpers, given, kept, always, {"head_": ""})
        body.write(computing(net, self.parts.losses, given), lambda index: "")
        return body

    def _targeting(self) -> Code | None:
        found = self.parts.train.find(TARGET)
        return multibox.target_settings(self.parts.train.nodes[found[0]]) if found else None

    def _declared(self, sections: list[Section]) -> Iterator[str]:
        """Yield the lines that make the layers."""
        for section in sections:
            if section.layers and section.title:
                yield ""
                yield f"{_INDENT}# {section.title}"
            for name in section.layers:
                yield from broken(f"{_INDENT}{self.layers.made[name].declared}")

    def _notes(self) -> dict[Entry, str]:
        """Return what there is to say of values: which level they are."""
        notes: dict[Entry, str] = {}
        for index, (entry, level) in enumerate(zip(self.parts.levels, self.plan.levels)):
            stride = self.graph.nodes[entry[0]].stride
            notes[entry] = (f"level {index}: stride {extent(stride) if stride else 'unknown'}, "
                            f"{level.channels} channels, {level.height} x {level.width} cells of "
                            f"{level.anchors_per_cell} anchors")
        return notes


class _Stage:
    """Says at which stride of the image a node computes."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._title = graph, ""

    def title(self, index: int) -> str:
        """Return the heading of the section that a node belongs to: of the last map's size."""
        node = self._graph.nodes[index]
        if node.stride is not None and len(node.shape) == 4:
            self._title = (f"stride {extent(node.stride)}: maps of {node.shape[2]} x "
                           f"{node.shape[3]} cells")
        return self._title
