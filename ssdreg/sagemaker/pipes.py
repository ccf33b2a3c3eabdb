"""Channels that are pipes: the first epoch's records, read once and kept as files.

SageMaker writes a channel's data into a pipe once an epoch. They are read once here, because every
epoch has its own order. What comes is either records that were packed with their labels, or an
augmented manifest: a picture, and its attributes as JSON, as records behind one another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from attrs import field, frozen

from ssdreg.data.json_file import parse_json
from ssdreg.data.recordio import ENDS, FRAME, MAGIC, join_parts, split_word
from ssdreg.errors import DataError
from ssdreg.sagemaker.contract import Channel

#: What the files of pictures begin with, and their extensions.
_PICTURES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}


@frozen
class PipedPicture:
    """A picture of an augmented manifest: the bytes of its file, and its attributes in order."""

    content: bytes = field(repr=False)
    suffix: str
    attributes: tuple[Mapping[str, Any], ...]


@frozen
class Piped:
    """What comes through a pipe: packed records, or pictures; the other is None."""

    records: Iterable[bytes] | None
    pictures: Iterable[PipedPicture] | None


def read_pipe(channel: Channel, pipe: BinaryIO) -> Piped:
    """Look at a channel's first record, and return what comes, to be gone through once.

    Raises DataError, also on the way, for what is no RecordIO, ends early, or is of another kind.
    """
    records = _records(pipe, channel)
    first = next(records, None)
    if first is None:
        raise DataError(f"{channel.pipe} ended before a record came: the channel is empty")
    everything = itertools.chain([first], records)
    if _suffix(first) or first.startswith(b"{"):
        return Piped(None, _pictures(everything, channel))
    return Piped(everything, None)


def _records(pipe: BinaryIO, channel: Channel) -> Iterator[bytes]:
    """Give the payloads of records; one that holds the magic number comes in parts."""
    while frame := _read(pipe, FRAME.size, channel, may_end=True):
        parts = []
        while True:
            magic, word = FRAME.unpack(frame)
            if magic != MAGIC:
                raise DataError(f"{channel.pipe} does not carry RecordIO: set the channel's "
                                f"RecordWrapperType to RecordIO, or its input mode to File")
            flag, length = split_word(word)
            parts.append(_read(pipe, length, channel))
            _read(pipe, -length % 4, channel)
            if flag in ENDS:
                break
            frame = _read(pipe, FRAME.size, channel)
        yield join_parts(parts)


def _read(pipe: BinaryIO, count: int, channel: Channel, *, may_end: bool = False) -> bytes:
    """Read so many bytes, or none at the end of the pipe, where it may end."""
    content = pipe.read(count)
    if len(content) < count and (content or not may_end):
        raise DataError(f"{channel.pipe} ended inside a record: what writes into it has failed")
    return content


def _suffix(payload: bytes) -> str:
    return next((suffix for start, suffix in _PICTURES.items() if payload.startswith(start)), "")


def _pictures(records: Iterator[bytes], channel: Channel) -> Iterator[PipedPicture]:
    picture, attributes = b"", list[Mapping[str, Any]]()
    for number, payload in enumerate(records):
        if _suffix(payload):
            if picture:
                yield PipedPicture(picture, _suffix(picture), tuple(attributes))
            picture, attributes = payload, []
            continue
        if not picture:
            raise DataError(f"{channel.pipe}: the first record is no picture: name source-ref "
                            f"first in the channel's AttributeNames, then the attribute with the "
                            f"boxes")
        try:
            attribute = parse_json(payload)
        except ValueError as error:
            raise DataError(f"{channel.pipe}: record {number} is neither a JPEG or PNG file nor "
                            f"an attribute: {error}") from error
        if isinstance(attribute, dict):
            attributes.append(attribute)
    yield PipedPicture(picture, _suffix(picture), tuple(attributes))
