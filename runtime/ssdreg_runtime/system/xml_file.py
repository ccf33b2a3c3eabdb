"""XML files of strangers: read without what makes a small file a large document."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat


def read_xml(file: Path, limit: int) -> ElementTree.Element:
    """Read a file of at most `limit` bytes and return its root.

    Raises ValueError, a sentence without the file's name, for a larger one, for what is no XML,
    and for a file that declares entities: texts that stand for others, and these for others still.
    """
    size = file.stat().st_size
    if size > limit:
        raise ValueError(f"it has {size:,} bytes, and none of its kind has more than {limit:,}")
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML, or it is truncated: {error}") from error
    return builder.close()


def _refuse(name: str, *_: Any) -> None:
    raise ValueError(f"it declares the entity {name!r}, which is not read")
