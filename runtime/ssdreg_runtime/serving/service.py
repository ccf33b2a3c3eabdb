"""Detection for requests: decoding in worker threads, batches, and the bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, TypeVar

from attrs import frozen
from starlette.types import Scope

from ssdreg_runtime.backends.model_file import IR
from ssdreg_runtime.boxes.detections import Detections, failed_detections
from ssdreg_runtime.io.images import PreparedImage
from ssdreg_runtime.serving.admission import Admission
from ssdreg_runtime.serving.bodies import seconds_left
from ssdreg_runtime.serving.metrics import Metrics
from ssdreg_runtime.serving.models import LoadedModel, Models
from ssdreg_runtime.serving.pictures import Upload, prepare_upload
from ssdreg_runtime.serving.refusal import Refusal
from ssdreg_runtime.serving.requests import NOTES
from ssdreg_runtime.serving.settings import Settings

T = TypeVar("T")


@frozen(eq=False)
class Service:
    """What the routes share: the settings, the models, the bounds, the workers, the figures."""

    settings: Settings
    models: Models
    admission: Admission
    workers: ThreadPoolExecutor
    metrics: Metrics

    def runs_in_browser(self, loaded: LoadedModel) -> bool:
        """Tell whether the page can run a model itself: an ONNX file that takes pictures."""
        return (self.settings.browser_runtime is not None and loaded.detector.takes_pictures
                and loaded.model.source.file.suffix.lower() != IR)

    async def detect(self, scope: Scope, loaded: LoadedModel, uploads: Sequence[Upload]
                     ) -> list[Detections]:
        """Detect in the pictures of a request; a result for each, in order.

        One of several that cannot be used has its `error`. Raises Refusal: status 429 where the
        queue is full, 504 where it is not done in time, and that of the first picture, see
        `prepare_upload`, where none can be used.
        """
        scope[NOTES].update(model=loaded.name, pictures=len(uploads),
                            bytes=sum(len(upload.content) for upload in uploads))
        with self.admission.admit(len(uploads)):
            return await self._in_time(scope, self._detect(loaded, uploads))

    async def work(self, scope: Scope, work: Callable[[], T]) -> T:
        """Call `work` in a worker thread; raise Refusal, status 504, where it is late."""
        return await self._in_time(scope, self._in_worker(work))

    def _in_worker(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self.workers, work)

    async def _detect(self, loaded: LoadedModel, uploads: Sequence[Upload]) -> list[Detections]:
        with loaded.batches.expect():
            prepared = await asyncio.gather(*(
                self._in_worker(lambda upload=upload: self._prepare(loaded, upload))  # type: ignore[misc]
                for upload in uploads))
        usable = [image for image in prepared if isinstance(image, PreparedImage)]
        if not usable and isinstance(prepared[0], Refusal):
            raise prepared[0]
        results = iter(await loaded.batches.detect(usable))
        return [failed_detections(image.sentence, loaded.detector.classes)
                if isinstance(image, Refusal) else next(results) for image in prepared]

    def _prepare(self, loaded: LoadedModel, upload: Upload) -> PreparedImage | Refusal:
        try:
            return prepare_upload(upload, loaded.detector, self.settings.max_pixels)
        except Refusal as refusal:
            self.metrics.unreadable.inc()
            return refusal

    async def _in_time(self, scope: Scope, work: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(work, seconds_left(scope))
        except asyncio.TimeoutError:
            raise Refusal(504, f"not done within {self.settings.timeout:g} s: send it again, or "
                               f"fewer pictures") from None
