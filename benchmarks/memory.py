"""Does memory grow? A long training, ten thousand detections and an endless stream, sampled.

    OMP_NUM_THREADS=1 python benchmarks/memory.py [--only training,onnxruntime,openvino,stream]
        [--steps 2000] [--validations 20] [--detections 10000] [--frames 20000] [--most 5]

Each job is a process of its own. Its resident memory, open files and threads are sampled from
outside, ten times a second, and compared: the median of the first quarter of its work, when all has
been loaded and bound, with that of the last quarter. What comes before the first step, detection or
frame is left out. A row of the table is a job; the exit status is 1 where memory has grown by more
than `--most` percent, or open files or threads by any.

- training: resnet18 at 64x64 in MXNet on drawn shapes, with validations at equal distances
- onnxruntime, openvino: `ssdreg_runtime.Detector` with that network, a picture at a time
- stream: PNG pictures without an end on standard input, through `ssdreg_runtime.stream`
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from PIL import Image

SIDE, BATCH = 64, 4
SAMPLES_A_SECOND = 10
MIB = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")
#: What a job prints when all is loaded, and when its work is done.
BEGUN, DONE = "begun", "done"


@frozen
class Sample:
    """What a process holds at a moment; memory in bytes."""

    memory: int
    files: int
    threads: int

    @classmethod
    def of(cls, process: int) -> Sample:
        """Look at a process. Raises OSError where it has ended."""
        folder = Path("/proc") / str(process)
        return cls(int((folder / "statm").read_text(encoding="ascii").split()[1]) * PAGE,
                   *(sum(1 for _ in (folder / kind).iterdir()) for kind in ("fd", "task")))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="training,onnxruntime,openvino,stream")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--validations", type=int, default=20)
    parser.add_argument("--detections", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--most", type=float, default=5, help="percent that memory may grow by")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        name, *arguments = options.job
        JOBS[name](*arguments)
        return 0
    print("| job | work | samples | MiB, first quarter | MiB, last quarter | growth | open files | "
          "threads |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    grown = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for job in options.only.split(","):
            count = {"training": options.steps, "stream": options.frames}.get(
                job, options.detections)
            arguments = [job, str(count), str(options.validations)] if job == "training" else [
                job if job == "stream" else "detections", str(count), "onnxruntime"
                if job == "stream" else job]
            if job != "training" and not (folder / "net.xml").is_file():
                in_process("network", str(folder))
            grown |= report(job, count, sampled([*arguments, str(folder)], job == "stream"),
                            options.most)
    return int(grown)


def report(job: str, count: int, samples: Sequence[Sample], most: float) -> bool:
    """Print the row of a job; tell whether anything has grown."""
    quarter = max(1, len(samples) // 4)
    before, after = (
        [statistics.median(getattr(sample, name) for sample in part)
         for name in ("memory", "files", "threads")]
        for part in (samples[:quarter], samples[-quarter:]))
    growth = 100 * (after[0] / before[0] - 1)
    memory = f"{before[0] / MIB:.1f} | {after[0] / MIB:.1f} | {growth:+.1f} %"
    files, threads = (f"{before[place]:g} to {after[place]:g}" for place in (1, 2))
    print(f"| {job} | {count:,} | {len(samples):,} | {memory} | {files} | {threads} |", flush=True)
    return growth > most or after[1] > before[1] or after[2] > before[2]


def sampled(job: Sequence[str], fed: bool) -> list[Sample]:
    """Run a job, which is fed with pictures or not; return its samples while it worked."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--job", *job], stdout=subprocess.PIPE,
        stdin=subprocess.PIPE if fed else None)
    feeder = None
    if fed and process.stdin is not None:
        feeder = subprocess.Popen([sys.executable, __file__, "--job", "pictures"],
                                  stdout=process.stdin)
        process.stdin.close()
    assert process.stdout is not None
    samples: list[Sample] = []
    os.set_blocking(process.stdout.fileno(), False)
    said = b""
    while DONE.encode() not in said:
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(job)} ended with status {process.returncode}")
        said += process.stdout.read() or b""
        if BEGUN.encode() in said and DONE.encode() not in said:
            samples.append(Sample.of(process.pid))
        time.sleep(1 / SAMPLES_A_SECOND)
    process.wait()
    if feeder is not None:
        feeder.wait()
    return samples


def in_process(*job: str) -> None:
    """Do a job in a process of its own, without samples."""
    subprocess.run([sys.executable, __file__, "--job", *job], check=True)


def say(what: str) -> None:
    """Say what a job has come to; with its end it waits until nothing is sampled any more."""
    print(what, flush=True)
    if what == DONE:
        time.sleep(1)


def training(steps: str, validations: str, folder: str) -> None:
    """Train so many steps; the first epoch is the one in which all is bound."""
    import ssdreg
    from ssdreg.data.synthetic import write_shapes
    epochs = int(validations)
    data = Path(folder) / "shapes"
    write_shapes(data, BATCH * int(steps) // epochs, 8, (SIDE, SIDE))
    told: list[str] = []

    def after(event: object) -> None:
        if isinstance(event, ssdreg.Epoch) and not told:
            told.append(BEGUN)
            say(BEGUN)
    ssdreg.train(data=data, out=Path(folder) / "run", backbone="resnet18", data_shape=SIDE,
                 tap_strides=(8, 16), pretrained=False, epochs=epochs + 1, batch_size=BATCH,
                 precision="float32", engine="mxnet", keep_epochs=2, progress=after)
    say(DONE)


def network(folder: str) -> None:
    """Train a network for a step, and export it."""
    import ssdreg
    from ssdreg.data.synthetic import write_shapes
    data, run = Path(folder) / "few", Path(folder) / "small"
    write_shapes(data, 2 * BATCH, 2, (SIDE, SIDE))
    ssdreg.train(data=data, out=run, backbone="resnet18", data_shape=SIDE, tap_strides=(8, 16),
                 pretrained=False, epochs=1, batch_size=BATCH, precision="float32", engine="mxnet")
    for name, written in (("net.onnx", "onnx"), ("net.xml", "openvino")):
        subprocess.run([sys.executable, "-m", "ssdreg", "export", run, "--format", written, "--out",
                        Path(folder) / name], check=True, stdout=subprocess.DEVNULL)


def detections(count: str, backend: str, folder: str) -> None:
    """Detect in pictures of several sizes, one at a time."""
    from ssdreg_runtime import Detector
    suffix = "xml" if backend == "openvino" else "onnx"
    detector = Detector(Path(folder) / f"net.{suffix}", backend=backend)
    pictures = list(drawn(16))
    repeated(lambda number: detector.detect(pictures[number % len(pictures)]), int(count))


def stream(count: str, backend: str, folder: str) -> None:
    """Detect in the pictures on standard input, and leave them after so many."""
    from ssdreg_runtime import Detector
    from ssdreg_runtime import stream as detect_stream
    results = detect_stream(Detector(Path(folder) / "net.onnx", backend=backend), "-")
    repeated(lambda _: next(results), int(count))
    results.close()


def repeated(work: Callable[[int], object], count: int) -> None:
    """Do a piece of work so many times, after some that are not sampled."""
    for number in range(count // 20 + 1):
        work(number)
    say(BEGUN)
    for number in range(count):
        work(number)
    say(DONE)


def pictures() -> None:
    """Write PNG pictures to standard output until nobody reads them."""
    encoded = []
    for picture in drawn(16):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        encoded.append(file.getvalue())
    try:
        while True:
            for content in encoded:
                sys.stdout.buffer.write(content)
    except BrokenPipeError:
        os._exit(0)  # without a second one when the interpreter flushes


def drawn(count: int) -> Iterator[np.ndarray]:
    """Yield so many pictures (h, w, 3) uint8 of different sizes."""
    generator = np.random.default_rng(0)
    for number in range(count):
        yield generator.integers(0, 256, (60 + 8 * number, 80 + 4 * number, 3), np.uint8)


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job for job in (training, network, detections, stream, pictures)}


if __name__ == "__main__":
    sys.exit(main())
