"""How many requests a second a server answers, beside the bare engine and other servers.

    python benchmarks/serve.py cells.onnx                       # the table, 3 rounds
    python benchmarks/serve.py cells.onnx --bentoml-python PATH  # with BentoML, from that Python
    python benchmarks/serve.py cells.onnx --overload 10         # minutes at twice the capacity
    python benchmarks/serve.py cells.onnx --attack 10000        # mutated pictures

MODEL is exported with --dynamic-batch. The engine alone gets pictures that are decoded, in batches
of 8; "with decoding" is what ssdreg-detect does with files. Each server is a process of its own,
asked by wrk (Debian's package) with one photo, one server after another in each round; figures are
the medians of the rounds. The clients share the processors with the servers, and the engine alone
has them to itself. Target: 90 % of the engine alone at 64 clients, which a light network cannot
reach where decoding takes more than a tenth of the processors: so both shares are printed. In an
overload: no status of 500 or above, no more memory at its end, 429 for what is refused.

OpenVINO's own .xml is measured too, against no other server: they run ONNX files by ONNX Runtime.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from PIL import Image
from serve_loads import Load, attack, closed_load, resident_bytes, steady_load
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.inference.streams import stream
from ssdreg_runtime.system.tables import text_table

HERE = Path(__file__).parent
TARGET_CLIENTS, TARGET = 64, 0.9
#: Seconds in which a server starts.
PATIENCE = 120
#: How much more memory a server may have at an overload's end.
GROWTH = 1.05


@frozen
class Server:
    """A server that is measured: its name, its command, and the path that is asked."""

    name: str
    command: Sequence[str]
    path: str
    port: int
    environ: dict[str, str]

    @property
    def url(self) -> str:
        """Where pictures are sent."""
        return f"http://127.0.0.1:{self.port}{self.path}"


def main() -> int:
    """Measure what is asked for, print it, and say whether the targets are met."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="ssdreg-serve-") as name:
        folder = Path(name)
        photo = options.photo or _drawn_photo(folder)
        ours = _ours(options)
        if options.attack:
            return _attack(ours, photo, options.attack)
        if options.overload:
            return _overload(ours, photo, options, folder)
        return _compare(options, photo.absolute(), folder)


def parser() -> argparse.ArgumentParser:
    """Declare the options."""
    found = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("model", type=Path)
    found.add_argument("--photo", type=Path, help="a JPEG; a drawn one of 640x480 by default")
    found.add_argument("--backend", default="auto")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--batch", type=int, default=8)
    found.add_argument("--clients", type=lambda text: [int(each) for each in text.split(",")],
                       default=[1, 8, TARGET_CLIENTS])
    found.add_argument("--seconds", type=float, default=20, help="of each measurement")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--bentoml-python", metavar="PATH", help="a Python that has BentoML")
    found.add_argument("--overload", type=float, metavar="MINUTES")
    found.add_argument("--attack", type=int, metavar="N")
    return found


def _compare(options: argparse.Namespace, photo: Path, folder: Path) -> int:
    servers = [_ours(options), *_others(options)]
    engine: dict[str, list[float]] = defaultdict(list)
    loads: dict[tuple[str, int], list[Load]] = defaultdict(list)
    for _ in range(options.rounds):
        detector = Detector(options.model, options.backend, options.threads)
        if detector.facts.batch is None:
            detector.batch_size = options.batch
        engine["engine alone"].append(_engine_rate(detector, photo, options.seconds))
        engine["engine with decoding"].append(_stream_rate(detector, photo, options.seconds))
        del detector
        for server in servers:
            with _running(server):
                closed_load(server.url, photo, 8, min(3, options.seconds), folder)
                for clients in options.clients:
                    loads[server.name, clients].append(
                        closed_load(server.url, photo, clients, options.seconds, folder))
    rates = {name: statistics.median(each) for name, each in engine.items()}
    base = rates["engine alone"]
    heading = ("", "clients", "images/s", "of the engine alone", "p50 ms", "p99 ms", "not 200")
    print(text_table(heading, [
        *((name, "", f"{rate:.1f}", f"{rate / base:.0%}", "", "", "")
          for name, rate in rates.items()),
        *(_row(name, clients, measured, base) for (name, clients), measured in loads.items())]))
    ours = loads.get((servers[0].name, TARGET_CLIENTS))
    if ours is None:
        return 0
    rate = statistics.median(load.rate for load in ours)
    print()
    for name, measured in rates.items():
        print(f"at {TARGET_CLIENTS} clients: {rate / measured:.0%} of the {name}, target "
              f"{TARGET:.0%}: {'met' if rate >= TARGET * measured else 'missed'}")
    return 0 if rate >= TARGET * base else 1


def _row(name: str, clients: int, loads: Sequence[Load], base: float) -> tuple[str, ...]:
    rate, p50, p99 = (statistics.median(getattr(load, each) for load in loads)
                      for each in ("rate", "p50", "p99"))
    return (name, str(clients), f"{rate:.1f}", f"{rate / base:.0%}", f"{p50:.1f}", f"{p99:.1f}",
            str(sum(load.refused + load.broken for load in loads)))


def _overload(server: Server, photo: Path, options: argparse.Namespace, folder: Path) -> int:
    with _running(server) as process:
        capacity = closed_load(server.url, photo.absolute(), TARGET_CLIENTS, options.seconds,
                               folder).rate
        before = resident_bytes(process.pid)
        seen = steady_load(server.url, photo.read_bytes(), 2 * capacity, options.overload * 60,
                           process.pid)
    bad = sorted(set(seen.statuses) - {"200", "429"})
    print(f"capacity {capacity:.1f} requests/s; {options.overload:g} minutes at twice of it")
    print(text_table(("answer", "requests"), [
        (status, str(count)) for status, count in sorted(seen.statuses.items())]))
    print(f"memory: {before / 1e6:.0f} MB before, {max(seen.memory) / 1e6:.0f} MB at most, at its "
          f"end {seen.growth():.3f} of what it was early")
    met = not bad and seen.growth() <= GROWTH
    print("met" if met else f"missed: {', '.join(bad) or 'the memory grew'}")
    return 0 if met else 1


def _attack(server: Server, photo: Path, count: int) -> int:
    with _running(server) as process:
        answers = attack(server.url, photo, count)
        alive = process.poll() is None
        memory = resident_bytes(process.pid) if alive else 0
    print(text_table(("format and status", "pictures"), [
        (key, str(number)) for key, number in sorted(answers.items())]))
    bad = [key for key in answers if key.split()[1] not in ("200", "400", "413", "415")]
    print(f"memory: {memory / 1e6:.0f} MB")
    print("met" if alive and not bad else f"missed: {', '.join(bad) or 'the server ended'}")
    return 0 if alive and not bad else 1


def _ours(options: argparse.Namespace) -> Server:
    port = _free_port()
    command = [sys.executable, "-m", "ssdreg", "serve", f"model={options.model}",
               "--port", str(port), "--threads", str(options.threads), "--backend", options.backend,
               "--batch", str(options.batch)]
    return Server("ssdreg serve", command, "/models/model/detect", port, {})


def _others(options: argparse.Namespace) -> list[Server]:
    if options.model.suffix.lower() != ".onnx":
        return []
    threads, model = str(options.threads), str(options.model.absolute())
    port = _free_port()
    found = [Server("plain FastAPI, ONNX Runtime",
                    [sys.executable, str(HERE / "serve_plain.py"), model, str(port), threads],
                    "/detect", port, {})]
    if options.bentoml_python:
        port = _free_port()
        found.append(Server(
            "BentoML, ONNX Runtime",
            [options.bentoml_python, "-m", "bentoml", "serve", "serve_bentoml:Server", "--port",
             str(port), "--working-dir", str(HERE)], "/detect", port,
            {"SERVE_MODEL": model, "SERVE_THREADS": threads, "SERVE_BATCH": str(options.batch),
             "BENTOML_DO_NOT_TRACK": "True"}))
    return found


@contextmanager
def _running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, and wait until it answers."""
    with tempfile.TemporaryFile() as log, subprocess.Popen(
            server.command, stdout=log, stderr=log,
            env={**os.environ, **server.environ}) as process:
        try:
            end = time.monotonic() + PATIENCE
            while not _answers(server.port):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    sys.exit(f"serve: {server.name} did not start: "
                             f"{log.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.2)
            yield process
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        # any path: a server without it answers too
        connection.request("GET", "/ping")
        connection.getresponse()
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _engine_rate(detector: Detector, photo: Path, seconds: float) -> float:
    """Return the images a second of decoded pictures in full batches."""
    batch = [detector.prepare(photo)] * detector.batch_size
    detector.detect(batch)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(detector.detect(batch))
    return count / (time.perf_counter() - start)


def _stream_rate(detector: Detector, photo: Path, seconds: float) -> float:
    """Return the images a second of a file, decoded anew each time in threads of its own."""
    start = time.perf_counter()

    def photos() -> Iterator[Path]:
        while time.perf_counter() - start < seconds:
            yield photo

    count = sum(1 for _ in stream(detector, photos()))
    return count / (time.perf_counter() - start)


def _drawn_photo(folder: Path) -> Path:
    from ssdreg.bench.workload import drawn_images
    file = folder / "photo.jpg"
    Image.fromarray(drawn_images((480, 640), 1)[0]).save(file, quality=90)
    return file


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
