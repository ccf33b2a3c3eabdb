"""Stages that work at the same time: their order is kept, and what waits between them is bounded.

A stage is a generator. Closing the last one ends all before it: their threads are stopped and
joined when `close` returns. An exception in any of them is raised where results are taken.

A stage that waits yields None every `POLL_SECONDS`. None means that nothing has arrived yet, and
lets each following stage's thread notice that it was closed; `without_pauses` drops it at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

from attrs import frozen

T = TypeVar("T")
R = TypeVar("R")

#: Seconds of waiting after which None is yielded.
POLL_SECONDS = 0.2


@frozen
class _Produced:
    """A value that a thread produced."""

    value: object


@frozen
class _End:
    """The end of a thread's values; `error` is the exception that ended it, if any."""

    error: BaseException | None


def in_background(items: Iterator[T | None], ahead: int) -> Generator[T | None, None, None]:
    """Yield the items of a generator that runs in its own thread, at most `ahead` in advance.

    Closing it waits until `items` yields its next item, or None.
    """
    ready: Queue[_Produced | _End] = Queue(max(1, ahead))
    closed = Event()

    def put(message: _Produced | _End) -> None:
        # closing drains the queue once, so that one more message always fits
        if not closed.is_set():
            ready.put(message)

    def produce() -> None:
        try:
            for item in items:
                if closed.is_set():
                    break
                if item is not None:
                    put(_Produced(item))
            _close(items)
        except BaseException as error:  # raised again by the consumer
            put(_End(error))
        else:
            put(_End(None))

    # a daemon, so that a stream that was never closed does not keep the process alive
    thread = Thread(target=produce, name="ssdreg-stage", daemon=True)
    thread.start()
    try:
        while True:
            received = _get_or_none(ready)
            if isinstance(received, _End):
                break
            yield None if received is None else received.value  # type: ignore[misc]
    finally:
        closed.set()
        _drain(ready)
        thread.join()
    if received.error is not None:
        raise received.error


def in_pool(work: Callable[[T], R], items: Iterator[T | None], workers: int,
            ahead: int) -> Generator[R | None, None, None]:
    """Yield ``work(item)`` of each item, in order, computed by several threads, `ahead` in advance.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ssdreg-worker")

    def submitted() -> Generator[Future[R] | None, None, None]:
        try:
            for item in items:
                yield None if item is None else pool.submit(work, item)
        finally:
            _close(items)

    try:
        with closing(in_background(submitted(), ahead)) as futures:
            for future in futures:
                yield None if future is None else future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def without_pauses(items: Iterator[T | None]) -> Generator[T, None, None]:
    """Yield the items that are not None; closing it closes `items`."""
    try:
        for item in items:
            if item is not None:
                yield item
    finally:
        _close(items)


def _close(items: Iterator[object]) -> None:
    """Close a generator; other iterators have nothing to close."""
    if isinstance(items, Generator):
        items.close()


def _get_or_none(queue: Queue[_Produced | _End]) -> _Produced | _End | None:
    try:
        return queue.get(timeout=POLL_SECONDS)
    except Empty:
        return None


def _drain(queue: Queue[_Produced | _End]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass
