"""Kill trainings at random moments, resume them, and compare them with one that was not disturbed.

    OMP_NUM_THREADS=1 python benchmarks/survival.py --kills 25 --log survival.log

A training of a small network on drawn shapes, float32 and then bfloat16 where the processor has it,
is sent SIGKILL again and again. Each time a number of events is drawn from a seed, and up to 30 ms
behind the last of them: events are all that a training tells, the pictures it packs, every file
that it opens to write and every file that it renames. Then the same command goes on, or begins,
until the run has come to its end. Parameters, optimizer, checksums, log and the names of all files
must be those of the undisturbed run. A line of the log with bars is a kill, a row of a table:
precision, number, which run, the last that happened before it, milliseconds behind that, and what
it left unfinished.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import evolve, frozen

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["ssdreg.mx", "ssdreg.training.train", "ssdreg.data.packing",
                                  "ssdreg.drawing.curves"])
SIDE, EPOCHS, BATCH, TRAIN, VAL = 64, 3, 4, 16, 8
#: Seconds behind an event, at most: what is not written by Python has no events of its own.
BEHIND = 0.03
#: What is compared to the bit.
COMPARED = (*(f"ssd-{epoch:04d}.params" for epoch in range(1, EPOCHS + 1)),
            f"ssd-{EPOCHS:04d}.states", "SHA256SUMS")


@frozen
class Folders:
    """Where a training reads and writes."""

    data: Path
    run: Path
    cache: Path
    temporary: Path

    def files(self) -> set[Path]:
        """Return all that it has written, relative to their folders."""
        return {path.relative_to(folder) for folder in (self.run, self.cache, self.temporary)
                if folder.is_dir() for path in folder.rglob("*")}


class Events:
    """Counts what happens in this process; kills it behind one of them."""

    def __init__(self, folders: Folders, last: int | None, behind: float, pipe: int) -> None:
        self._folders, self._last, self._behind, self._pipe = folders, last, behind, pipe
        self._count, self._lock = 0, threading.RLock()
        sys.addaudithook(self._audited)

    def told(self, event: object) -> None:
        """Take note of what the training tells."""
        self._happened(str(event).splitlines()[0])

    def _audited(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename":
            self._happened(f"before {Path(os.fsdecode(arguments[1])).name} has its name")
        elif event == "open" and isinstance(arguments[0], str) and arguments[2] is not None and (
                int(arguments[2]) & (os.O_WRONLY | os.O_RDWR)):
            self._happened(f"opens {_short(Path(arguments[0]).name)} to write")

    def _happened(self, what: str) -> None:
        with self._lock:
            self._count += 1
            os.write(self._pipe, f"{self._count}\t{what}\n".encode(errors="replace"))
            if self._count == self._last:
                threading.Timer(self._behind, os.kill, (os.getpid(), signal.SIGKILL)).start()


def train(folders: Folders, precision: str, last: int | None, behind: float, pipe: int) -> None:
    """Begin a run, or go on with it, until a number of events."""
    import ssdreg
    from ssdreg.backbones.resnet import ResNet, declare
    os.environ["XDG_CACHE_HOME"] = str(folders.cache)
    # Matplotlib looks for fonts once, and a kill in that moment leaves its lock, which is not ours
    os.environ["MPLCONFIGDIR"] = str(folders.data.with_name("matplotlib"))
    tempfile.tempdir = str(folders.temporary)
    events = Events(folders, last, behind, pipe)
    if (folders.run / "config.json").exists():
        ssdreg.resume(folders.run, progress=events.told)
        return
    small = evolve(declare(ResNet(10, (1, 1, 1, 1), bottleneck=False, stem=8)), aliases=(),
                   name="resnet10_eighth", tap_strides=(8, 16))
    ssdreg.train(data=folders.data, out=folders.run, backbone=small, data_shape=SIDE, epochs=EPOCHS,
                 batch_size=BATCH, augment="ssd", engine="mxnet", precision=precision,
                 progress=events.told)


def attempt(folders: Folders, precision: str, last: int | None = None, behind: float = 0.0
            ) -> tuple[int, list[str]]:
    """Train in another process; return its exit code and what happened there."""
    folders.temporary.mkdir(exist_ok=True)
    reading, writing = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_attempt, args=(folders, precision, last, behind, writing))
    process.start()
    writing.close()
    happened = b""
    while chunk := os.read(reading.fileno(), 2**16):
        happened += chunk
    process.join()
    reading.close()
    return int(process.exitcode or 0), happened.decode(errors="replace").splitlines()


def _attempt(folders: Folders, precision: str, last: int | None, behind: float, pipe: object
             ) -> None:
    train(folders, precision, last, behind, pipe.fileno())  # type: ignore[attr-defined]


def lines(run: Path) -> list[tuple[object, ...]]:
    """Return the log without times."""
    from ssdreg.runs.log import read_log
    return [(line.epoch, line.steps, line.lr, line.cls_loss, line.loc_loss, line.map, line.ap)
            for line in read_log(run / "log.csv")]


def differences(left: Folders, right: Folders) -> list[str]:
    """Return what differs between two trainings that have come to their end."""
    found = [name for name in COMPARED
             if (left.run / name).read_bytes() != (right.run / name).read_bytes()]
    if lines(left.run) != lines(right.run):
        found.append("log.csv")
    return found + [f"left over: {path}" for path in sorted(right.files() ^ left.files())]


def survive(root: Path, precision: str, kills: int, seed: int, tell: Callable[[str], None]) -> bool:
    """Kill trainings so often; return whether all came to the end of the undisturbed one."""
    chance, data = random.Random(f"{precision} {seed}"), root / "shapes"
    whole = Folders(data, *(root / precision / "whole" / name for name in ("run", "cache", "tmp")))
    whole.run.parent.mkdir(parents=True)
    began = time.monotonic()
    code, happened = attempt(whole, precision)
    assert code == 0, happened[-5:]
    tell(f"{precision}: undisturbed, {len(happened)} events in {time.monotonic() - began:.1f} s")
    killed = runs = 0
    good = True
    while killed < kills:
        runs += 1
        folders = Folders(data, *(root / precision / f"run{runs}" / name
                                  for name in ("run", "cache", "tmp")))
        folders.run.parent.mkdir(parents=True)
        for last in _numbers(chance, len(happened), kills - killed):
            behind = chance.uniform(0, BEHIND)
            code, done = attempt(folders, precision, last, behind)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                tell(f"it ended with {code} behind {done[-1] if done else 'nothing'}")
                return False
            killed += 1
            left = sorted(path.name for path in folders.files() if path.name.startswith("."))
            tell(f"| {precision} | {killed} | {runs} | {_where(done[-1])} | {1000 * behind:.0f} | "
                 f"{', '.join(f'`{_short(name)}`' for name in left) or '-'} |")
        code, done = attempt(folders, precision)
        found = differences(whole, folders) if code == 0 else [f"it ended with {code}"]
        good = good and not found
        tell(f"run {runs}: resumed to its end, "
             f"{'equal to the bit, nothing left over' if not found else 'DIFFERS: '}"
             f"{', '.join(found)}")
        shutil.rmtree(folders.run.parent)
    return good


def _numbers(chance: random.Random, events: int, most: int) -> Iterator[int]:
    for _ in range(most):
        # two thirds of a training, so that one that goes on is killed too
        yield chance.randint(1, 2 * events // 3)


def _where(line: str) -> str:
    """Return what happened last, shortened, from a line of the pipe."""
    what = line.partition("\t")[2].partition(", cls ")[0].partition(" of circle")[0]
    return what.replace(str(tempfile.gettempdir()), "").replace("|", "/")


def _short(name: str) -> str:
    """Leave out of a name beside what is of a process."""
    parts = name.split(".")
    return f".{parts[1]}...{parts[-1]}" if len(parts) > 3 else name


def main() -> int:
    """Do what the arguments say; the exit status is 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="of each precision")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="the file to write what is printed to, too")
    options = parser.parse_args()
    from ssdreg.data.synthetic import write_shapes
    from ssdreg.registry.device import CPU, Device
    from ssdreg.registry.names import get_engine
    log = options.log.open("w", encoding="utf-8") if options.log else None

    def tell(line: str) -> None:
        print(line, flush=True)
        if log is not None:
            print(line, file=log, flush=True)
    with tempfile.TemporaryDirectory(prefix="survival-") as folder:
        write_shapes(Path(folder, "shapes"), TRAIN, VAL, (SIDE, SIDE))
        precisions = [name for name in ("float32", "bfloat16")
                      if name in get_engine("mxnet").precisions_on(Device(CPU))]
        good = [survive(Path(folder), name, options.kills, options.seed, tell)
                for name in precisions]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
