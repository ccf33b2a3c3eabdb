"""From a network's inputs to the wanted outputs, operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ssdreg.exporting.fusing import find_chains, write_chain
from ssdreg.exporting.operators import (
    activations,
    convolutions,
    cutting,
    elementwise,
    normalizing,
    pooling,
    probabilities,
    products,
    reducing,
    resizing,
    shaping,
)
from ssdreg.exporting.operators.constants import evaluate, find_constants
from ssdreg.exporting.operators.probabilities import LABELLED
from ssdreg.exporting.reading import Operator, OperatorGraph
from ssdreg.exporting.translation import translation_of, unsupported
from ssdreg.exporting.writer import Value, Writer
from ssdreg.graph.nodes import Entry, reached

#: The modules that fill the table of translations.
TRANSLATED_BY = (activations, convolutions, cutting, elementwise, normalizing, pooling,
                 probabilities, products, reducing, resizing, shaping)


def write_network(network: OperatorGraph, wanted: Iterable[int], leaf: Callable[[Operator], Value],
                  writer: Writer) -> dict[Entry, Value]:
    """Write all that the wanted operators (by index) are computed from, and themselves.

    `leaf` returns the value of an input or a parameter. What is the same for every image is
    computed and becomes a constant. Raises ExportError, naming operator and node, where one has
    no translation or its shape is not known.
    """
    values: dict[Entry, Value] = {}
    constants = find_constants(network)
    chains = {chain.last.index: chain for chain in find_chains(network, constants)}
    absorbed = {operator.index for chain in chains.values() for operator in chain.operators}
    for operator in _needed(network, wanted):
        if operator.is_variable:
            values[(operator.index, 0)] = leaf(operator)
            continue
        if not all(shape.known for shape in operator.outputs):
            raise unsupported(operator, "its shape does not follow from the network and the size "
                                        "of its input")
        if operator.index in constants:
            written = evaluate(operator, _inputs(operator, values))
        elif operator.index in chains:
            written = [write_chain(chains[operator.index], values, writer)]
        elif operator.index in absorbed:
            continue
        else:
            written = translation_of(operator)(operator, _inputs(operator, values), writer)
        values.update({(operator.index, output): value for output, value in enumerate(written)})
    return values


def _inputs(operator: Operator, values: Mapping[Entry, Value]) -> list[Value]:
    """Return what an operator reads; labels are left out."""
    entries = _read(operator)
    missing = [entry for entry in entries if entry not in values]
    if missing:
        raise unsupported(operator, f"it reads output {missing[0][1]} of an operator that has only "
                                    f"its results written")
    return [values[entry] for entry in entries]


def _read(operator: Operator) -> tuple[Entry, ...]:
    return operator.inputs[:1] if operator.op in LABELLED else operator.inputs


def _needed(network: OperatorGraph, wanted: Iterable[int]) -> list[Operator]:
    """Return all that operators are computed from, in topological order."""
    needed = reached(wanted, lambda index: (
        source for source, _ in _read(network.operators[index])))
    return [operator for operator in network.operators if operator.index in needed]
