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
from ssdreg_runtime.io.pipeline import POLL_SECONDS

STREAM_NAME = "standard input"

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_BEGIN = re.compile(re.escape(JPEG) + b"|" + re.escape(PNG))

#: What ends the compressed part of a JPEG: a marker, which is neither a stuffed byte (00), a
#: restart (D0 to D7) nor padding (FF); or a PNG, where the JPEG has broken off.
_COMPRESSED_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]|" + re.escape(PNG))

#: Bound of a picture's size in bytes; a larger one is taken for damage.
MAX_PICTURE_BYTES = 1 << 28

_CHUNK_BYTES = 1 << 16


@frozen(eq=False)
class PipedImages:
    """JPEG and PNG pictures in a stream of bytes, `file`.

    Bytes between pictures are skipped, such as the headers of a camera's multipart stream.
    """

    file: BinaryIO = field(repr=False)
    name: str = STREAM_NAME
    unit: str = "image"
    total: None = None
    live: bool = True

    def frames(self) -> Iterator[Decode | None]:
        """Yield the pictures, each still to be decoded, and None after a while without one.

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
    """Return the pictures piped into this process; raise DataError where nothing is piped."""
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("- is standard input, but nothing is piped into it: pipe JPEG or PNG "
                        "pictures, as in `cat *.jpg | ...`")
    return PipedImages(sys.stdin.buffer)


def chunks(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the bytes of a file as they arrive, and None after `POLL_SECONDS` without any."""
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):  # a file in memory never waits
        yield from iter(partial(file.read, _CHUNK_BYTES), b"")
        return
    # Windows cannot select on pipes: there the read itself blocks until the writer ends
    can_wait = os.name != "nt"
    while True:
        if can_wait and not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            yield None
            continue
        received = os.read(descriptor, _CHUNK_BYTES)
        if not received:
            return
        yield received


def split(chunks: Iterator[bytes | None], name: str = STREAM_NAME) -> Iterator[bytes | None]:
    """Cut a stream of bytes into its pictures; None is passed on.

    A truncated picture is yielded as far as it goes. Raises DataError, which names the stream
    `name`, for a picture of more than `MAX_PICTURE_BYTES`.
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
        if len(buffer) > MAX_PICTURE_BYTES:
            size = MAX_PICTURE_BYTES >> 20
            raise DataError(f"{name} holds a picture of more than {size} MiB: it is damaged, or no "
                            f"stream of pictures")
    if _BEGIN.match(buffer):
        yield bytes(buffer)


#: Yields None while the buffer it reads has to grow; returns an index in it.
_EndSearch = Generator[None, None, int]


def _pictures(buffer: bytearray) -> Generator[bytes | None, None, None]:
    """Cut pictures off the front of a growing buffer; yield None while it has to grow."""
    while True:
        begin = _BEGIN.search(buffer)
        if begin is None:
            # the last bytes may begin a picture's signature
            del buffer[:-len(PNG)]
            yield None
            continue
        del buffer[:begin.start()]
        length = yield from (_jpeg_end if buffer.startswith(JPEG) else _png_end)(buffer)
        picture = bytes(buffer[:length])
        del buffer[:length]
        yield picture


def _jpeg_end(buffer: bytearray) -> _EndSearch:
    """Return the end of the JPEG at the front of the buffer (ITU-T T.81, annex B)."""
    segment, position = 0, len(JPEG) - 1
    while True:
        yield from _wait_for_bytes(buffer, position + 2)
        marker = buffer[position + 1]
        if buffer[position] != 0xFF:
            return _damaged_end(buffer, segment, position)
        if marker == 0xD8:
            return position  # this one is truncated, and the next begins
        if marker == 0xD9:
            return position + 2
        if marker == 0xFF:
            position += 1  # padding
            continue
        yield from _wait_for_bytes(buffer, position + 4)
        segment = position
        position += 2 + int.from_bytes(buffer[position + 2:position + 4], "big")
        if marker == 0xDA:
            position = yield from _compressed_end(buffer, position)


def _compressed_end(buffer: bytearray, position: int) -> _EndSearch:
    while (end := _COMPRESSED_END.search(buffer, position)) is None:
        position = max(position, len(buffer) - len(PNG) + 1)
        yield None
    return end.start()


def _png_end(buffer: bytearray) -> _EndSearch:
    """Return the end of the PNG at the front of the buffer (ISO/IEC 15948, 5.3)."""
    chunk, position = 0, len(PNG)
    while True:
        yield from _wait_for_bytes(buffer, position + 8)
        chunk_type = bytes(buffer[position + 4:position + 8])
        if not chunk_type.isalpha():
            return _damaged_end(buffer, chunk, position)
        # a chunk is length, type, data, check sum
        chunk = position
        position += int.from_bytes(buffer[position:position + 4], "big") + 12
        if chunk_type == b"IEND":
            yield from _wait_for_bytes(buffer, position)
            return position


def _damaged_end(buffer: bytearray, last_part: int, end: int) -> int:
    """Return the end of a damaged picture: where the next begins, if inside its `last_part`."""
    next_picture = _BEGIN.search(buffer, last_part + 1, end + len(PNG))
    return next_picture.start() if next_picture else end


def _wait_for_bytes(buffer: bytearray, size: int) -> Generator[None, None, None]:
    """Wait until the buffer has `size` bytes."""
    while len(buffer) < size:
        yield None


def _decode(picture: bytes, stream: str, number: int) -> Frame:
    try:
        sized = read_picture(io.BytesIO(picture), name_of(stream, number))
    except DataError as error:
        return Frame(stream=stream, number=number, error=str(error))
    return Frame(stream=stream, number=number, pixels=sized.pixels, size=sized.size)
