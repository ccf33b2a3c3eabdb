"""How long decoders take for a folder of pictures, and how far their pixels are from detection's.

    python benchmarks/decoding.py FOLDER [--size WIDTHxHEIGHT] [--pictures 100] [--rounds 5]

In turns, in one run: Pillow as ssdreg decodes with it everywhere, MXNet, and OpenCV where it is
installed. With `--size` pictures are enlarged or shrunk, and encoded as JPEG of quality 90, before
the measurement begins. Then what follows the decoding of a training image. All times are processor
time but for the pictures a second.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from ssdreg_runtime.io.decoding import decode_picture
from ssdreg_runtime.io.images import resize
from ssdreg_runtime.io.pixels import to_rgb
from ssdreg_runtime.system.tables import text_table

from ssdreg.data import RECIPES
from ssdreg.data.transforms import augment, fit
from ssdreg.mx import mx

try:
    import cv2
except ImportError:
    cv2 = None

_SHAPE = (300, 300)
_NO_BOXES = np.zeros((0, 6))

Decoder = Callable[[bytes], np.ndarray]


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", help="width and height in pixels, with an x between")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = [file for file in sorted(options.folder.rglob("*"))
             if file.suffix.lower() in (".jpg", ".jpeg", ".png")][:options.pictures]
    contents = [file.read_bytes() for file in files]
    if options.size:
        size = tuple(int(side) for side in options.size.split("x"))
        contents = [_of_size(content, size) for content in contents]
    decoders: dict[str, Decoder] = {"Pillow": _by_pillow, "MXNet": _by_mxnet}
    if cv2 is not None:
        cv2.setNumThreads(1)
        decoders["OpenCV"] = _by_opencv
    _compare_decoders(decoders, contents, options.rounds)
    print()
    _measure_steps([_by_pillow(content) for content in contents], options.rounds)


def _compare_decoders(decoders: dict[str, Decoder], contents: Sequence[bytes],
                      rounds: int) -> None:
    rates: dict[tuple[str, int], list[float]] = {}
    costs: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, decoder in decoders.items():
            for threads in (1, 2):
                seconds, cost = _measure(decoder, contents, threads)
                rates.setdefault((name, threads), []).append(1 / seconds)
                if threads == 1:
                    costs.setdefault(name, []).append(cost * 1e3)
    print(text_table(
        ("decoder", "ms a picture", "pictures/s, 1 thread", "2 threads", "levels from Pillow"),
        [(name, f"{statistics.median(costs[name]):.2f}",
          *(f"{statistics.median(rates[name, threads]):.0f}" for threads in (1, 2)),
          f"{np.mean([_apart(decoder, content) for content in contents]):.3f}")
         for name, decoder in decoders.items()]))


def _measure_steps(pictures: Sequence[np.ndarray], rounds: int) -> None:
    """Print the processor time of what follows the decoding, by step or recipe."""
    steps: dict[str, Callable[[np.ndarray], object]] = {
        "resize": lambda pixels: resize(pixels, _SHAPE),
        "resize, channels first, float": lambda pixels: fit(pixels, _NO_BOXES, _SHAPE)}
    if cv2 is not None:
        steps["resize by OpenCV"] = lambda pixels: cv2.resize(pixels, _SHAPE[::-1])
    for name, recipe in RECIPES.items():
        if recipe is not None:
            random = np.random.default_rng(0)
            steps[f"augment {name}"] = (
                lambda pixels, recipe=recipe, random=random: augment(
                    [(pixels, _NO_BOXES)], _SHAPE, recipe, random))
    costs: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            costs[name].append(_measure(step, pictures, 1)[1] * 1e3)
    print(text_table(("step", "ms a picture"), [
        (name, f"{statistics.median(runs):.2f}") for name, runs in costs.items()]))


def _measure(work: Callable[..., object], items: Sequence[object], threads: int
             ) -> tuple[float, float]:
    """Return seconds and processor seconds an item."""
    with ThreadPoolExecutor(threads) as pool:
        began, processor = time.perf_counter(), time.process_time()
        for _ in pool.map(work, items):
            pass
        seconds, cost = time.perf_counter() - began, time.process_time() - processor
    return seconds / len(items), cost / len(items)


def _by_pillow(content: bytes) -> np.ndarray:
    image = decode_picture(content).image
    return np.asarray(to_rgb(image))


def _by_mxnet(content: bytes) -> np.ndarray:
    return mx.image.imdecode(content).asnumpy()


def _by_opencv(content: bytes) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), flags), cv2.COLOR_BGR2RGB)


def _apart(decoder: Decoder, content: bytes) -> float:
    return float(np.abs(decoder(content).astype(int) - _by_pillow(content)).mean())


def _of_size(content: bytes, size: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    image = to_rgb(decode_picture(content).image)
    image.resize((size[0], size[1]), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
