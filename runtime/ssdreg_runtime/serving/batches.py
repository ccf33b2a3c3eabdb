"""Dynamic batches: pictures of several requests run through the network together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from time import monotonic
from typing import Callable

from attrs import frozen

from ssdreg_runtime.boxes.detections import Detections
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.inference.streams import detect_prepared
from ssdreg_runtime.io.images import PreparedImage

#: Told of every batch: how many pictures it had, and how many seconds it took.
BatchDone = Callable[[int, float], None]


@frozen(eq=False)
class _Job:
    """A picture that waits, since when, and its result."""

    prepared: PreparedImage
    since: float
    result: asyncio.Future[Detections]


class Batches:
    """Runs pictures through a detector in batches of its size.

    A batch starts as soon as the network is free. A batch that is not full waits for pictures which
    are being received or decoded, until its first has waited for `wait` seconds: where nothing is
    on its way, nothing waits. All of it is called in the event loop; the network runs in
    `executor`.
    """

    def __init__(self, detector: Detector, executor: Executor, wait: float, done: BatchDone
                 ) -> None:
        self._detector, self._executor, self._wait, self._done = detector, executor, wait, done
        self._jobs: deque[_Job] = deque()
        self._coming = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def expect(self) -> Iterator[None]:
        """Let batches wait for the pictures of a request that is received or decoded meanwhile."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._changed.set()

    async def detect(self, pictures: Sequence[PreparedImage]) -> list[Detections]:
        """Detect in the pictures; a result for each, in order.

        One whose outputs are not finite has its `error`. A picture that has not begun to run when
        this is cancelled does not run.
        """
        loop = asyncio.get_running_loop()
        jobs = [_Job(prepared, monotonic(), loop.create_future()) for prepared in pictures]
        self._jobs.extend(jobs)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run_all())
        return list(await asyncio.gather(*(job.result for job in jobs)))

    async def _run_all(self) -> None:
        """Run batches until no picture is left."""
        try:
            while self._jobs:
                await self._fill()
                batch = self._take()
                if batch:
                    await self._run(batch)
        finally:
            self._task = None

    async def _fill(self) -> None:
        """Wait until the next batch is full, nothing is on its way, or its first waited enough."""
        end = self._jobs[0].since + self._wait
        while len(self._jobs) < self._detector.batch_size and self._coming:
            left = end - monotonic()
            if left <= 0:
                return
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except asyncio.TimeoutError:
                return

    def _take(self) -> list[_Job]:
        """Take the next batch, without the pictures that nobody waits for any more."""
        batch: list[_Job] = []
        while self._jobs and len(batch) < self._detector.batch_size:
            job = self._jobs.popleft()
            if not job.result.done():
                batch.append(job)
        return batch

    async def _run(self, batch: Sequence[_Job]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results, seconds = await loop.run_in_executor(
                self._executor, self._detect, [job.prepared for job in batch])
        except Exception as error:  # raised again by each request that had a picture in it
            for job in batch:
                if not job.result.done():
                    job.result.set_exception(error)
            return
        self._done(len(batch), seconds)
        for job, detections in zip(batch, results):
            if not job.result.done():
                job.result.set_result(detections)

    def _detect(self, prepared: Sequence[PreparedImage]) -> tuple[Sequence[Detections], float]:
        start = monotonic()
        results = detect_prepared(self._detector, prepared)
        return results, monotonic() - start
