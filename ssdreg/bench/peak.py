"""The most that this machine reaches in multiplying matrices, for each precision.

It is what a network's time is held against: the best median over engines and sizes, measured in
turns as everything here. The processor's data sheet would promise more than anything ever gets.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from importlib.util import find_spec

from ssdreg.bench.figures import Peak
from ssdreg.bench.measure import Listener, Schedule, measure, quiet
from ssdreg.bench.settings import environment, thread_count
from ssdreg.bench.workers import Task

#: Sides of the square matrices: small ones stay in the caches, large ones keep all units busy.
SIDES = (512, 1024, 2048)
#: Engines that may multiply in each precision; MXNet's other precisions are not made for it.
ENGINES = {"float32": ("numpy", "mxnet", "onnxruntime", "openvino"), "bfloat16": ("openvino",),
           "int8": ("onnxruntime", "openvino")}
#: How often, unless asked otherwise.
SCHEDULE = Schedule(rounds=7, timed=3)


def peak_tasks(precisions: Iterable[str], threads: int | None = None,
               sides: Iterable[int] = SIDES) -> dict[str, Task]:
    """Return the multiplications to time, by name, of the engines that are installed."""
    tasks = {}
    for precision in precisions:
        for engine in ENGINES.get(precision, ()):
            if find_spec(engine) is None:
                continue
            for side in sides:
                name = f"{engine} {precision} {side}"
                job = {"engine": engine, "precision": precision, "side": side,
                       "threads": thread_count(threads)}
                tasks[name] = Task(name, (sys.executable, "-m", "ssdreg.bench.peak_worker"), job,
                                   environment(threads))
    return tasks


def measure_peaks(precisions: Iterable[str], threads: int | None = None,
                  sides: Iterable[int] = SIDES, report: Listener = quiet,
                  schedule: Schedule = SCHEDULE) -> tuple[Peak, ...]:
    """Measure the peak of each precision; one that no engine here multiplies in has none."""
    wanted = tuple(precisions)
    tasks = peak_tasks(wanted, threads, sides)
    measured = measure(tuple(tasks.values()), schedule, report)
    best: dict[str, Peak] = {}
    for name, times in measured.times.items():
        job = tasks[name].job
        seconds = statistics.median(second for turn in times.seconds for second in turn)
        peak = Peak(job["precision"], f"{job['engine']}, {job['side']}x{job['side']}",
                    2 * job["side"] ** 3 / seconds / 1e9)
        if peak.precision not in best or peak.gflops > best[peak.precision].gflops:
            best[peak.precision] = peak
    return tuple(best[precision] for precision in wanted if precision in best)
