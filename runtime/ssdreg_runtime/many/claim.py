"""Who writes into a folder of results, and how often a shard was begun: hidden files in it.

A job whose process was killed may have workers that live a little longer, and two jobs may be given
one folder. The folder belongs to the job that claimed it last; workers of any other write nothing
more, so that no picture has two rows. And a picture that kills whoever decodes it would be tried by
worker after worker for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from attrs import frozen

from ssdreg_runtime.errors import ClusterError, DataError
from ssdreg_runtime.system.files import replacing

_OWNER, _TRIES = ".job", ".tries"
#: How many workers may be lost at a shard.
_MOST_LOST = 3


@frozen
class Claim:
    """A folder of results, and the job that it belongs to by this claim."""

    folder: Path
    job: str

    @contextmanager
    def filling(self, shard: Path, first: str) -> Iterator[None]:
        """Count this try at a shard, and forget it when the shard was written.

        Raises DataError where too many workers were lost at it; `first` is its first picture.
        """
        tries = shard.with_name(f".{shard.stem}{_TRIES}")
        with tries.open("ab") as file:
            file.write(b".")
        if tries.stat().st_size > _MOST_LOST:
            raise DataError(f"{_MOST_LOST} workers were lost at the same pictures, {first} and "
                            f"those behind it: leave out what cannot be decoded, or choose fewer "
                            f"workers where memory is short")
        yield
        with suppress(OSError):
            tries.unlink()

    def check(self) -> None:
        """Raise ClusterError where another job has claimed the folder since."""
        if (self.folder / _OWNER).read_text(encoding="ascii") != self.job:
            raise ClusterError(f"another job has begun to write into {self.folder}, and this one "
                               f"ends: choose a folder for each")


def claim(folder: Path) -> Claim:
    """Claim a folder for a new job."""
    claimed = Claim(folder, uuid4().hex)
    with replacing(folder / _OWNER) as beside:
        beside.write_text(claimed.job, encoding="ascii")
    _forget_tries(folder)
    return claimed


def release(claimed: Claim) -> None:
    """Remove the claim of a job that has ended, if the folder is still its own."""
    with suppress(OSError, ClusterError):
        claimed.check()
        (claimed.folder / _OWNER).unlink()
        _forget_tries(claimed.folder)


def _forget_tries(folder: Path) -> None:
    for tries in folder.glob(f".*{_TRIES}"):
        tries.unlink(missing_ok=True)
