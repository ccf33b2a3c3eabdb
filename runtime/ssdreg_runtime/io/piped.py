"""Pictures one after another in a stream of bytes, as cameras, FFmpeg and `cat` send them."""

from __future__ import annotations

import io
import os
import re
import select
import sys
from collections.abc import Generator, Iterator
from functools import partial
from typing import BinaryIO

from attrs import field, frozen

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.frame import Decode, Frame, name_of
from ssdreg_runtime.io.pictures import read_picture
from ssdreg_runtime.io.pipeline import PATIENCE

NAME = "standard input"

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_BEGIN = re.compile(re.escape(JPEG) + b"|" + re.escape(PNG))

#: What ends the compressed part of a JPEG: a marker, which is neither a stuffed byte (00), a
#: restart (D0 to D7) nor padding (FF); or a PNG, where the JPEG has broken off.
_COMPRESSED_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]|" + re.escape(PNG))

#: No picture is larger than this many bytes; what claims to be is damage.
LARGEST = 1 << 28

_CHUNK = 1 << 16


@frozen(eq=False)
class PipedImages:
    """JPEG and PNG pictures in a stream of bytes, `file`.

    What stands between pictures is passed over, as the headers of a camera's multipart stream.
    """

    file: BinaryIO = field(repr=False)
    name: str = NAME
    unit: str = "image"
    total: None = None
    live: bool = True

    def frames(self) -> Iterator[Decode | None]:
        """Give the pictures, each still to be decoded, and None when none has come for a while.

        Raises DataError when there was none at all.
        """
        number = 0
        for picture in split(chunks(self.file), self.name):
            number += picture is not None
            yield None if picture is None else partial(_decode, picture, self.name, number)
        if not number:
            raise DataError(
                f"{self.name} holds no JPEG or PNG picture: pipe pictures into it, as in "
                f"`ffmpeg -i VIDEO -f image2pipe -c:v mjpeg -q:v 2 - | ...`; a video is given by "
                f"its file's name")


def standard_input() -> PipedImages:
    """Give the pictures that are piped into this process; raise DataError where nothing is."""
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("- is standard input, but nothing is piped into it: pipe JPEG or PNG "
                        "pictures, as in `cat *.jpg | ...`")
    return PipedImages(sys.stdin.buffer)


def chunks(file: BinaryIO) -> Iterator[bytes | None]:
    """Give the bytes of a file as they come, and None when none have come for a while."""
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):  # in memory: it never waits
        yield from iter(partial(file.read, _CHUNK), b"")
        return
    # Windows cannot wait for pipes; there the read itself waits, until who writes goes
    can_wait = os.name != "nt"
    while True:
        if can_wait and not select.select([descriptor], [], [], PATIENCE)[0]:
            yield None
            continue
        got = os.read(descriptor, _CHUNK)
        if not got:
            return
        yield got


def split(chunks: Iterator[bytes | None], name: str = NAME) -> Iterator[bytes | None]:
    """Cut a stream of bytes into its pictures; None goes through.

    A picture that breaks off, in the middle or at the end, is given as far as it goes. Raises
    DataError, which calls the stream `name`, for a picture larger than anything that is one.
    """
    buffer = bytearray()
    parser = _pictures(buffer)
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        buffer += chunk
        while (picture := next(parser)) is not None:
            yield picture
        if len(buffer) > LARGEST:
            raise DataError(f"{name} holds a picture of more than {LARGEST >> 20} MiB: it is "
                            f"damaged, or no stream of pictures")
    if _BEGIN.match(buffer):
        yield bytes(buffer)


#: Gives None when the buffer that it reads has to grow before it can go on; returns a place in it.
_Parser = Generator[None, None, int]


def _pictures(buffer: bytearray) -> Generator[bytes | None, None, None]:
    """Cut pictures off the front of a buffer that grows; None when it has to grow first."""
    while True:
        begin = _BEGIN.search(buffer)
        if begin is None:
            # what may be the beginning of a picture's first bytes stays
            del buffer[:-len(PNG)]
            yield None
            continue
        del buffer[:begin.start()]
        length = yield from (_jpeg_end if buffer.startswith(JPEG) else _png_end)(buffer)
        picture = bytes(buffer[:length])
        del buffer[:length]
        yield picture


def _jpeg_end(buffer: bytearray) -> _Parser:
    """Find where the JPEG ends with which the buffer begins (ITU-T T.81, annex B)."""
    segment, at = 0, len(JPEG) - 1
    while True:
        yield from _grown(buffer, at + 2)
        marker = buffer[at + 1]
        if buffer[at] != 0xFF:
            return _damaged_end(buffer, segment, at)
        if marker == 0xD8:
            return at  # it breaks off, and the next one begins
        if marker == 0xD9:
            return at + 2
        if marker == 0xFF:
            at += 1  # padding
            continue
        yield from _grown(buffer, at + 4)
        segment = at
        at += 2 + int.from_bytes(buffer[at + 2:at + 4], "big")
        if marker == 0xDA:
            at = yield from _compressed_end(buffer, at)


def _compressed_end(buffer: bytearray, at: int) -> _Parser:
    while (end := _COMPRESSED_END.search(buffer, at)) is None:
        at = max(at, len(buffer) - len(PNG) + 1)
        yield None
    return end.start()


def _png_end(buffer: bytearray) -> _Parser:
    """Find where the PNG ends with which the buffer begins (ISO/IEC 15948, 5.3)."""
    chunk, at = 0, len(PNG)
    while True:
        yield from _grown(buffer, at + 8)
        kind = bytes(buffer[at + 4:at + 8])
        if not kind.isalpha():
            return _damaged_end(buffer, chunk, at)
        # its length, its kind, its data, its check sum
        chunk = at
        at += int.from_bytes(buffer[at:at + 4], "big") + 12
        if kind == b"IEND":
            yield from _grown(buffer, at)
            return at


def _damaged_end(buffer: bytearray, part: int, end: int) -> int:
    """Cut a picture whose last `part` ends where none can: another may have begun inside it."""
    another = _BEGIN.search(buffer, part + 1, end + len(PNG))
    return another.start() if another else end


def _grown(buffer: bytearray, size: int) -> Generator[None, None, None]:
    """Wait until the buffer has `size` bytes."""
    while len(buffer) < size:
        yield None


def _decode(picture: bytes, stream: str, number: int) -> Frame:
    try:
        pixels = read_picture(io.BytesIO(picture), name_of(stream, number))
    except DataError as error:
        return Frame(stream=stream, number=number, error=str(error))
    return Frame(stream=stream, number=number, pixels=pixels)
