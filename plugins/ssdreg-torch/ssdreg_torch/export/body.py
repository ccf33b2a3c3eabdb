"""A part of a graph as the lines of a function: what has a name, and what stands inside of what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Union, overload

from attrs import Factory, define, field, frozen

from ssdreg.graph.nodes import Entry, Net, Node
from ssdreg_torch.export.code import ATOM, Code, Site, written
from ssdreg_torch.export.identifiers import Identifiers, identifier
from ssdreg_torch.export.layers import Layers
from ssdreg_torch.export.lines import WIDTH, broken

#: The name of a value that only the next line reads.
PASSING = "x"
#: What lines are made of, besides the functions that they call.
_TAKEN = ("self", "torch", "nn", "F", "DETECTING", "TARGETING")
#: A value's shape, None for what follows the batch; None where nothing is known.
Shape = Union["tuple[int | None, ...]", None]
_TOKEN = re.compile("\ue000(\\d+)\\.(\\d+)\ue001")

LAYERS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "BatchNorm",
                    "_contrib_SyncBatchNorm", "InstanceNorm", "LayerNorm"})
ACTIVATIONS = frozenset({"Activation", "LeakyReLU", "relu", "sigmoid", "tanh", "clip",
                         "hard_sigmoid", "softsign", "exp", "square", "sqrt", "Dropout"})
MOVES = frozenset({"Flatten", "Reshape", "transpose", "slice", "slice_axis", "expand_dims"})
SUMS = frozenset({"elemwise_add", "elemwise_mul", "elemwise_sub", "broadcast_add", "broadcast_mul",
                  "broadcast_sub", "_mul_scalar", "_plus_scalar", "_div_scalar", "_minus_scalar"})


def stands_inside(producer: Node, reader: Node) -> bool:
    """Tell whether a network's value is written where it is read: ``F.relu(self.bn(x))``."""
    if reader.op in ACTIVATIONS:
        return producer.op in LAYERS | SUMS | MOVES
    if reader.op in MOVES:
        return producer.op not in ACTIVATIONS
    return reader.op in SUMS and producer.op in LAYERS | ACTIVATIONS | SUMS


def always(producer: Node, reader: Node) -> bool:
    """Write every value that is read once where it is read, as far as a line goes."""
    return True


@frozen(eq=False)
class Statement:
    """A line: the values that it names, the expression with tokens for values, its node."""

    targets: tuple[Entry, ...]
    code: Code
    node: int


@define(eq=False)
class Section:
    """Statements under one heading, and the names of the layers that they are the first to use."""

    title: str
    statements: list[Statement] = Factory(list)
    layers: list[str] = Factory(list)


@define(eq=False)
class Body:
    """Writes nodes as statements, section by section.

    `given` are values that have a name already, `kept` those that get one of theirs; `inside`
    decides what is written where it is read; `instead` are beginnings of names.
    """

    net: Net
    layers: Layers
    shapes: Mapping[Entry, Shape]
    helpers: set[str]
    given: Mapping[Entry, str]
    kept: Mapping[Entry, str]
    inside: Callable[[Node, Node], bool] = stands_inside
    instead: Mapping[str, str] = Factory(dict)
    sections: list[Section] = Factory(list)
    _waiting: dict[Entry, Code] = field(factory=dict, init=False)
    _readers: dict[Entry, list[int]] = field(factory=dict, init=False)

    def write(self, nodes: Sequence[int], title: Callable[[int], str]) -> None:
        """Write these nodes, all in their order; `title` says which section a node belongs to."""
        there = [index for index in nodes if not self.net.nodes[index].is_variable]
        for index in there:
            for entry in self.net.inputs(index):
                self._readers.setdefault(entry, []).append(index)
        for index in there:
            heading = title(index)
            if not self.sections or self.sections[-1].title != heading:
                self.sections.append(Section(heading))
            self._node(index)

    def _node(self, index: int) -> None:
        node, made = self.net.nodes[index], len(self.layers.made)
        codes = written(self._site(index))
        if self._length(index, codes[0]) > WIDTH and self._settle(index):
            codes = written(self._site(index))
        self.sections[-1].layers += list(self.layers.made)[made:]
        for entry in node.inputs:
            self._waiting.pop(entry, None)
        if len(codes) == 1:
            entry, readers = (index, 0), self._readers.get((index, 0), [])
            alone = len(readers) == 1 and entry not in self.kept
            if alone and self.inside(node, self.net.nodes[readers[0]]):
                self._waiting[entry] = codes[0]
            else:
                self._state((entry,), codes[0], index)
        elif len({code.text for code in codes}) == 1:
            self._state(tuple((index, place) for place in range(len(codes))), codes[0], index)
        else:
            for place, code in enumerate(codes):
                if (index, place) in self._readers or (index, place) in self.kept:
                    self._state(((index, place),), code, index)

    def _settle(self, index: int) -> bool:
        """Give what a node reads and what waits a line of its own; tell whether there was any."""
        settled = False
        for entry in self.net.inputs(index):
            if entry in self._waiting:
                self._state((entry,), self._waiting.pop(entry), entry[0])
                settled = True
        return settled

    def _state(self, targets: tuple[Entry, ...], code: Code, index: int) -> None:
        self.sections[-1].statements.append(Statement(targets, code, index))

    def _site(self, index: int) -> Site:
        node = self.net.nodes[index]
        return Site(node, Inputs(self, node), tuple(map(self.shapes.get, node.inputs)),
                    self.shapes.get((index, 0)), self.layers, self.helpers)

    def value(self, node: Node, entry: Entry) -> Code:
        """Return what a node reads as an expression."""
        if entry in self._waiting:
            return self._waiting[entry]
        if entry in self.given:
            return Code(self.given[entry])
        source = self.net.nodes[entry[0]]
        if source.is_variable:
            learns = source.attrs.number("__lr_mult__", 1.0) != 0
            return Code(f"self.{self.layers.alone(node, source.name, learns)}")
        return Code(f"\ue000{entry[0]}.{entry[1]}\ue001")

    def _length(self, index: int, code: Code) -> int:
        """Return how long a statement will be, with names that are as long as those to come."""
        def name(entry: Entry) -> str:
            if entry in self.kept:
                return self.kept[entry]
            return (PASSING if len(self._readers.get(entry, ())) == 1 else
                    identifier(self.net.name(entry[0]), self.instead))
        text = _TOKEN.sub(lambda token: name((int(token[1]), int(token[2]))), code.text)
        target = self.kept.get((index, 0)) or identifier(self.net.name(index), self.instead)
        return len(f"        {target} = {text}")

    def lines(self, notes: Mapping[Entry, str], indent: str, reserved: Iterable[str]
              ) -> Iterator[str]:
        """Yield the lines of all sections; `notes` are comments on values."""
        names = self._names(reserved)
        for section in self.sections:
            if section.title and section.statements:
                yield ""
                yield f"{indent}# {section.title}"
            for statement in section.statements:
                for entry in statement.targets:
                    if entry in notes:
                        yield f"{indent}# {notes[entry]}"
                targets = ", ".join(names[entry] for entry in statement.targets)
                text = _TOKEN.sub(lambda token: names[int(token[1]), int(token[2])],
                                  statement.code.text)
                line = f"{indent}{targets} = {text}"
                if len(line) > WIDTH and statement.code.binding < ATOM:
                    # only what is in brackets can be broken
                    line = f"{indent}{targets} = ({text})"
                yield from broken(line)

    def _names(self, reserved: Iterable[str]) -> dict[Entry, str]:
        """Return the names of all values: `PASSING` where only the next line reads one."""
        statements = [statement for section in self.sections for statement in section.statements]
        uses = [{(int(token[1]), int(token[2])) for token in _TOKEN.finditer(statement.code.text)}
                for statement in statements]
        times = Counter(entry for used in uses for entry in used)
        # no other value may have the name of one that is given or kept
        own = Identifiers(self.instead,
                          {PASSING, *self.given.values(), *self.kept.values(), *self.helpers,
                           *_TAKEN, *reserved})
        names: dict[Entry, str] = {}
        for place, statement in enumerate(statements):
            following = uses[place + 1] if place + 1 < len(statements) else set()
            for entry in statement.targets:
                passing = (len(statement.targets) == 1 and times[entry] == 1
                           and entry in following)
                names[entry] = (self.kept[entry] if entry in self.kept else
                                PASSING if passing else own.new(self.net.name(entry[0])))
        return names


@frozen(eq=False)
class Inputs(Sequence[Code]):
    """What a node reads, as expressions that are made when they are asked for.

    A layer's weights are never asked for, and so are no parameters of their own.
    """

    body: Body
    node: Node

    def __len__(self) -> int:
        return len(self.node.inputs)

    @overload
    def __getitem__(self, place: int) -> Code: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Code]: ...

    def __getitem__(self, place: int | slice) -> Code | Sequence[Code]:
        if isinstance(place, slice):
            return [self.body.value(self.node, entry) for entry in self.node.inputs[place]]
        return self.body.value(self.node, self.node.inputs[place])
