"""The names of files that are not whole yet, and which of them a dead process has left behind.

A file is written beside its place under a name that says by whom::

    .TARGET.PLACE-PID-START-RANDOM.SUFFIX

`PLACE` stands for the machine since it was started, and for the process numbers that are valid
there (a container has its own); `START` is when the process began. So a number that was given out
again is told apart, and so are writers that share a folder over a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from functools import cache as cached
from pathlib import Path
from uuid import uuid4

from attrs import frozen

#: The ending of a folder that made way for a new one of its name.
BEFORE = ".before"
#: Seconds without a write after which a file of another machine is nobody's any more.
ABANDONED = 7 * 24 * 3600.0

_NAME = re.compile(r"\.(?P<target>.+)\.(?P<place>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-\w+"
                   r"(?P<suffix>\.[^.]*)?")


def own_mark() -> str:
    """Return what a name says of its writer; another one every time."""
    # threads share a process number
    return f"{_place()}-{os.getpid()}-{_start(os.getpid())}-{uuid4().hex[:8]}"


@frozen
class Leftover:
    """A file or a folder that is not whole: `path`, and the process that wrote it.

    `target` is the name that it was to have. Whether `place` is this machine, as it runs now,
    decides what can be known of the process.
    """

    path: Path
    target: str
    place: str
    pid: int
    start: int

    @property
    def is_here(self) -> bool:
        """Whether its writer was a process of this machine, since it was started."""
        return self.place == _place()

    @property
    def is_dead(self) -> bool:
        """Whether nobody writes it any more.

        A process of this machine is looked for. One of another machine, of another container or of
        the time before a restart cannot be: it counts as dead when the file has not been
        written to for a week (`ABANDONED`).
        """
        if self.is_here:
            return not _lives(self.pid, self.start)
        return time.time() - self.path.lstat().st_mtime > ABANDONED

    @property
    def is_former(self) -> bool:
        """Whether it is a whole folder that made way for a new one, which has not come."""
        return (self.path.name.endswith(BEFORE)
                and not os.path.lexists(self.path.with_name(self.target)))


def leftovers(folder: Path) -> Iterator[Leftover]:
    """Give what is not whole in a folder, and belongs to this user; of living processes too."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".")]
    for name in names:
        match, path = _NAME.fullmatch(name), folder / name
        with contextlib.suppress(FileNotFoundError):  # its writer has just finished
            if match and path.lstat().st_uid == os.geteuid():
                yield Leftover(path, match["target"], match["place"], int(match["pid"]),
                               int(match["start"]))


def sweep(folder: Path) -> tuple[Path, ...]:
    """Remove from a folder what dead processes have left unfinished; return what was removed.

    See `Leftover.is_dead` for who is dead: what a living process writes stays, and so does what a
    process of another machine may be writing. A folder that had made way for a new one goes
    back to its place.
    """
    removed = []
    # what cannot be looked at or removed stays: this is no reason to refuse any work
    with contextlib.suppress(OSError):
        for leftover in leftovers(folder):
            with contextlib.suppress(OSError):
                if leftover.is_dead:
                    _remove(leftover)
                    removed.append(leftover.path)
    return tuple(removed)


def sweep_once(folder: Path) -> None:
    """Sweep a folder, if this process has not done so."""
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)


_swept: set[Path] = set()


def _remove(leftover: Leftover) -> None:
    path = leftover.path
    if leftover.is_former:
        path.replace(path.with_name(leftover.target))
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@cached
def _place() -> str:
    """Return eight digits for this machine since it was started, and its numbers of processes."""
    known = [socket.gethostname()]
    with contextlib.suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        known.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - it names no file
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]


def _start(pid: int) -> int:
    """Return when a process was started, in ticks since the machine was; 0 where that is unknown.

    Raises FileNotFoundError where there is no such process to be seen.
    """
    if not Path("/proc/self/stat").exists():
        return 0
    # the name in parentheses may hold anything
    state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if state in b"ZX":  # it has ended, and its parent does not know yet
        raise FileNotFoundError(f"process {pid} has ended")
    return int(fields[18])


def _lives(pid: int, start: int) -> bool:
    try:
        return _start(pid) in (start, 0)
    except (FileNotFoundError, ProcessLookupError):
        pass
    # it has ended, or is hidden from other users
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return False  # seen, but ended
