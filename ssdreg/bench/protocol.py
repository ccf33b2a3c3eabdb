"""The worker's side of a measurement: prepare, then work when it is one's turn.

A worker is a process of its own, because engines in one process share it: allocators and OpenMP
runtimes meet, and each keeps threads that wait for work, some by spinning. On 2 cores a run of
OpenVINO took 1.7 times as long right behind one of ONNX Runtime as behind one of its own. So a
worker answers only when its threads have gone to sleep.

It reads JSON, a line at a time, from its standard input, and answers each line with one:

- the first line is its job; the answer is ``{"ready": facts}`` or ``{"error": sentence}``
- ``{"untimed": n, "timed": m}`` is a turn: it works n times, then m times by the clock, and
  answers ``{"seconds": [m numbers]}`` or ``{"error": sentence}``
- the end of its input is its end, so that it never outlives whoever asks

This module needs Python alone, so that a worker can run where ssdreg is not installed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

#: After a turn: how often a worker looks whether its threads still work, and for how long at most,
#: in seconds. OpenBLAS' threads wait for more work by spinning for 100 ms, ONNX Runtime's for 30.
LOOK, PATIENCE = 0.005, 1.0

#: What a job becomes: facts to answer with, and the work to be timed.
Ready = tuple[Mapping[str, Any], Callable[[], object]]


def serve(prepare: Callable[[Mapping[str, Any]], Ready],
          expected: type[Exception] | tuple[type[Exception], ...] = ()) -> int:
    """Do the job that standard input names; return the process's exit status.

    Errors of the type `expected` are sentences already; of any other, standard error gets the
    traceback.
    """
    # Ctrl-C is for the one who asks: it ends our input, and with it us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # libraries print what they like; what they print must not come between the answers
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

        def answer(kind: str, value: object) -> None:
            answers.write(json.dumps({kind: value}) + "\n")
            answers.flush()

        job = sys.stdin.readline()
        if not job:
            return 0
        try:
            facts, work = prepare(json.loads(job))
            answer("ready", facts)
            for line in sys.stdin:
                answer("seconds", _turn(work, **json.loads(line)))
        except BrokenPipeError:
            return 0  # nobody listens any more
        except Exception as error:  # whatever it is, the one who asks has to hear of it
            if isinstance(error, expected):
                answer("error", str(error))
            else:
                traceback.print_exc()
                answer("error", f"{type(error).__name__}: {_first_line(error)}")
            return 1
    return 0


def _turn(work: Callable[[], object], untimed: int, timed: int) -> list[float]:
    for _ in range(untimed):
        work()
    seconds = []
    for _ in range(timed):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    _settle()
    return seconds


def _settle() -> None:
    """Wait until no thread of this process spins any more, and the cores are free for the next."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        before = time.process_time()  # of all threads together
        time.sleep(LOOK)
        if time.process_time() - before < LOOK / 5:
            return


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
