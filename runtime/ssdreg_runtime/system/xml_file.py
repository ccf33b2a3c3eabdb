"""XML files of strangers: read without what makes a small file a large document."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree, EntitiesForbidden

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
#: What the parser reads itself, those with a byte order mark included.
_KNOWN = (b"utf-8", b"utf-16", b"us-ascii", b"ascii", b"iso-8859-1")


def read_xml(file: Path, limit: int) -> Element:
    """Read a file of at most `limit` bytes and return its root.

    Raises ValueError, a sentence without the file's name, for a larger one, for what is no XML,
    and for a file that declares entities: texts that stand for others, and these for others still.
    """
    size = file.stat().st_size
    if size > limit:
        raise ValueError(f"it has {size:,} bytes, and none of its kind has more than {limit:,}")
    try:
        return ElementTree.fromstring(_readable(file.read_bytes()))
    except EntitiesForbidden as error:
        raise ValueError(f"it declares the entity {error.name!r}, which is not read") from error
    except DefusedXmlException as error:
        raise ValueError("it refers to something outside, which is not read") from error
    except ParseError as error:
        raise ValueError(f"it is no XML, or it is truncated: {error}") from error


def _readable(content: bytes) -> bytes | str:
    """Return a file's bytes, or its text where the parser does not read the declared encoding.

    Encodings with several bytes a letter, as of Chinese and Japanese systems, are none of the
    parser's own. Raises ValueError for an encoding that nobody knows, and for bytes that are not in
    the declared one.
    """
    declared = _DECLARED.match(content)
    if declared is None or declared.group(1).lower() in _KNOWN:
        return content
    name = declared.group(1).decode("ascii")
    try:
        return content.decode(name)
    except LookupError as error:
        raise ValueError(f"it declares the encoding {name!r}, which nobody knows: save it anew in "
                         f"UTF-8") from error
    except UnicodeError as error:
        raise ValueError(f"it is not in the encoding {name!r} that it declares: {error}"
                         ) from error
