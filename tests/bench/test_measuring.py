"""The machinery of measuring: workers, turns, orders, failures, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssdreg.bench.measure import UNTIMED, WARM_UP, Schedule, measure
from ssdreg.bench.settings import environment, thread_count
from ssdreg.bench.workers import Task, Worker
from ssdreg.errors import BenchError

#: A worker that notes each of its times in a file; its job says how it fails, if it does.
WORKER = """
import os, sys
from ssdreg.bench.protocol import serve

class Expected(Exception):
    pass

def prepare(job):
    print("what libraries print")
    os.system("echo and their children")
    if job.get("fails") == "at first":
        raise Expected("it has no model")
    if job.get("fails") == "by surprise":
        raise RuntimeError("first line\\nsecond line")
    if job.get("fails") == "by signal":
        os.kill(os.getpid(), 11)
    if job.get("fails") == "by leaving":
        print("a last word", file=sys.stderr)
        os._exit(3)
    times = 0
    def work():
        nonlocal times
        times += 1
        if times == job.get("fails after"):
            raise Expected("it is worn out")
        if "log" in job:
            with open(job["log"], "a") as log:
                log.write(job["name"] + "\\n")
    return {"name": job.get("name"), "pid": os.getpid()}, work

sys.exit(serve(prepare, Expected))
"""


def task(name="one", **job):
    return Task(name, (sys.executable, "-c", WORKER), {"name": name, **job})


def alive(pid):
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_worker_prepares_and_takes_turns(tmp_path):
    log = tmp_path / "log"
    with Worker(task(log=str(log))) as worker:
        assert worker.prepare() == {"name": "one", "pid": worker.pid}
        seconds = worker.turn(2, 3)
        assert len(seconds) == 3
        assert min(seconds) > 0
        assert worker.turn(1, 0) == []
    assert log.read_text().splitlines() == ["one"] * 6
    assert not alive(worker.pid)


@pytest.mark.parametrize(("fails", "sentence"), [
    ("at first", "it has no model"),
    ("by surprise", "RuntimeError: first line"),
    ("by signal", "its process was ended by SIGSEGV"),
    ("by leaving", "its process ended with exit status 3: a last word"),
])
def test_a_failing_worker_is_one_sentence(fails, sentence):
    with Worker(task(fails=fails)) as worker:
        with pytest.raises(BenchError) as caught:
            worker.prepare()
        assert str(caught.value).startswith(sentence)
        assert "\n" not in str(caught.value)
    assert not alive(worker.pid)


def test_a_program_that_is_not_there_is_one_sentence():
    with pytest.raises(BenchError, match="/no/python cannot be started: No such file"):
        Worker(Task("one", ("/no/python",), {}))


def test_workers_take_turns_in_the_drawn_order(tmp_path):
    log = tmp_path / "log"
    names = ("a", "b", "c")
    schedule = Schedule(rounds=5, timed=2, seed=3)
    heard = []
    found = measure([task(name, log=str(log)) for name in names], schedule,
                    lambda *what: heard.append(what))
    assert found.failures == {}
    assert list(found.times) == ["a", "b", "c"]
    assert all(len(times.seconds) == 5 and all(len(turn) == 2 for turn in times.seconds)
               for times in found.times.values())
    written = log.read_text().splitlines()
    warm_up = [name for name in names for _ in range(WARM_UP)]
    orders = schedule.orders(3)
    turns = [names[index] for order in orders for index in order for _ in range(UNTIMED + 2)]
    assert written == warm_up + turns
    assert len({tuple(order) for order in orders}) > 1
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert heard[0] == ("starting a", 0, 5)
    assert heard[-1] == ("measured", 5, 5)
    assert not any(alive(times.facts["pid"]) for times in found.times.values())


def test_orders_are_the_same_for_a_seed_and_differ_between_seeds():
    assert Schedule(seed=1).orders(4) == Schedule(seed=1).orders(4)
    assert Schedule(seed=1).orders(4) != Schedule(seed=2).orders(4)


def test_a_worker_that_fails_costs_its_own_times_alone():
    found = measure([task("good"), task("bad", fails="at first"),
                     task("tired", **{"fails after": WARM_UP + 3})], Schedule(rounds=3, timed=1))
    assert set(found.times) == {"good"}
    assert len(found.times["good"].seconds) == 3
    assert found.failures == {"bad": "it has no model", "tired": "it is worn out"}


MAIN = """
import json, sys
from ssdreg.bench.measure import Schedule, measure
from ssdreg.bench.workers import Task
pids = {pids!r}
tasks = [Task(name, (sys.executable, "-c", {worker!r}), {{"name": name, "log": pids + name}})
         for name in ("a", "b")]
def report(words, done, total):
    print(words, flush=True)
measure(tasks, Schedule(rounds=10**4, timed=1), report)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_us_ends_the_workers(tmp_path, end):
    # noted by the workers themselves, because we are not their parent
    worker = WORKER.replace('log.write(job["name"]', 'log.write(str(os.getpid())')
    main = subprocess.Popen(
        [sys.executable, "-c", MAIN.format(pids=f"{tmp_path}/", worker=worker)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while main.stdout.readline() != "measuring\n":
        assert main.poll() is None
    pids = {int((tmp_path / name).read_text().split()[0]) for name in ("a", "b")}
    assert len(pids) == 2
    assert all(map(alive, pids))
    main.send_signal(end)
    _, complaint = main.communicate(timeout=60)
    assert main.returncode == -end
    if end == signal.SIGINT:
        assert "KeyboardInterrupt" in complaint.splitlines()[-1]
    until = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def test_workers_compute_with_the_threads_asked_for(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (thread_count(None), thread_count(2)) == (3, 2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count(None) >= 1
    found = environment(2, {"KEPT": "yes", "OMP_WAIT_POLICY": "PASSIVE"})
    assert found == {"KEPT": "yes", "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2",
                     "OPENBLAS_NUM_THREADS": "2"}
    # which would take the cores from the others for ever
    assert "OMP_WAIT_POLICY" not in environment(2, {"OMP_WAIT_POLICY": "active"})


def test_a_worker_needs_python_alone(tmp_path):
    """The worker's side runs where ssdreg is not installed, as PyTorch's Python may be."""
    import ssdreg.bench.protocol as turns
    script = ("import importlib.util, sys\n"
              "spec = importlib.util.spec_from_file_location('turns', sys.argv[1])\n"
              "turns = importlib.util.module_from_spec(spec)\n"
              "spec.loader.exec_module(turns)\n"
              "sys.exit(turns.serve(lambda job: (job, lambda: None)))\n")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, turns.__file__],
                          input='{"some": "job"}\n{"untimed": 1, "timed": 2}\n', text=True,
                          capture_output=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]},
                          check=True)
    ready, seconds = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": {"some": "job"}}
    assert len(seconds["seconds"]) == 2
