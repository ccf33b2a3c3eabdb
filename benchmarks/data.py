"""How long a large data set takes: reading, checking, measuring and packing it.

    python benchmarks/data.py [--images 100000] [--folder DIR] [--shard-size 2000]

Makes that many JPEG photos of 320x240 with boxes in COCO's format (some 1.7 GB for 100,000, packed
once more), and measures each step in a process of its own: seconds, pictures a second, and the most
memory. Packing is measured on one processor and on all, and killed in its midst and gone on with.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from ssdreg_runtime.system.tables import text_table

WIDTH, HEIGHT, CLASSES = 320, 240, 20
#: Different pictures; others are copies of them with another comment in the file.
_DRAWN = 200

CHECK = "from ssdreg.data.checking import check; check(Path(sys.argv[1]))"
STATS = ("from ssdreg.data.statistics import measure_dataset; "
         "measure_dataset(sys.argv[1]).to_text()")
READ = "from ssdreg.data import read_dataset; read_dataset(sys.argv[1])"
PACK = ("from ssdreg.data.packing import pack_shards; "
        "pack_shards(sys.argv[1], out=sys.argv[2], shard_size=int(sys.argv[3]))")
OPEN = ("from ssdreg.data import open_rec; from ssdreg.data.originals import image_sizes; "
        "image_sizes(open_rec(sys.argv[2] + '/all.shards'))")


def main() -> None:
    """Make the data set, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--shard-size", type=int, default=2000)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.images)
        return
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="ssdreg-benchmark-"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        measure(folder, options.images, options.shard_size)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, images: int, shard_size: int) -> None:
    """Measure every step, and print the table line by line."""
    source = folder / "source"
    # a process inherits the most memory that its parent ever had, so this one stays small
    subprocess.run([sys.executable, __file__, "--make", str(source), "--images", str(images)],
                   check=True)
    rows = []

    def step(name: str, code: str, out: Path = folder / "out", **settings: str) -> None:
        seconds, memory = run(code, source, out, shard_size, settings)
        rows.append((name, f"{seconds:.1f}", f"{images / seconds:,.0f}", f"{memory / 1024:.0f}"))
        print(*rows[-1], sep=" | ", flush=True)

    step("read, and hold against the pictures' headers", READ)
    step("check: every picture decoded by two decoders", CHECK)
    step("check again", CHECK)
    step("stats", STATS)
    step("pack on one processor", PACK, folder / "one", SSDREG_BENCHMARK_CPUS="1")
    step("pack on all", PACK)
    step("pack again: all is there", PACK)
    step("open the shards and read all headers", OPEN)
    began, killed = time.monotonic(), folder / "killed"
    process = start(PACK, source, killed, shard_size, {})
    time.sleep(float(rows[5][1]) / 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    step(f"pack, killed after {time.monotonic() - began:.1f} s, gone on with", PACK, killed)
    equal = {file.name: file.read_bytes() for file in (folder / "out").iterdir()} == {
        file.name: file.read_bytes() for file in killed.iterdir() if not file.name.startswith(".")}
    print(text_table(("step", "seconds", "pictures/s", "MiB at most"), rows))
    print(f"the files of the killed run are the same: {equal}")


def start(code: str, source: Path, out: Path, shard_size: int, settings: dict[str, str]
          ) -> subprocess.Popen[bytes]:
    """Start a step in a process of its own."""
    few = ("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
           if settings else "")
    return subprocess.Popen([sys.executable, "-c", f"{few}import sys; from pathlib import Path; "
                                                   f"{code}", str(source), str(out),
                             str(shard_size)])


def run(code: str, source: Path, out: Path, shard_size: int, settings: dict[str, str]
        ) -> tuple[float, int]:
    """Run a step; return its seconds, and the most memory that it had in KiB."""
    began = time.monotonic()
    process = start(code, source, out, shard_size, settings)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a step ended with status {process.returncode}: {code}")
    return time.monotonic() - began, usage.ru_maxrss


def make(folder: Path, images: int) -> None:
    """Write the pictures and one annotation file."""
    random = np.random.default_rng(0)
    pictures = folder / "images"
    pictures.mkdir(parents=True)
    drawn = [_draw(random) for _ in range(min(_DRAWN, images))]
    content: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": [
        {"id": number + 1, "name": f"class {number}"} for number in range(CLASSES)]}
    for number in range(images):
        name = f"{number:06d}.jpg"
        picture = drawn[number % len(drawn)]
        comment = f"picture {number}".encode()
        mark = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (pictures / name).write_bytes(picture[:2] + mark + picture[2:])
        content["images"].append({"id": number, "file_name": name, "width": WIDTH,
                                  "height": HEIGHT})
        for _ in range(1 + number % 5):
            x, y = random.integers(0, (WIDTH - 40, HEIGHT - 40))
            content["annotations"].append({
                "id": len(content["annotations"]), "image_id": number, "iscrowd": 0,
                "category_id": int(random.integers(CLASSES)) + 1,
                "bbox": [int(x), int(y), 30 + number % 10, 20 + number % 20]})
    (folder / "instances.json").write_text(json.dumps(content), encoding="utf-8")


def _draw(random: np.random.Generator) -> bytes:
    """Return a photo-like JPEG file: smooth, with some noise."""
    small = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
    noisy = (smooth + random.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=85)
    return stream.getvalue()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
