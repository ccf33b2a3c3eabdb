"""Several workers measured in one run: in rounds, each once a round, one at a time.

Machines drift, by heat, by neighbours and by clock: what is measured one after the other is not
comparable. So everything that is compared takes turns, many times, in an order that is drawn
anew for each round, and ratios are taken round by round.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from attrs import frozen

from ssdreg.bench.workers import Task, Worker
from ssdreg.errors import BenchError

#: Times that a worker works untimed at the start of its turn: others had the caches before it,
#: and their threads may still have been on their way to sleep.
UNTIMED = 1
#: Warm-up rounds of all workers, not counted.
WARM_UP = 2

#: Told what happens: (words, rounds done, rounds in all).
Listener = Callable[[str, int, int], None]


@frozen
class Schedule:
    """How often: `rounds`, the `timed` times of a turn, and the `seed` that orders come from."""

    rounds: int = 20
    timed: int = 3
    seed: int = 0

    def orders(self, count: int) -> list[list[int]]:
        """Return for each round the order of `count` workers."""
        rng = random.Random(self.seed)
        return [rng.sample(range(count), count) for _ in range(self.rounds)]


@frozen
class Times:
    """What a worker answered: `facts` when it was ready, `seconds` a round, a tuple each."""

    facts: Mapping[str, Any]
    seconds: tuple[tuple[float, ...], ...]


@frozen
class Measurements:
    """Times by the names of tasks, and for those that failed the sentence that says why."""

    times: Mapping[str, Times]
    failures: Mapping[str, str]


def quiet(words: str, done: int, total: int) -> None:
    """Report nothing."""


def measure(tasks: Sequence[Task], schedule: Schedule, report: Listener = quiet) -> Measurements:
    """Start a worker for each task and let them take turns; end them all, whatever happens.

    They prepare one after the other, so that none is measured while another is busy. A worker
    that fails costs its own times alone.
    """
    failures: dict[str, str] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    seconds: dict[str, list[tuple[float, ...]]] = {}
    with ExitStack() as stack:
        workers: list[Worker] = []
        for task in tasks:
            report(f"starting {task.name}", 0, schedule.rounds)
            try:
                worker = stack.enter_context(Worker(task))
                facts[task.name] = worker.prepare()
                seconds[task.name] = []
                worker.turn(WARM_UP, 0)
                workers.append(worker)
            except BenchError as error:
                failures[task.name] = str(error)
        for number, order in enumerate(schedule.orders(len(workers))):
            report("measuring", number, schedule.rounds)
            for worker in (workers[index] for index in order):
                if worker.task.name in failures:
                    continue
                try:
                    seconds[worker.task.name].append(
                        tuple(worker.turn(UNTIMED, schedule.timed)))
                except BenchError as error:
                    failures[worker.task.name] = str(error)
        report("measured", schedule.rounds, schedule.rounds)
    return Measurements({name: Times(facts[name], tuple(seconds[name]))
                         for name in seconds if name not in failures}, failures)
