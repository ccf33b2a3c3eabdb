"""How many pictures a second Ray's workers detect in, beside one process that does it alone.

    python benchmarks/many_pictures.py cells.onnx photos/                # 10,000 pictures
    python benchmarks/many_pictures.py cells.onnx photos/ --pictures 500

Needs the runtime's extra `ray`. The pictures are crops of those in the folder, each another, in a
temporary folder. `ssdreg-detect` alone has a thread a core and prints JSON lines; on Ray, workers
have a thread each and write Parquet. The cluster of two nodes has one processor in each; they share
this machine, and are connected as those of two machines are. "all" is from the start of the command
to its end; "between shards" is the rate from the first shard that was done to the last, without the
seconds in which Ray and the models start. Last, a job is killed in its midst, and goes on.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from PIL import Image
from ssdreg_runtime.io.pictures import find_images
from ssdreg_runtime.system.tables import text_table
from ssdreg_runtime.system.threads import choose

DETECT = (sys.executable, "-m", "ssdreg_runtime")
#: Bytes of each node's object store.
STORE = 100 * 2**20
#: How much of each side of a photo is left, at least.
PART = 0.9


@frozen
class Measured:
    """A job: its seconds, and the pictures a second between its first shard and its last."""

    seconds: float
    between: float | None


def main() -> int:
    """Measure, and print the table."""
    options = parser().parse_args()
    # short, because Ray has its sockets below it
    with tempfile.TemporaryDirectory(prefix="many-", dir="/tmp") as name:
        folder = Path(name)
        pictures = folder / "pictures"
        write_crops(find_images(options.photos), pictures, options.pictures)
        rows = [row("ssdreg-detect, one process", options, alone(options, pictures))]
        for workers in options.workers:
            rows.append(row(f"--ray local, {workers} workers", options,
                            on_ray(options, pictures, folder / f"local-{workers}", "local",
                                   workers)))
        with two_nodes() as address:
            rows.append(row("two nodes, 2 workers", options,
                            on_ray(options, pictures, folder / "nodes", address, 2)))
            again = killed_and_resumed(options, pictures, folder / "killed", address)
        print(text_table(("", "pictures", "seconds", "pictures/s, all", "between shards"), rows))
        print(again)
    return 0


def parser() -> argparse.ArgumentParser:
    """Declare the options."""
    found = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("model", type=Path)
    found.add_argument("photos", type=Path)
    found.add_argument("--pictures", type=int, default=10_000)
    found.add_argument("--workers", type=lambda text: [int(each) for each in text.split(",")],
                       default=[1, 2])
    found.add_argument("--backend", default="auto")
    return found


def write_crops(photos: Sequence[Path], folder: Path, count: int) -> None:
    """Write crops of the photos, by turns, as JPEG; no two of a photo are the same."""
    folder.mkdir()
    for number in range(count):
        with Image.open(photos[number % len(photos)]) as photo:
            turn = number // len(photos)
            width, height = (round(side * PART) for side in photo.size)
            left, top = turn % (photo.width - width), turn // 7 % (photo.height - height)
            photo.convert("RGB").crop((left, top, left + width, top + height)).save(
                folder / f"{number:06d}.jpg", quality=90)


def alone(options: argparse.Namespace, pictures: Path) -> Measured:
    """Let one process detect with all cores."""
    begin = time.monotonic()
    subprocess.run([*DETECT, options.model, pictures, "--json-lines", "--backend",
                    options.backend, "--threads", str(choose({}).count)],
                   stdout=subprocess.DEVNULL, check=True)
    return Measured(time.monotonic() - begin, None)


def on_ray(options: argparse.Namespace, pictures: Path, out: Path, address: str, workers: int
           ) -> Measured:
    """Let the workers of a cluster detect."""
    begin = time.monotonic()
    subprocess.run(command(options, pictures, out, address, workers), stdout=subprocess.DEVNULL,
                   check=True)
    seconds = time.monotonic() - begin
    times = sorted(shard.stat().st_mtime for shard in out.glob("part-*"))
    share = (len(times) - 1) / len(times)
    return Measured(seconds, options.pictures * share / (times[-1] - times[0]))


def command(options: argparse.Namespace, pictures: Path, out: Path, address: str, workers: int
            ) -> list[str | Path]:
    """Return the command of a job on Ray."""
    return [*DETECT, options.model, pictures, "--ray", address, "--out", out, "--backend",
            options.backend, "--workers", str(workers)]


def killed_and_resumed(options: argparse.Namespace, pictures: Path, out: Path, address: str) -> str:
    """Kill a job when half of its shards are there, let it go on, and tell what it found."""
    from pyarrow import dataset
    words = command(options, pictures, out, address, 2)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as job:
        while job.poll() is None and len(list(out.glob("part-*"))) < 4:
            time.sleep(0.05)
        job.send_signal(signal.SIGKILL)
    kept = dataset.dataset(out).count_rows()
    last = subprocess.run(words, capture_output=True, encoding="utf-8",
                          check=True).stdout.strip()
    names = dataset.dataset(out).to_table(["image"])["image"].to_pylist()
    hidden = [file.name for file in out.iterdir() if file.name.startswith(".")]
    return (f"killed with {kept:,} rows there, then: {last}; {len(names):,} rows of "
            f"{len(set(names)):,} pictures, {len(hidden)} unfinished files")


@contextmanager
def two_nodes() -> Iterator[str]:
    """Start a cluster of two nodes with a processor each, and give its address."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as made:
        # read when Ray is imported
        os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": made})
        from ray.cluster_utils import Cluster
        (Path(made) / "ray").mkdir()
        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            cluster.add_node(**node)
            cluster.wait_for_nodes()
            yield cluster.address
        finally:
            cluster.shutdown()


def row(name: str, options: argparse.Namespace, measured: Measured) -> tuple[str, ...]:
    """Return a line of the table."""
    between = "" if measured.between is None else f"{measured.between:.1f}"
    return (name, f"{options.pictures:,}", f"{measured.seconds:.1f}",
            f"{options.pictures / measured.seconds:.1f}", between)


if __name__ == "__main__":
    sys.exit(main())
