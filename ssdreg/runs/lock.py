"""One writer a folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen
from ssdreg_runtime.system.files import stored, sync

from ssdreg.errors import RunError, SsdregWarning

#: The file that is locked, in the folder; it says who holds it, and is there as long as somebody
#: does, or after a kill until the next one.
FILE = ".lock"
#: Seconds in which `holder`, which locks it to look, has ended.
_GLANCE = 0.1
#: What a file system answers that knows no locks.
_UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@frozen
class Holder:
    """Who writes into a folder: `process` on `host`, since `began` (local time), and what it does.
    """

    process: int
    host: str
    began: str
    what: str

    @classmethod
    def me(cls, what: str) -> Holder:
        """Return this process, as of now."""
        return cls(os.getpid(), socket.gethostname(),
                   datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"), what)

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} ({self.what}), since {self.began}"


@contextmanager
def writing(folder: Path, what: str) -> Iterator[None]:
    """Be the one writer of a folder, which is made if need be; `what` says to others what for.

    A folder that was made for this goes again if nothing was written into it. Raises RunError,
    which names the process, its machine and since when, where another one writes into it.

    The lock is the kernel's (``flock``): it ends with the process, however that ends, and nothing
    has to be cleared after a kill. It holds between processes of a machine on every local file
    system. On NFS (from version 3 with a lock manager, and 4), on CIFS, CephFS, Lustre mounted with
    ``flock`` and GPFS the server keeps it, so that it holds between machines too; there a machine
    that vanishes keeps it until the server's lease has run out. On NFS mounted with ``nolock`` or
    ``local_lock``, on Lustre with ``localflock``, and in some of the file systems that are made of
    an object store, it holds within one machine only, and nobody can know that from here. Where a
    file system knows no locks, a warning says that nothing keeps a second writer out.
    """
    made = _make(folder)
    descriptor = _locked(folder / FILE, Holder.me(what))
    try:
        yield
    finally:
        if descriptor is not None:
            # as long as it is locked, so that nobody locks a file that has no name any more
            (folder / FILE).unlink(missing_ok=True)
            _held.discard(descriptor)
            os.close(descriptor)
        for path in made:
            with suppress(OSError):  # it holds something now
                path.rmdir()


def holder(folder: Path) -> Holder | None:
    """Return who writes into a folder; None where nobody does."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _take(descriptor) is not False else _read(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> tuple[Path, ...]:
    """Make a folder with those above it; return those that were missing, the innermost first."""
    missing = tuple(path for path in (folder, *folder.parents) if not path.exists())
    with stored(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            sync(path.parent)
    return missing


def _locked(file: Path, me: Holder) -> int | None:
    """Lock a file and write into it who does; None where that cannot be known."""
    while True:
        with stored(file.parent):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        taken = _take(descriptor)
        if taken is False:
            time.sleep(_GLANCE)
            taken = _take(descriptor)
        if taken is False:
            other = _read(descriptor)
            os.close(descriptor)
            raise RunError(f"{file.parent} is being written by {other or 'another process'}: wait "
                           f"for it, end it, or choose another folder")
        # its holder may have ended, and deleted it, since it was opened
        if not _is_there(descriptor, file):
            os.close(descriptor)
            continue
        if taken is None:
            warnings.warn(f"{file.parent} lies in a file system that knows no locks: nothing keeps "
                          f"a second training out of it", SsdregWarning, stacklevel=4)
        _held.add(descriptor)
        with stored(file.parent):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps([me.process, me.host, me.began, me.what]).encode(), 0)
        return descriptor


def _take(descriptor: int) -> bool | None:
    """Lock an open file: True; False where another one has; None where it cannot be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in _UNKNOWN:
            return None
        raise
    return True


def _is_there(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> Holder | None:
    """Read who holds a lock; None in the moment before it is written."""
    try:
        process, host, began, what = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(process), str(host), str(began), str(what))
    except (ValueError, TypeError):
        return None


#: The locks of this process. A process that is forked shares them and would keep them, when this
#: one has ended, as long as it lives.
_held: set[int] = set()


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
