"""Symbol files of every MXNet, 0.8 to 1.9: read, checked, brought to today's spelling."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ssdreg.errors import RunError
from ssdreg.graph.symbol import MAX_NODES

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The symbol of the deepest detector takes well below one mebibyte.
MAX_BYTES = 64 * 2**20
#: Characters of a node's name; patterns are looked for in them.
MAX_NAME = 1_000
#: Where nodes keep their settings: today's name last, because it wins.
_SPELLINGS = ("param", "attr", "attrs")
#: The operators' names while they were no part of MXNet yet.
_RENAMED = {name: f"_contrib_{name}"
            for name in ("MultiBoxPrior", "MultiBoxTarget", "MultiBoxDetection")}
#: A value of nothing but numbers, such as ``(3L, 3L)``: Python 2 wrote its long integers so.
_NUMBERS = re.compile(r"[\d\s.,()\[\]eE+L-]+")
#: Hands a node to code registered in Python by whoever wrote it.
_FOREIGN = {"Custom", "_Native", "_NDArray"}

#: A node's output: index of the node, index of the output.
Entry = tuple[int, int]


@frozen(eq=False)
class Net:
    """A symbol as MXNet writes it today: `nodes` in topological order, and its outputs.

    Whatever is cut out of it by :meth:`cut` is the same graph, so that what is put together of
    two pieces shares its parameters.
    """

    nodes: tuple[Mapping[str, Any], ...] = field(repr=False)
    heads: tuple[Entry, ...]

    def op(self, index: int) -> str:
        """Return a node's operator, ``null`` for a variable."""
        return str(self.nodes[index]["op"])

    def name(self, index: int) -> str:
        """Return a node's name."""
        return str(self.nodes[index]["name"])

    def attrs(self, index: int) -> Mapping[str, str]:
        """Return a node's settings as they are written; what is left out has its default."""
        return self.nodes[index].get("attrs", {})

    def inputs(self, index: int) -> tuple[Entry, ...]:
        """Return the outputs that a node reads."""
        return tuple((entry[0], entry[1]) for entry in self.nodes[index]["inputs"])

    def find(self, *ops: str) -> tuple[int, ...]:
        """Return the nodes of these operators."""
        return tuple(index for index in range(len(self.nodes)) if self.op(index) in ops)

    def upstream(self, index: int) -> frozenset[int]:
        """Return a node and all it is computed from."""
        waiting, seen = [index], set()
        while waiting:
            here = waiting.pop()
            if here not in seen:
                seen.add(here)
                waiting.extend(node for node, _ in self.inputs(here))
        return frozenset(seen)

    def main_line(self, index: int) -> Iterator[int]:
        """Follow a node's first input, and that one's, to the variable where it begins."""
        yield index
        while self.inputs(index):
            index = self.inputs(index)[0][0]
            yield index

    def with_attrs(self, attrs: Mapping[str, Mapping[str, str]]) -> Net:
        """Return the same graph with more settings written to these variables."""
        nodes = tuple({**node, "attrs": {**node.get("attrs", {}), **attrs[node["name"]]}}
                      if node["op"] == "null" and node["name"] in attrs else node
                      for node in self.nodes)
        return Net(nodes, self.heads)

    def cut(self, *heads: Entry) -> mx.sym.Symbol:
        """Return these outputs as one symbol: a group where there are several."""
        from ssdreg.mx import mx
        # without the nodes that nothing asks for MXNet would ask for their parameters
        document = {"nodes": list(self.nodes), "heads": [[*head, 0] for head in heads],
                    "arg_nodes": [index for index in range(len(self.nodes))
                                  if self.op(index) == "null"],
                    "attrs": {"mxnet_version": ["int", _version()]}}
        with mx.name.NameManager():
            return mx.sym.load_json(json.dumps(document))


def _version() -> int:
    """Return the running MXNet's version as its symbol files hold it: 10901 for 1.9.1."""
    from ssdreg.mx import mx
    major, minor, patch = (int(part) for part in mx.__version__.split(".")[:3])
    return major * 10000 + minor * 100 + patch


def parse(text: str, where: str) -> Net:
    """Read the text of a symbol file, of any version; `where` names it in errors.

    The spellings of older versions (``param``, ``attr``, Python 2's ``3L``, operators before
    they were part of MXNet) are brought to today's, the rest is MXNet's own upgrade. Raises
    RunError for a text that is no symbol, is damaged, or holds an operator that runs code of
    somebody else.
    """
    from ssdreg.mx import mx
    if len(text) > MAX_BYTES:
        raise RunError(f"{where} has {len(text):,} characters: no symbol is that large")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is no symbol of MXNet, or it is truncated: {error}") from error
    complaint = complain(document)
    if complaint:
        raise RunError(f"{where} is no symbol of MXNet: {complaint}")
    foreign = sorted({str(node["name"]) for node in document["nodes"] if node["op"] in _FOREIGN})
    if foreign:
        raise RunError(f"{where} has an operator of its own at {foreign[0]!r}, which only the code "
                       f"it was written with can run: it cannot be imported")
    for node in document["nodes"]:
        _respell(node)
    try:
        with mx.name.NameManager():
            symbol = mx.sym.load_json(json.dumps(document))
    except (mx.MXNetError, UnicodeDecodeError) as error:
        # a stack of MXNet's own lines follows the sentence that says what is wrong
        reason = str(error).strip().splitlines()[-1].rpartition("Error: ")[2]
        raise RunError(f"{where} is a symbol that this MXNet cannot read: {reason}") from error
    upgraded = json.loads(symbol.tojson())
    # MXNet does not look whether an operator has the output that another reads
    rows = upgraded["node_row_ptr"]
    for entry in (*upgraded["heads"], *(each for node in upgraded["nodes"]
                                        for each in node["inputs"])):
        if entry[1] >= rows[entry[0] + 1] - rows[entry[0]]:
            name = upgraded["nodes"][entry[0]]["name"]
            raise RunError(f"{where} is no symbol of MXNet: {name!r} has no output {entry[1]}")
    return Net(tuple(upgraded["nodes"]),
               tuple((head[0], head[1]) for head in upgraded["heads"]))


def complain(document: Any) -> str:
    """Say what of a graph's frame is broken, if anything: MXNet itself crashes on some of it."""
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        return "it has no list of nodes"
    nodes, heads = document["nodes"], document.get("heads")
    if len(nodes) > MAX_NODES:
        return f"it has {len(nodes):,} nodes, and no network has more than {MAX_NODES:,}"
    for index, node in enumerate(nodes):
        if not isinstance(node, dict) or not isinstance(node.get("inputs"), list):
            return f"node {index} has no inputs"
        if not isinstance(node.get("op"), str) or not isinstance(node.get("name"), str):
            return f"node {index} has no operator or no name"
        if len(node["name"]) > MAX_NAME:
            return f"the name of node {index} has {len(node['name']):,} characters"
        if not all(_is_entry(entry, index) for entry in node["inputs"]):
            return f"node {index} ({node['name']!r}) reads a node that does not come before it"
        if not all(isinstance(node.get(key, {}), dict) for key in _SPELLINGS):
            return f"the settings of node {index} ({node['name']!r}) are no dictionary"
    if not isinstance(heads, list) or not heads:
        return "it has no outputs"
    arguments = document.get("arg_nodes", [])
    if not all(_is_entry(head, len(nodes)) for head in heads) or not (
            isinstance(arguments, list)
            and all(isinstance(index, int) and 0 <= index < len(nodes) for index in arguments)):
        return "its outputs or arguments are nodes that it does not have"
    return ""


def _is_entry(entry: Any, before: int) -> bool:
    return (isinstance(entry, list) and len(entry) >= 2
            and all(isinstance(number, int) and number >= 0 for number in entry)
            and entry[0] < before)


def _respell(node: dict[str, Any]) -> None:
    """Bring a node's settings to numbers without Python 2's ``L``, and its operator's name."""
    node["op"] = _RENAMED.get(node["op"], node["op"])
    for spelling in _SPELLINGS:
        for key, value in node.get(spelling, {}).items():
            if isinstance(value, str) and "L" in value and _NUMBERS.fullmatch(value):
                node[spelling][key] = value.replace("L", "")
