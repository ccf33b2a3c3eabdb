"""Damage for files: bytes and lines changed, and values of JSON, XML and tables made extreme."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

#: Changes that one file gets at most where its frame may break.
_MOST = 3
#: Bytes of a piece that is cut out, doubled or moved.
_PIECE = 64
#: Whole numbers that readers stumble over, as 4 and 8 bytes.
_EXTREMES = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
#: What stands where a number did.
_TEXTS = ("0", "-1", "1e999", "-1e999", "NaN", "1e-320", "0.5", "99999999999999999999999", "",
          "true", "null", '"x"', "[]", "{}", "(0, 0)", "(-1,-1)", "None", "2147483648",
          "9" * 5000, "\u0663", "../../x", "\0")
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, -2**63, 0.5, 1e300, float("nan"),
    float("inf"), "", "x", "dog", "\ud800", "../../x", "a" * 3000, [], {}, [[]], {"x": 1},
    [1, 2, 3, 4], ["a", "b"], "(0, 0)", "(1,)", "0", "nan", [None] * 7)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


_Way = Callable[[bytes, random.Random], bytes]


def mutated(content: bytes, source: random.Random) -> bytes:
    """Return a damaged copy of a file.

    Half of them keep the file's frame, its length or its syntax, because behind what is refused at
    its frame no reader is reached.
    """
    keeping, breaking = _ways(content)
    kept = source.random() < 0.5
    for _ in range(source.choice((1, 1, 1, 2)) if kept else source.randint(1, _MOST)):
        content = source.choice(keeping if kept else [*keeping, *breaking])(content, source)
    return content


def _ways(content: bytes) -> tuple[list[_Way], list[_Way]]:
    """Return the ways of damage that keep a file's frame, and those that break it."""
    keeping: list[_Way] = [_flip, _flip, _extreme]
    breaking: list[_Way] = [_set, _cut, _insert, _remove, _double, _swap]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return keeping, breaking
    if not text or "\0" in text:
        return keeping, breaking
    breaking += keeping
    try:
        json.loads(text)
    except ValueError:
        return [_number, _number, _lines, _fields], breaking
    return [_json], [*breaking, _number, _lines, _fields]


def _place(content: bytes, source: random.Random) -> int:
    # headers are at either end
    edge = min(len(content), 256)
    if source.random() < 0.5 and edge:
        place = source.randrange(edge)
        return place if source.random() < 0.7 else len(content) - 1 - place
    return source.randrange(max(1, len(content)))


def _flip(content: bytes, source: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(source.choice((1, 1, 1, 4, 32))):
        if changed:
            changed[_place(content, source)] ^= 1 << source.randrange(8)
    return bytes(changed)


def _set(content: bytes, source: random.Random) -> bytes:
    begin = _place(content, source)
    return (content[:begin] + source.choice((b"\0", b"\x7f", b"\x80", b"\xff"))
            * source.choice((1, 4, 8)) + content[begin + 1:])


def _cut(content: bytes, source: random.Random) -> bytes:
    return content[:_place(content, source)]


def _insert(content: bytes, source: random.Random) -> bytes:
    begin = _place(content, source)
    return content[:begin] + source.randbytes(source.choice((1, 3, 8, _PIECE))) + content[begin:]


def _remove(content: bytes, source: random.Random) -> bytes:
    begin = _place(content, source)
    return content[:begin] + content[begin + source.randint(1, _PIECE):]


def _double(content: bytes, source: random.Random) -> bytes:
    begin = _place(content, source)
    piece = content[begin:begin + source.randint(1, 8 * _PIECE)]
    return content[:begin] + piece * source.choice((2, 2, 50)) + content[begin + len(piece):]


def _swap(content: bytes, source: random.Random) -> bytes:
    one, other = sorted((_place(content, source), _place(content, source)))
    length = min(source.randint(1, _PIECE), other - one)
    return (content[:one] + content[other:other + length] + content[one + length:other]
            + content[one:one + length] + content[other + length:])


def _extreme(content: bytes, source: random.Random) -> bytes:
    begin, width = _place(content, source), source.choice((2, 4, 8))
    order = source.choice(("little", "big"))
    value = source.choice(_EXTREMES) % 2**(8 * width)
    return content[:begin] + value.to_bytes(width, order) + content[begin + width:]


def _number(content: bytes, source: random.Random) -> bytes:
    text = content.decode("utf-8", "surrogateescape")
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return content
    match = source.choice(numbers)
    return (text[:match.start()] + source.choice(_TEXTS) + text[match.end():]
            ).encode("utf-8", "surrogateescape")


def _lines(content: bytes, source: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = source.randrange(len(lines)), source.randrange(len(lines))
    what = source.randrange(3)
    if what == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif what == 1:
        lines.insert(one, lines[other])
    else:
        del lines[one]
    return b"\n".join(lines)


def _fields(content: bytes, source: random.Random) -> bytes:
    """Swap two of what separators of tables, tags and texts part."""
    parts = re.split(rb"([,;<>\"\s:]+)", content)
    if len(parts) < 5:
        return content
    one, other = (2 * source.randrange((len(parts) + 1) // 2) for _ in range(2))
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def _json(content: bytes, source: random.Random) -> bytes:
    """Change one value of a JSON document, or what it is called."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    if not places:
        return json.dumps(source.choice(_VALUES)).encode()
    holder, key = source.choice(places)
    # a text that holds numbers, as the settings of a symbol's nodes do
    settings = [place for place in places if isinstance(place[0][place[1]], str)
                and _NUMBER.fullmatch(place[0][place[1]].strip("()[] ").split(",")[0])]
    if settings and source.random() < 0.4:
        holder, key = source.choice(settings)
        holder[key] = _number(holder[key].encode(), source).decode()
        return json.dumps(document).encode()
    what = source.randrange(6)
    if what == 0:
        del holder[key]
    elif what == 1:
        other, name = source.choice(places)
        holder[key] = copy.deepcopy(other[name])
    elif what == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif what == 2:
        holder[source.choice(("x", "", "name", "\ud800"))] = holder.pop(key)
    else:
        holder[key] = copy.deepcopy(source.choice(_VALUES))
    try:
        return json.dumps(document).encode()
    except RecursionError:
        return content


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict):
        for key, inner in list(value.items()):
            places.append((value, key))
            _collect(inner, places)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            places.append((value, index))
            _collect(inner, places)
