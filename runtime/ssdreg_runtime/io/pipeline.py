"""Stages that work at the same time: their order is kept, and what waits between them is bounded.

A stage is a generator. Closing the last one ends all before it: their threads are told, waited
for and gone when `close` returns. An exception in any of them is raised where results are taken.

Whatever waits gives None now and then. It means that nothing has come yet, and lets the thread of
each stage behind it notice that nobody listens any more; `without_pauses` leaves it out at the end.
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

#: Seconds of waiting after which None is given.
PATIENCE = 0.2


@frozen
class _Item:
    """Something that came out of a thread."""

    value: object


@frozen
class _End:
    """Nothing more comes out of a thread; `error` is why, where something went wrong."""

    error: BaseException | None


def in_background(items: Iterator[T | None], ahead: int) -> Generator[T | None, None, None]:
    """Give the items of a generator that runs in a thread of its own, at most `ahead` in advance.

    Closing it waits until the thread has what it waits for, or None from `items`.
    """
    ready: Queue[_Item | _End] = Queue(max(1, ahead))
    nobody_listens = Event()

    def give(what: _Item | _End) -> None:
        # whoever stops listening empties the queue once: one more always fits
        if not nobody_listens.is_set():
            ready.put(what)

    def produce() -> None:
        try:
            for item in items:
                if nobody_listens.is_set():
                    break
                if item is not None:
                    give(_Item(item))
            _close(items)
        except BaseException as error:  # raised again by whoever listens
            give(_End(error))
        else:
            give(_End(None))

    # a daemon, so that a stream that nobody closed does not keep the process alive
    thread = Thread(target=produce, name="ssdreg-stage", daemon=True)
    thread.start()
    try:
        while True:
            got = _next(ready)
            if isinstance(got, _End):
                break
            yield None if got is None else got.value  # type: ignore[misc]
    finally:
        nobody_listens.set()
        _empty(ready)
        thread.join()
    if got.error is not None:
        raise got.error


def in_pool(work: Callable[[T], R], items: Iterator[T | None], workers: int,
            ahead: int) -> Generator[R | None, None, None]:
    """Give ``work(item)`` of each item, in order, done by several threads, `ahead` in advance."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ssdreg-worker")

    def begun() -> Generator[Future[R] | None, None, None]:
        try:
            for item in items:
                yield None if item is None else pool.submit(work, item)
        finally:
            _close(items)

    try:
        with closing(in_background(begun(), ahead)) as futures:
            for future in futures:
                yield None if future is None else future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def without_pauses(items: Iterator[T | None]) -> Generator[T, None, None]:
    """Give the items that are not None; closing it closes `items`."""
    try:
        for item in items:
            if item is not None:
                yield item
    finally:
        _close(items)


def _close(items: Iterator[object]) -> None:
    """End a generator; any other iterator has nothing to end."""
    if isinstance(items, Generator):
        items.close()


def _next(queue: Queue[_Item | _End]) -> _Item | _End | None:
    try:
        return queue.get(timeout=PATIENCE)
    except Empty:
        return None


def _empty(queue: Queue[_Item | _End]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass
