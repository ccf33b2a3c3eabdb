"""What becomes of damaged files: refused by a sentence, accepted, or worse.

    python benchmarks/mutations.py [--count 1000] [--seed 0] [--kinds NAME ...] [--out FILE.md]

Of every kind of file that is read here, originals are written, and damaged copies of them read as
the commands read them, in processes with a bound of memory (2 GiB above what they begin with) and
of time. A damaged file is to be refused by a sentence, or accepted; a crash by a signal, a hang, an
exception that is none of ssdreg's, more memory than that, and files outside of the folder are
faults. Every fault is named with the seed and the number that make it again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from attrs import frozen
from mutation_kinds import Kind, kinds
from mutators import mutated
from ssdreg_runtime.system.tables import text_table

#: Bytes of memory above what a process begins with, and seconds that one file may take.
MEMORY, SECONDS = 2 * 2**30, 60
OUTCOMES = ("refused", "accepted", "equal", "foreign", "memory", "crash", "hang", "outside")
FAULTS = OUTCOMES[3:]


@frozen
class Outcome:
    """What became of one damaged file, and what was said."""

    number: int
    outcome: str
    said: str = ""


def main() -> None:
    """Damage, read, count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--out", type=Path, help="a file for the table in Markdown")
    parser.add_argument("--sentences", action="store_true", help="count what refused sentences say")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder, first = options.child
        _work(_kind(name), Path(folder), options.seed, int(first), options.count)
        return
    chosen = [kind for kind in kinds() if options.kinds is None or kind.name in options.kinds]
    rows = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        sandbox = Path(folder)
        run, data = _train(sandbox)
        for kind in chosen:
            originals = sandbox / "originals" / kind.name.replace(" ", "_")
            originals.mkdir(parents=True)
            kind.make(originals, run, data)
            started = time.monotonic()
            outcomes = _run(kind, sandbox, options.seed, options.first, options.count)
            counted = Counter(outcome.outcome for outcome in outcomes)
            rows.append((kind.name, *(str(counted[name]) for name in OUTCOMES)))
            print(f"{kind.name}: {dict(counted)}, {time.monotonic() - started:.0f} s", flush=True)
            _tell(outcomes, options.seed)
            if options.sentences:
                _tell_sentences(outcomes)
    heading = ("kind", *OUTCOMES)
    print(text_table(heading, rows))
    if options.out:
        lines = (heading, ["---", *["---:"] * len(OUTCOMES)], *rows)
        options.out.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines),
                               encoding="utf-8")


def _kind(name: str) -> Kind:
    return next(kind for kind in kinds() if kind.name == name)


def _train(sandbox: Path) -> tuple[Path, Path]:
    """Train a small network on drawn shapes; return the run's folder and the data's."""
    from attrs import evolve

    import ssdreg
    from ssdreg.backbones.resnet import ResNet, declare
    from ssdreg.data.synthetic import write_shapes
    os.environ["XDG_CACHE_HOME"] = str(sandbox / "cache")
    data, run = sandbox / "shapes", sandbox / "run"
    write_shapes(data, 8, 4, (64, 64))
    small = evolve(declare(ResNet(10, (1, 1, 1, 1), bottleneck=False, stem=8)),
                   name="resnet10_eighth", aliases=(), tap_strides=(8, 16))
    ssdreg.train(data=data, out=run, backbone=small, data_shape=64, epochs=1, batch_size=4)
    return run, data


def _tell(outcomes: list[Outcome], seed: int) -> None:
    """Print each fault once, with a number that makes it again and how often it was met."""
    met: dict[tuple[str, str], list[int]] = {}
    for outcome in outcomes:
        if outcome.outcome in FAULTS:
            met.setdefault((outcome.outcome, outcome.said), []).append(outcome.number)
    for (name, said), numbers in met.items():
        print(f"    {name}, {len(numbers)} times, --seed {seed} --first {numbers[0]} --count 1: "
              f"{said}", flush=True)


def _tell_sentences(outcomes: list[Outcome]) -> None:
    """Print what refused files were refused for, without names and numbers."""
    said = Counter(re.sub(r"/\S+|'[^']*'|[\d,.]+", "_", outcome.said) for outcome in outcomes
                   if outcome.outcome == "refused")
    for sentence, times in said.most_common(20):
        print(f"    {times:5} {sentence[:110]}", flush=True)


# The process beside, which reads what may kill it

def _run(kind: Kind, sandbox: Path, seed: int, first: int, count: int) -> list[Outcome]:
    """Read damaged files of a kind, in a new process behind each that ended one."""
    outcomes: list[Outcome] = []
    number = first
    while number < first + count:
        reached, met = _in_child(kind, sandbox, seed, number, first + count - number)
        outcomes += met
        number = reached
    return outcomes


def _in_child(kind: Kind, sandbox: Path, seed: int, first: int, count: int
              ) -> tuple[int, list[Outcome]]:
    """Return the number to go on with, and what a process said before it ended."""
    errors = sandbox / "errors.txt"
    reading, writing = os.pipe()
    environment = {**os.environ, "XDG_CACHE_HOME": str(sandbox / "cache"), "OMP_NUM_THREADS": "1",
                   "MUTATIONS_PIPE": str(writing), "PYTHONFAULTHANDLER": "1"}
    with errors.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, __file__, "--seed", str(seed), "--count", str(count),
             "--child", kind.name, str(sandbox), str(first)],
            stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=environment,
            pass_fds=(writing,))
    os.close(writing)
    outcomes, at, buffer = [], first, b""
    with os.fdopen(reading, "rb", 0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], SECONDS)
            if not ready:
                child.kill()
                child.wait()
                return at + 1, [*outcomes, Outcome(at, "hang", f"over {SECONDS} s")]
            content = pipe.read(1 << 16)
            buffer += content
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                outcome = Outcome(**json.loads(line))
                outcomes.append(outcome)
                at = outcome.number + 1
            if not content:
                break
    status = child.wait()
    if status == 0:
        return first + count, outcomes
    last = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
    if at == first and status > 0:
        raise SystemExit(f"{kind.name}: the reading process failed\n" + "\n".join(last))
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    return at + 1, [*outcomes, Outcome(at, "crash", f"{name}: {_where(last)}")]


def _where(lines: list[str]) -> str:
    return next((line.strip() for line in lines if line.strip().startswith("File")), "")


def _work(kind: Kind, sandbox: Path, seed: int, first: int, count: int) -> None:
    """Damage files one by one, and write to the pipe what became of each."""
    pipe = os.fdopen(int(os.environ["MUTATIONS_PIPE"]), "wb", 0)
    originals = sandbox / "originals" / kind.name.replace(" ", "_")
    work, temporary = sandbox / "work", sandbox / "temporary"
    for folder in (work, temporary):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(originals, work)
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    os.chdir(work)
    # as they are: imports and pools of threads are no memory of a damaged file
    whole = {file: kind.read(work, file) for file in kind.files(work)}
    bound_memory(MEMORY)
    before = _around(sandbox)
    for number in range(first, first + count):
        source = random.Random(f"{seed} {kind.name} {number}")
        file = source.choice(sorted(whole))
        content = file.read_bytes()
        file.write_bytes(mutated(content, source))
        outcome = read(kind, work, file, whole[file], number)
        file.write_bytes(content)
        if _around(sandbox) != before:
            written = sorted(set(_around(sandbox)) - set(before))
            outcome = Outcome(number, "outside", f"{written[:3]} after {outcome.outcome}")
            before = _around(sandbox)
        line = {"number": number, "outcome": outcome.outcome, "said": outcome.said}
        pipe.write(json.dumps(line).encode() + b"\n")


def bound_memory(more: int) -> None:
    """Let this process take so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,
                                            resource.RLIM_INFINITY))


def _around(sandbox: Path) -> list[str]:
    """List what lies in the folders that no reader may write to."""
    return sorted(str(path.relative_to(sandbox)) for part in (".", "work", "temporary")
                  for path in (sandbox / part).iterdir())


def read(kind: Kind, work: Path, file: Path, whole: str, number: int) -> Outcome:
    """Read a damaged file, and say what became of it; `whole` is the digest of the whole one."""
    from ssdreg.errors import PluginError, SsdregError
    try:
        found = kind.read(work, file)
    except SsdregError as error:
        # what a built-in reader raised beside its sentences
        if isinstance(error, PluginError):
            return Outcome(number, "foreign", _last_line(error.__cause__ or error))
        return Outcome(number, "refused", str(error)[:200])
    except MemoryError as error:
        return Outcome(number, "memory", _last_line(error))
    except Exception as error:
        return Outcome(number, "foreign", _last_line(error))
    return Outcome(number, "equal" if found == whole else "accepted")


def _last_line(error: BaseException) -> str:
    """Say what was raised, and in which line of the project's own code."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__)
           if "/ssdreg" in frame.filename and "site-packages" not in frame.filename]
    where = f"{own[-1].filename.rpartition('/ssdreg')[2]}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[-1:]} at {where}"[:300]


if __name__ == "__main__":
    main()
