"""Symbol files of every MXNet, 0.8 to 1.9: read, checked, brought to today's spelling."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdreg.errors import RunError
from ssdreg.graph.nodes import MAX_NODES, SPELLINGS, Net
from ssdreg.graph.operators import MULTIBOX

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The symbol of the deepest detector takes well below one mebibyte.
MAX_BYTES = 64 * 2**20
#: Characters of a node's name; patterns are looked for in them.
MAX_NAME = 1_000
#: The operators' names while they were no part of MXNet yet.
_RENAMED = {name: f"_contrib_{name}" for name in MULTIBOX}
#: Settings whose numbers MXNet divides by or loops over: with 0 it ends the process, with huge ones
#: it takes memory without end.
_POSITIVE = frozenset(("kernel", "stride", "dilate", "num_group", "num_filter", "num_hidden",
                       "num_outputs", "num_args", "num_groups", "num_deformable_group",
                       "block_size", "nsize", "repeats"))
_NOT_NEGATIVE = frozenset(("pad", "adj"))
_LARGEST_SETTING = 2**20
#: A value of nothing but numbers, such as ``(3L, 3L)``: Python 2 wrote its long integers so.
_NUMBERS = re.compile(r"[\d\s.,()\[\]eE+L-]+")
_WHOLE = re.compile(r"-?[0-9]+")
#: The operator that runs Python code registered by the author of the symbol.
_FOREIGN = {"Custom", "_Native", "_NDArray"}


def parse(text: str, where: str) -> Net:
    """Read the text of a symbol file, of any version; `where` names it in errors.

    The spellings of older versions (``param``, ``attr``, Python 2's ``3L``, operators before
    they were part of MXNet) are brought to today's, the rest is MXNet's own upgrade. Raises
    RunError for a text that is no symbol, is damaged, or holds an operator that runs code of
    somebody else.
    """
    document = _document(text, where)
    foreign = sorted({str(node["name"]) for node in document["nodes"] if node["op"] in _FOREIGN})
    if foreign:
        raise RunError(f"{where} has an operator of its own at {foreign[0]!r}, which only the code "
                       f"it was written with can run: it cannot be imported")
    for node in document["nodes"]:
        _respell(node)
    symbol = _load(document, where)
    # without what converts to other precisions: a detector is float32
    upgraded = json.loads(symbol.tojson())
    return Net(upgraded["nodes"], upgraded["heads"])


def read_symbol(file: Path) -> mx.sym.Symbol:
    """Read a symbol file of this MXNet, as it is written.

    Raises RunError for what is no symbol, or is damaged.
    """
    return _load(_document(read_text(file, str(file)), str(file)), str(file))


def read_text(file: Path, where: str) -> str:
    """Read the text of a symbol file, for `parse`; raise RunError for what is none."""
    if file.stat().st_size > MAX_BYTES:
        raise RunError(f"{where} has {file.stat().st_size:,} bytes: no symbol is that large")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{where} is no symbol of MXNet, or it is truncated: it is no text"
                       ) from error


def _document(text: str, where: str) -> dict[str, Any]:
    """Read the JSON of a symbol, with its frame checked; `where` names it in errors."""
    try:
        document: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is no symbol of MXNet, or it is truncated: {error}") from error
    complaint = complain(document)
    if complaint:
        raise RunError(f"{where} is no symbol of MXNet, or it is truncated: {complaint}")
    return document


def _load(document: dict[str, Any], where: str) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    try:
        with mx.name.NameManager():
            symbol = mx.sym.load_json(json.dumps(document))
    # MXNet's message may hold a byte that is no text
    except (mx.MXNetError, UnicodeError) as error:
        raise RunError(f"{where} is a symbol that this MXNet cannot read: {reason_of(error)}"
                       ) from error
    _check_outputs(json.loads(symbol.tojson(remove_amp_cast=False)), where)
    return symbol


def _check_outputs(loaded: dict[str, Any], where: str) -> None:
    """Raise RunError where an output is read that is none: MXNet does not look, and crashes."""
    rows = loaded["node_row_ptr"]
    for entry in (*loaded["heads"], *(source for node in loaded["nodes"]
                                      for source in node["inputs"])):
        if entry[1] >= rows[entry[0] + 1] - rows[entry[0]]:
            name = loaded["nodes"][entry[0]]["name"]
            raise RunError(f"{where} is no symbol of MXNet: {name!r} has no output {entry[1]}")


def reason_of(error: Exception) -> str:
    """Return the sentence of an error of MXNet, without the stack of its own lines around it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].rpartition("Error: ")[2]


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
        for spelling in SPELLINGS:
            if not isinstance(node.get(spelling, {}), dict):
                return f"the settings of node {index} ({node['name']!r}) are no dictionary"
            wrong = _impossible(node.get(spelling, {}))
            if wrong:
                return f"node {index} ({node['name']!r}) has {wrong}"
    if not isinstance(heads, list) or not heads:
        return "it has no outputs"
    arguments = document.get("arg_nodes", [])
    if not all(_is_entry(head, len(nodes)) for head in heads) or not (
            isinstance(arguments, list)
            and all(isinstance(index, int) and 0 <= index < len(nodes) for index in arguments)):
        return "its outputs or arguments are nodes that it does not have"
    return ""


def _impossible(settings: dict[str, Any]) -> str:
    """Say which setting cannot be; empty where none is."""
    for key, value in settings.items():
        if not isinstance(value, str):
            return f"the setting {key!r}, which is no text"
        if key == "shape" and _splits_by_none(value):
            return f"{key}={value[:40]}, which divides by 0"
        least = 1 if key in _POSITIVE else 0 if key in _NOT_NEGATIVE else None
        if least is None:
            continue
        numbers = _WHOLE.findall(value)
        # far more digits than any number there has, which take long to convert
        if any(len(number) > 20 or not least <= int(number) <= _LARGEST_SETTING
               for number in numbers):
            return f"{key}={value[:40]}, which no layer can have"
    return ""


def _splits_by_none(shape: str) -> bool:
    """Tell whether a reshape splits an axis, which -4 stands for, in parts of 0."""
    parts = _WHOLE.findall(shape)
    return any(part == "-4" and "0" in parts[index + 1:index + 3]
               for index, part in enumerate(parts))


def _is_entry(entry: Any, before: int) -> bool:
    return (isinstance(entry, list) and len(entry) >= 2
            and all(isinstance(number, int) and number >= 0 for number in entry)
            and entry[0] < before)


def _respell(node: dict[str, Any]) -> None:
    """Bring a node's settings to numbers without Python 2's ``L``, and its operator's name."""
    node["op"] = _RENAMED.get(node["op"], node["op"])
    for spelling in SPELLINGS:
        for key, value in node.get(spelling, {}).items():
            if isinstance(value, str) and "L" in value and _NUMBERS.fullmatch(value):
                node[spelling][key] = value.replace("L", "")
