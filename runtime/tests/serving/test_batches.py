"""Batches: requests share them, wait only where something is on its way, and fail together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from attrs import field, frozen
from runtime_support.servers import COLORS
from runtime_support.tiny_model import picture
from ssdreg_runtime import Detector
from ssdreg_runtime.io.images import PreparedImage
from ssdreg_runtime.serving.batches import Batches


@frozen(eq=False)
class Engine:
    """A detector that takes four pictures at a time, and the sizes of the batches that it ran."""

    detector: Detector
    executor: ThreadPoolExecutor
    sizes: list = field(factory=list)

    def batches(self, wait):
        return Batches(self.detector, self.executor, wait,
                       lambda pictures, seconds: self.sizes.append(pictures))

    def picture(self, *colors):
        return self.detector.prepare(picture(colors or COLORS))


@pytest.fixture
def engine(models_folder):
    detector = Detector(models_folder / "tiny.onnx", threads=1)
    detector.batch_size = 4
    with ThreadPoolExecutor(1) as executor:
        yield Engine(detector, executor)


def test_requests_share_batches_and_get_their_own_results(engine):
    colors = [tuple(200 if channel == number % 3 else 0 for channel in range(3))
              for number in range(10)]

    async def ask():
        batches = engine.batches(wait=10)
        return await asyncio.gather(*(
            batches.detect([engine.picture(color, (0, 0, 0), (0, 0, 0), (0, 0, 0))])
            for color in colors))

    results = asyncio.run(ask())
    assert [found.names for [found] in results] == [
        (("red", "green", "blue")[number % 3],) for number in range(10)]
    assert engine.sizes == [4, 4, 2]


def test_a_picture_waits_for_what_is_on_its_way_and_not_for_ever(engine):
    async def ask(wait, together):
        batches = engine.batches(wait)
        decoded = asyncio.Event()

        async def decoded_later():
            with batches.expect():
                await decoded.wait()
            return await batches.detect([engine.picture()])

        other = asyncio.create_task(decoded_later())
        await asyncio.sleep(0)
        first = asyncio.create_task(batches.detect([engine.picture()]))
        if together:
            # time in which it would have run, did it not wait
            await asyncio.sleep(0.2)
        else:
            await first
        decoded.set()
        await asyncio.gather(first, other)

    asyncio.run(ask(wait=60, together=True))
    assert engine.sizes == [2]
    asyncio.run(ask(wait=0.01, together=False))
    assert engine.sizes == [2, 1, 1]


def test_nothing_waits_where_nothing_is_on_its_way(engine):
    async def ask():
        return await asyncio.wait_for(engine.batches(wait=600).detect([engine.picture()]), 60)

    assert len(asyncio.run(ask())[0]) == 3
    assert engine.sizes == [1]


def test_a_picture_that_nobody_waits_for_does_not_run(engine):
    async def ask():
        batches = engine.batches(wait=0)
        tasks = [asyncio.create_task(batches.detect([engine.picture()])) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return [type(result) for result in done]

    assert asyncio.run(ask()) == [asyncio.CancelledError, list, list]
    assert engine.sizes == [2]


def test_what_fails_is_told_to_each_request_and_the_next_one_runs(engine):
    async def ask():
        batches = engine.batches(wait=0)
        foreign = PreparedImage(np.zeros((3, 3, 3), np.uint8), (3, 3))
        failed = await asyncio.gather(batches.detect([foreign]), batches.detect([engine.picture()]),
                                      return_exceptions=True)
        return failed, await batches.detect([engine.picture()])

    failed, [found] = asyncio.run(ask())
    assert all(isinstance(error, ValueError) for error in failed)
    assert len(found) == 3
    assert engine.sizes == [1]
