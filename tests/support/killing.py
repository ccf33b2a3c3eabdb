"""Work in processes of their own that are killed (SIGKILL) at chosen moments."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from attrs import frozen

#: Starts processes that have imported what they need, so that most of their time is training.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["ssdreg.mx", "ssdreg.training.train", "ssdreg.data.packing",
                                  "ssdreg.drawing.curves", "ssdreg.drawing.mpl",
                                  "faster_coco_eval", "support.runs"])


def die() -> None:
    """End this process at once: nothing is flushed, closed or removed."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # it takes the system a moment


class Moment(Protocol):
    """A moment of some work at which its process is killed."""

    def arm(self) -> Callable[[object], None]:
        """Kill this process at the moment; return what is to be told of a training."""


@frozen
class BeforeRename:
    """The moment before a file gets its name, when all of it has been written beside."""

    name: str

    def arm(self) -> Callable[[object], None]:
        """See `Moment.arm`."""
        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "os.rename" and Path(os.fsdecode(arguments[1])).match(self.name):
                die()
        sys.addaudithook(hook)
        return lambda event: None


@frozen
class WhileWriting:
    """A moment in which a file is written: some of it is there, under the name beside."""

    folder: Path
    pattern: str

    def arm(self) -> Callable[[object], None]:
        """See `Moment.arm`."""
        def watch() -> None:
            while not any(file.stat().st_size for file in self.folder.rglob(self.pattern)):
                time.sleep(0.0005)
            die()

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            # where all was written between two looks, it still has its name beside
            if event == "os.rename" and Path(os.fsdecode(arguments[0])).match(self.pattern):
                die()
        sys.addaudithook(hook)
        threading.Thread(target=watch, daemon=True).start()
        return lambda event: None


@frozen
class AfterStep:
    """The moment after a step of an epoch, both counted from 1, or so many seconds later."""

    epoch: int
    step: int
    later: float = 0.0

    def arm(self) -> Callable[[object], None]:
        """See `Moment.arm`."""
        from ssdreg.training.progress import Step

        def told(event: object) -> None:
            if (isinstance(event, Step) and not event.ended
                    and (event.epoch, event.step) == (self.epoch, self.step)):
                if not self.later:
                    die()
                threading.Timer(self.later, die).start()
        return told


def _train(run: Path, data: Path, cache: Path, moment: Moment | None, **options: object) -> None:
    """Begin a run, or go on with it, until a moment; in this process."""
    from support.runs import SIDE, SMALL

    import ssdreg
    os.environ["XDG_CACHE_HOME"] = str(cache)
    told = moment.arm() if moment is not None else None
    if (run / "config.json").exists():
        ssdreg.resume(run, progress=told)
        return
    ssdreg.train(data=data, out=run, backbone=SMALL, data_shape=SIDE, tap_strides=(8, 16),
                 head="ssdlite", engine="mxnet", progress=told, **options)


def _pack(data: Path, out: Path, moment: Moment | None, shard_size: int) -> None:
    from ssdreg.data.packing import pack_shards
    if moment is not None:
        moment.arm()
    pack_shards(data, out=out, shard_size=shard_size)


def end_of_training(run: Path, data: Path, cache: Path, moment: Moment | None,
                    **options: object) -> int:
    """Train in another process until a moment; return its exit code, negative for a signal."""
    return _end(_train, moment, run, data, cache, moment, **options)


def end_of_packing(data: Path, out: Path, moment: Moment | None, shard_size: int) -> int:
    """Pack in another process until a moment; return its exit code, negative for a signal."""
    return _end(_pack, moment, data, out, moment, shard_size)


def _end(work: Callable[..., None], moment: Moment | None, *arguments: object, **options: object
         ) -> int:
    process = PROCESSES.Process(target=work, args=arguments, kwargs=options)
    process.start()
    process.join(120)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"{moment} did not come within two minutes")
    return process.exitcode
