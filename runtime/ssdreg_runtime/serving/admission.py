"""The bounds of what is held at the same time: pictures, and the bytes of bodies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ssdreg_runtime.serving.metrics import Metrics
from ssdreg_runtime.serving.refusal import Refusal

#: The share of the newest batch in the average time of a picture.
_NEWEST = 0.2


class Admission:
    """Counts the pictures that a server has taken and not yet answered, `capacity` at most."""

    def __init__(self, capacity: int, metrics: Metrics) -> None:
        self._capacity, self._metrics = capacity, metrics
        self._taken = 0
        self._seconds_each = 0.0

    def check(self, count: int = 1) -> None:
        """Raise Refusal, status 429, unless there is room for `count` pictures."""
        if count > self._capacity:
            raise Refusal(413, f"{count} pictures in one request are too many: send "
                               f"{self._capacity} at most")
        if self._taken + count > self._capacity:
            self._metrics.refused.labels("queue").inc()
            raise busy(math.ceil(self._taken * self._seconds_each))

    @contextmanager
    def admit(self, count: int) -> Iterator[None]:
        """Hold room for `count` pictures; raise Refusal where there is none."""
        self.check(count)
        self._count(count)
        try:
            yield
        finally:
            self._count(-count)

    def learn(self, pictures: int, seconds: float) -> None:
        """Note how long a batch took; ``Retry-After`` is estimated from it."""
        each = seconds / pictures
        self._seconds_each += (each - self._seconds_each) * (_NEWEST if self._seconds_each else 1)

    def _count(self, change: int) -> None:
        self._taken += change
        self._metrics.waiting.set(self._taken)


class UploadMemory:
    """Counts the bytes of all bodies that are held, `limit` at most."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit, self._metrics, self._held = limit, metrics, 0

    def take(self, count: int) -> None:
        """Count `count` bytes more; raise Refusal, status 429, where they are too many."""
        if self._held + count > self._limit:
            self._metrics.refused.labels("memory").inc()
            raise busy(1)
        self._count(count)

    def give_back(self, count: int) -> None:
        """Count `count` bytes less."""
        self._count(-count)

    def _count(self, change: int) -> None:
        self._held += change
        self._metrics.body_bytes.set(self._held)


def busy(seconds: int) -> Refusal:
    """Return the refusal of a request that may be sent again after some seconds."""
    wait = max(1, seconds)
    return Refusal(429, f"the server is busy: send it again in {wait} s",
                   {"Retry-After": str(wait)})
