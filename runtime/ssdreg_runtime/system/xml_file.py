"""XML files of strangers: read without what makes a small file a large document."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree, EntitiesForbidden


def read_xml(file: Path, limit: int) -> Element:
    """Read a file of at most `limit` bytes and return its root.

    Raises ValueError, a sentence without the file's name, for a larger one, for what is no XML,
    and for a file that declares entities: texts that stand for others, and these for others still.
    """
    size = file.stat().st_size
    if size > limit:
        raise ValueError(f"it has {size:,} bytes, and none of its kind has more than {limit:,}")
    try:
        return ElementTree.fromstring(file.read_bytes())
    except EntitiesForbidden as error:
        raise ValueError(f"it declares the entity {error.name!r}, which is not read") from error
    except DefusedXmlException as error:
        raise ValueError("it refers to something outside, which is not read") from error
    # an encoding that Python does not know is a LookupError
    except (ParseError, LookupError) as error:
        raise ValueError(f"it is no XML, or it is truncated: {error}") from error
