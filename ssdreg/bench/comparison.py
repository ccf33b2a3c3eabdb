"""The whole measurement: models made, peaks and engines measured in turns, figures put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attrs import field, frozen
from ssdreg_runtime.system.threads import physical_cores, usable_processors

from ssdreg.bench.configurations import Choice
from ssdreg.bench.figures import (
    Configuration,
    Figures,
    Machine,
    Missing,
    Post,
    Row,
    make_rows,
)
from ssdreg.bench.measure import Listener, Schedule, measure, quiet
from ssdreg.bench.peak import measure_peaks
from ssdreg.bench.post import POST_BACKENDS, measure_post
from ssdreg.bench.settings import environment, thread_count
from ssdreg.bench.workers import Task, Worker
from ssdreg.bench.workload import Prepared
from ssdreg.errors import BenchError

FLOAT32 = "float32"


@frozen
class Settings:
    """How it is measured: batch sizes, threads (None: as ssdreg chooses), and what else."""

    batches: tuple[int, ...] = (1,)
    threads: int | None = None
    schedule: Schedule = field(factory=Schedule)
    sides: tuple[int, ...] = ()
    post: bool = False


@frozen
class Models:
    """Paths by the names of contenders, and why there is none for others."""

    paths: Mapping[str, str]
    failures: Mapping[str, str]


def compare(prepared: Prepared, choice: Choice, settings: Settings, folder: Path,
            report: Listener = quiet) -> Figures:
    """Measure every contender at every batch size; `folder` takes the models that are made.

    A contender whose model cannot be made, or whose process fails, becomes a line that says why.
    Raises BenchError when that is true of all.
    """
    precisions = dict.fromkeys(each.precision for each in choice.configurations)
    peaks = measure_peaks(precisions, settings.threads, settings.sides, report)
    rows: list[Row] = []
    post: list[Post] = []
    missing = list(choice.missing)
    for batch in settings.batches:
        made = make_models(choice.configurations, prepared, batch, folder / f"batch{batch}", report)
        tasks = [engine_task(each, made.paths[each.name], prepared, batch, settings.threads)
                 for each in choice.configurations if each.name in made.paths]
        found = measure(tasks, settings.schedule, report)
        rows += make_rows(choice.configurations, found.times, batch,
                          prepared.workload.multiply_adds, peaks)
        failures = {**made.failures, **found.failures}
        missing += [Missing(each, failures[each.name], batch) for each in choice.configurations
                    if each.name in failures]
        if settings.post:
            parts, absent = measure_post(
                [each for each in choice.configurations if each.name in found.times
                 and each.precision == FLOAT32 and each.backend in POST_BACKENDS],
                made.paths, prepared, batch, settings.threads, settings.schedule, report)
            post += parts
            missing += absent
    if not rows:
        raise BenchError("nothing could be measured: " + "; ".join(
            f"{each.configuration.name}: {each.why}" for each in missing))
    return Figures(prepared.workload, describe_machine(settings.threads), settings.schedule.rounds,
                   settings.schedule.timed, tuple(rows), tuple(missing), peaks, tuple(post))


def make_models(configurations: Sequence[Configuration], prepared: Prepared, batch: int,
                folder: Path, report: Listener = quiet) -> Models:
    """Make what the contenders run, each in a process of its own, below `folder`."""
    made: dict[str, str] = {"source": str(prepared.folder)}
    failures: dict[str, str] = {}
    paths: dict[str, str] = {}
    for each in configurations:
        kind = _kind(each)
        if kind not in made and kind not in failures:
            report(f"making {kind}, batch {batch}", 0, 1)
            (folder / kind).mkdir(parents=True, exist_ok=True)
            job = {"kind": kind, "source": str(prepared.folder), "images": str(prepared.images),
                   "batch": batch, "folder": str(folder / kind)}
            task = Task(kind, (sys.executable, "-m", "ssdreg.bench.model_worker"), job)
            try:
                with Worker(task) as worker:
                    made[kind] = worker.prepare()["model"]
            except BenchError as error:
                failures[kind] = str(error)
        if kind in made:
            paths[each.name] = made[kind]
    return Models(paths, {each.name: failures[_kind(each)] for each in configurations
                          if _kind(each) in failures})


def _kind(configuration: Configuration) -> str:
    """Return the kind of model (see `ssdreg.bench.model_worker`) that a contender runs."""
    if configuration.precision == "int8" or configuration.name == "mxnet bfloat16":
        return configuration.name
    return "source" if configuration.backend == "mxnet" else "onnx"


def engine_task(configuration: Configuration, model: str, prepared: Prepared, batch: int,
                threads: int | None) -> Task:
    """Return the worker that measures a contender."""
    job = {"backend": configuration.backend, "precision": configuration.precision, "model": model,
           "images": str(prepared.images), "batch": batch, "threads": thread_count(threads)}
    return Task(configuration.name, (sys.executable, "-m", "ssdreg.bench.engine_worker"), job,
                environment(threads))


def describe_machine(threads: int | None) -> Machine:
    """Say what this is measured on."""
    versions = {}
    for package in ("mxnet", "onnxruntime", "openvino", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue  # then nothing of it was measured either
    return Machine(processor(), physical_cores(usable_processors()),
                   thread_count(threads), {"ssdreg": version("ssdreg"), **versions})


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, or what kind it is where the system does not tell."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return os.uname().machine
