"""A model archive (``model.tar.gz``), read without trusting it.

Nothing is unpacked to the names in the archive. The members that are needed are extracted, one by
one and with bounds, to names chosen here, and by `tarfile.data_filter` where this Python has it
(3.12, and the security releases 3.9.17, 3.10.12 and 3.11.4); the rest is read over.

The filter alone would not do: it takes the slash off an absolute name, follows links that stay
inside, and bounds neither what comes out of the compression nor how many members there are.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path, PurePosixPath

from ssdreg_runtime.system.files import is_hidden

from ssdreg.errors import RunError

MAX_MEMBERS = 1000
#: All members together, unpacked. The largest detector of this kind takes half a gibibyte.
MAX_BYTES = 4 * 2**30
#: The most that is unpacked at once; headers are far smaller.
CHUNK = 2**20


class _Bounded(io.RawIOBase):
    """A compressed stream that gives up when more comes out of it than it may hold."""

    def __init__(self, stream: gzip.GzipFile, where: str) -> None:
        self._stream, self._where, self._furthest = stream, where, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # tarfile takes a whole extended header into memory, of the length the header claims
        if not 0 <= size <= CHUNK:
            raise RunError(f"{self._where} holds a header of {size:,} bytes: it is no model "
                           f"archive")
        data = self._stream.read(size)
        self._count()
        return data

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = self._stream.tell() + offset if whence == io.SEEK_CUR else offset
        # forwards is unpacking, piece by piece so that the bound holds
        while self._stream.tell() < position:
            if not self.read(min(CHUNK, position - self._stream.tell())):
                break
        return self._stream.seek(min(position, self._stream.tell()))

    def tell(self) -> int:
        return self._stream.tell()

    def _count(self) -> None:
        self._furthest = max(self._furthest, self._stream.tell())
        if self._furthest > MAX_BYTES:
            raise RunError(f"{self._where} unpacks to more than {MAX_BYTES:,} bytes: it is no "
                           f"model archive")


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool]) -> tuple[Path, ...]:
    """Copy the members whose names (without folders) are `wanted` into `folder`.

    Hidden ones, and what lies in hidden folders, are passed over.

    Raises RunError for what is no gzipped tar or is truncated, and for an archive with a member
    outside of it, a link, a device, two members of one wanted name, too many members, or too
    much in them. Whatever goes wrong, nothing is written outside of `folder`.
    """
    unpacked: dict[str, Path] = {}
    with _opened(archive) as members:
        for number, member in enumerate(members):
            if number >= MAX_MEMBERS:
                raise RunError(f"{archive} has more than {MAX_MEMBERS} members: it is no model "
                               f"archive")
            name = _checked_name(archive, member)
            if not member.isreg() or not wanted(name) or _lies_hidden(member):
                continue
            if name in unpacked:
                raise RunError(f"{archive} holds {name!r} twice: which one is meant cannot be "
                               f"told")
            unpacked[name] = folder / name
            _extract(members, member, folder, name)
        # read to the checksum at the end: the file may be cut off just before it
        assert members.fileobj is not None
        while members.fileobj.read(CHUNK):
            pass
    return tuple(unpacked.values())


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive; turn errors in reading it into a RunError."""
    try:
        with gzip.open(archive) as stream, tarfile.open(
                fileobj=_Bounded(stream, str(archive)), mode="r:") as members:
            if hasattr(tarfile, "data_filter"):
                members.extraction_filter = tarfile.data_filter
            yield members
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RunError(f"{archive} is no gzipped tar archive, or it is truncated: {error}"
                       ) from error


def _checked_name(archive: Path, member: tarfile.TarInfo) -> str:
    """Return a member's name without folders; refuse what no model archive holds."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in member.name:
        raise RunError(f"{archive} holds {member.name!r}, which would lie outside of it: it is no "
                       f"model archive and was left alone")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise RunError(f"{archive} holds {member.name!r}, which is a link or a device and no file: "
                       f"it is no model archive and was left alone")
    if not 0 <= member.size <= MAX_BYTES:
        raise RunError(f"{archive} holds {member.name!r} of {member.size:,} bytes: it is no model "
                       f"archive")
    return path.name


def _lies_hidden(member: tarfile.TarInfo) -> bool:
    return any(map(is_hidden, PurePosixPath(member.name.replace("\\", "/")).parts))


def _extract(members: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> None:
    """Write a regular file to `name` in `folder`, with none of the member's permissions."""
    renamed = copy(member)
    renamed.name = name
    members.extract(renamed, folder, set_attrs=False)
