"""The models of a server: named, opened, and opened again when their files are replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
from attrs import frozen

from ssdreg_runtime.backends.model_file import IR
from ssdreg_runtime.errors import DataError, SsdregError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.serving.admission import Admission
from ssdreg_runtime.serving.batches import Batches
from ssdreg_runtime.serving.logs import fields
from ssdreg_runtime.serving.metrics import Metrics
from ssdreg_runtime.serving.refusal import Refusal
from ssdreg_runtime.serving.settings import Settings

_log = logging.getLogger(__name__)

#: A name that needs no escapes in an address, nor anywhere else.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: Of each file of a model: when it was written, its size, and which file it is.
Signature = tuple[tuple[int, int, int], ...]


@frozen
class ModelSource:
    """A model's name in addresses, and its file."""

    name: str
    file: Path

    def signature(self) -> Signature | None:
        """Return what changes when the file is replaced; None while there is none."""
        files = [self.file]
        if self.file.suffix.lower() == IR:
            files.append(self.file.with_suffix(".bin"))
        try:
            return tuple((status.st_mtime_ns, status.st_size, status.st_ino)
                         for status in map(os.stat, files))
        except OSError:
            return None


def model_sources(models: Sequence[str]) -> list[ModelSource]:
    """Return the models of the command line, each ``FILE`` or ``NAME=FILE``.

    Without a name it is the file's, without its extension. Raises DataError for a name that is no
    part of an address, and for one that two models have.
    """
    sources: dict[str, ModelSource] = {}
    for model in models:
        name, given, file = model.partition("=")
        if not given or "/" in name or Path(model).exists():
            name, file = Path(model).stem, model
        if not _NAME.fullmatch(name):
            raise DataError(f"{name!r} is no name for a model in an address: give one of ASCII "
                            f"letters, digits, '.', '_' and '-', as NAME={file}")
        if name in sources:
            raise DataError(f"{sources[name].file} and {file} would both be called {name}: give "
                            f"one another name, as NAME={file}")
        sources[name] = ModelSource(name, Path(file))
    return list(sources.values())


@frozen(eq=False)
class OpenModel:
    """A model file that was opened: its detector, what the file was then, and when that was."""

    source: ModelSource
    detector: Detector
    signature: Signature | None
    opened: datetime


def open_model(source: ModelSource, settings: Settings) -> OpenModel:
    """Open a model and run it once; raise what `Detector` raises."""
    signature = source.signature()
    detector = Detector(source.file, settings.backend, settings.threads, settings.precision,
                        settings.device, settings.iou, settings.max_det)
    if detector.facts.batch is None:
        detector.batch_size = settings.batch
    _warm_up(detector)
    return OpenModel(source, detector, signature, datetime.now(timezone.utc))


def _warm_up(detector: Detector) -> None:
    """Run a detector once with each kind of batch, so that no request waits for a compilation.

    OpenVINO compiles the first two sizes of batches each for itself, and then one for all others:
    so one picture alone and a full batch, which are the most frequent, come first.
    """
    picture = np.zeros((*detector.data_shape, 3), np.uint8)
    for count in dict.fromkeys((1, detector.batch_size, min(2, detector.batch_size))):
        detector.detect([picture] * count)


@frozen(eq=False)
class LoadedModel:
    """An opened model, and the batches that run in it."""

    model: OpenModel
    batches: Batches

    @property
    def name(self) -> str:
        """Its name in addresses."""
        return self.model.source.name

    @property
    def detector(self) -> Detector:
        """Its detector."""
        return self.model.detector


class Models:
    """The models by their names, the first of them the default; all run in one thread.

    A request takes a `LoadedModel` and keeps it until it is answered, so that a model that is
    replaced meanwhile finishes what it has.
    """

    def __init__(self, opened: Sequence[OpenModel], settings: Settings, admission: Admission,
                 metrics: Metrics) -> None:
        self._settings, self._admission, self._metrics = settings, admission, metrics
        # one thread for all: models that run at the same time take one another's cores
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="ssdreg-engine")
        self._loaded = {model.source.name: self._load(model) for model in opened}

    @property
    def default(self) -> LoadedModel:
        """The first model."""
        return next(iter(self._loaded.values()))

    @property
    def all(self) -> Sequence[LoadedModel]:
        """All models, the default first."""
        return tuple(self._loaded.values())

    def named(self, name: str) -> LoadedModel:
        """Return the model of this name; raise Refusal, status 404, where there is none."""
        if name not in self._loaded:
            raise Refusal(404, f"there is no model of that name: choose one of "
                               f"{', '.join(self._loaded)}")
        return self._loaded[name]

    def named_or_default(self, name: str) -> LoadedModel:
        """Return the model of this name, or the default where there is none."""
        return self._loaded.get(name, self.default)

    def close(self) -> None:
        """End the engine's thread."""
        self._engine.shutdown()

    def _load(self, model: OpenModel) -> LoadedModel:
        name = model.source.name

        def done(pictures: int, seconds: float) -> None:
            self._admission.learn(pictures, seconds)
            self._metrics.pictures.labels(name).inc(pictures)
            self._metrics.batches.labels(name).observe(pictures)
            self._metrics.engine_seconds.labels(name).inc(seconds)

        return LoadedModel(model, Batches(model.detector, self._engine, self._settings.batch_wait,
                                          done))

    async def follow(self, executor: Executor) -> None:
        """Open models again when their files are replaced, until this is cancelled.

        A file is opened when it has been the same for two looks, since it may be written in parts.
        Where it cannot be opened, the model stays as it is until the file changes once more.
        """
        loop = asyncio.get_running_loop()
        tried = {name: loaded.model.signature for name, loaded in self._loaded.items()}
        before = dict(tried)
        while True:
            await asyncio.sleep(self._settings.reload)
            for name, loaded in list(self._loaded.items()):
                source = loaded.model.source
                now = await loop.run_in_executor(executor, source.signature)
                settled = now is not None and now == before[name]
                before[name] = now
                if settled and now != tried[name]:
                    tried[name] = now
                    await self._reload(source, executor)

    async def _reload(self, source: ModelSource, executor: Executor) -> None:
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(executor, partial(open_model, source,
                                                                 self._settings))
        except (SsdregError, OSError) as error:
            self._metrics.reloads.labels(source.name, "failed").inc()
            _log.error("model not reloaded", extra=fields(model=source.name, error=str(error)))
            return
        self._loaded[source.name] = self._load(model)
        self._metrics.reloads.labels(source.name, "ok").inc()
        _log.info("model reloaded", extra=fields(model=source.name))
