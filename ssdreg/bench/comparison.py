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
from ssdreg.bench.workload import PreparedWorkload
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
    """Paths by the names of configurations, and why there is none for others."""

    paths: Mapping[str, str]
    failures: Mapping[str, str]


def compare(prepared: PreparedWorkload, choice: Choice, settings: Settings, folder: Path,
            report: Listener = quiet) -> Figures:
    """Measure every configuration at every batch size; `folder` takes the models that are made.

    One whose model cannot be made, or whose process fails, becomes a line that says why. Raises
    BenchError when that is true of all.
    """
    precisions = dict.fromkeys(configuration.precision for configuration in choice.configurations)
    peaks = measure_peaks(precisions, settings.threads, settings.sides, report)
    rows: list[Row] = []
    post: list[Post] = []
    missing = list(choice.missing)
    for batch in settings.batches:
        models = make_models(choice.configurations, prepared, batch, folder / f"batch{batch}",
                             report)
        tasks = [engine_task(configuration, models.paths[configuration.name], prepared, batch,
                             settings.threads)
                 for configuration in choice.configurations if configuration.name in models.paths]
        measured = measure(tasks, settings.schedule, report)
        rows += make_rows(choice.configurations, measured.times, batch,
                          prepared.workload.multiply_adds, peaks)
        failures = {**models.failures, **measured.failures}
        missing += [Missing(configuration, failures[configuration.name], batch)
                    for configuration in choice.configurations if configuration.name in failures]
        if settings.post:
            parts, absent = measure_post(
                [configuration for configuration in choice.configurations
                 if configuration.name in measured.times and configuration.precision == FLOAT32
                 and configuration.backend in POST_BACKENDS],
                models.paths, prepared, batch, settings.threads, settings.schedule, report)
            post += parts
            missing += absent
    if not rows:
        raise BenchError("nothing could be measured: " + "; ".join(
            f"{absent.configuration.name}: {absent.why}" for absent in missing))
    return Figures(prepared.workload, describe_machine(settings.threads), settings.schedule.rounds,
                   settings.schedule.timed, tuple(rows), tuple(missing), peaks, tuple(post))


def make_models(configurations: Sequence[Configuration], prepared: PreparedWorkload, batch: int,
                folder: Path, report: Listener = quiet) -> Models:
    """Make what the configurations run, each in a process of its own, below `folder`."""
    model_of: dict[str, str] = {"source": str(prepared.folder)}
    failures: dict[str, str] = {}
    paths: dict[str, str] = {}
    for configuration in configurations:
        kind = _kind(configuration)
        if kind not in model_of and kind not in failures:
            report(f"making {kind}, batch {batch}", 0, 1)
            (folder / kind).mkdir(parents=True, exist_ok=True)
            job = {"kind": kind, "source": str(prepared.folder), "images": str(prepared.images),
                   "batch": batch, "folder": str(folder / kind)}
            task = Task(kind, (sys.executable, "-m", "ssdreg.bench.model_worker"), job)
            try:
                with Worker(task) as worker:
                    model_of[kind] = worker.prepare()["model"]
            except BenchError as error:
                failures[kind] = str(error)
        if kind in model_of:
            paths[configuration.name] = model_of[kind]
    return Models(paths, {configuration.name: failures[_kind(configuration)]
                          for configuration in configurations if _kind(configuration) in failures})


def _kind(configuration: Configuration) -> str:
    """Return the kind of model (see `ssdreg.bench.model_worker`) that a configuration runs."""
    if configuration.precision == "int8" or configuration.name == "mxnet bfloat16":
        return configuration.name
    return "source" if configuration.backend == "mxnet" else "onnx"


def engine_task(configuration: Configuration, model: str, prepared: PreparedWorkload, batch: int,
                threads: int | None) -> Task:
    """Return the worker that measures a configuration."""
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
