"""How long crowded pictures take to be drawn: boxes, and labels that give way to one another.

    python benchmarks/drawing.py [BOXES [WIDTH HEIGHT [ROUNDS]]]

Printed are median and least milliseconds: of placing the labels of a frame that nothing precedes,
of one that follows a frame like it, and of drawing what was placed into a picture.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from ssdreg_runtime.draw.layout import plan_frame
from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.draw.paint import draw_plan

NAMES = [f"class {letter}" for letter in "abcdefg"]


def crowd(boxes: int) -> np.ndarray:
    """Make rows (boxes, 6) of small objects all over the picture."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(0.03, 0.12, (boxes, 2))
    corners = rng.uniform(0, 1 - sides)
    return np.column_stack([rng.integers(len(NAMES), size=boxes), rng.uniform(0.5, 1, boxes),
                            corners, corners + sides])


def milliseconds(work: Callable[[], object], rounds: int) -> str:
    """Return the median and the least time of `work`."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return f"{statistics.median(times):6.1f} {min(times):6.1f}"


def main() -> None:
    """Measure and print."""
    given = [int(each) for each in sys.argv[1:]]
    boxes, width, height, rounds = [*given, *(100, 1920, 1080, 30)[len(given):]]
    rows, picture, look = crowd(boxes), Image.new("RGB", (width, height)), Look()
    plan = plan_frame(picture.size, rows, NAMES, 0.5, look)
    placed = sum(label is not None for label in plan.labels)
    print(f"{boxes} boxes at {width}x{height}, {placed} with labels; "
          f"median and least milliseconds of {rounds}")
    for what, work in (
            ("place, first frame", lambda: plan_frame(picture.size, rows, NAMES, 0.5, look)),
            ("place, next frame", lambda: plan_frame(picture.size, rows, NAMES, 0.5, look, plan)),
            ("draw", lambda: draw_plan(picture, plan))):
        print(f"{what:20}{milliseconds(work, rounds)}")


if __name__ == "__main__":
    main()
