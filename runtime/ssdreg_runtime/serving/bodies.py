"""Bodies of requests: bounded in bytes, in time, and in the memory that all of them take."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssdreg_runtime.serving.admission import UploadMemory
from ssdreg_runtime.serving.refusal import Refusal

#: The key of a scope under which the time stands at which its request must be answered.
DEADLINE = "ssdreg_deadline"


class BoundedBodies:
    """Passes requests on with bodies that end in an exception where they go beyond the bounds.

    Reading them raises Refusal: status 413 for more than `max_bytes`, 408 where they have not
    arrived within `timeout` seconds, 429 where all bodies together are too large, 400 where the
    client went away.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout: float, memory: UploadMemory) -> None:
        self._app, self._max_bytes, self._timeout, self._memory = app, max_bytes, timeout, memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[DEADLINE] = monotonic() + self._timeout
        body = _Body(receive, scope[DEADLINE], self._max_bytes, self._memory)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._memory.give_back(body.size)


class _Body:
    """Counts the bytes of one body as they arrive."""

    def __init__(self, receive: Receive, deadline: float, max_bytes: int, memory: UploadMemory
                 ) -> None:
        self._receive, self._deadline = receive, deadline
        self._max_bytes, self._memory = max_bytes, memory
        self._complete = False
        self.size = 0

    async def receive(self) -> Message:
        """Return the next part; raise Refusal as `BoundedBodies` says."""
        if self._complete:
            return await self._receive()
        message: dict[str, Any]
        try:
            message = dict(await asyncio.wait_for(self._receive(), self._deadline - monotonic()))
        except asyncio.TimeoutError:
            raise Refusal(408, "the body did not arrive in time: send it again",
                          {"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the client went away before the body was complete")
        count = len(message.get("body", b""))
        if self.size + count > self._max_bytes:
            raise Refusal(413, f"the body is larger than {self._max_bytes} bytes, which is the "
                               f"server's limit: send less")
        self._memory.take(count)
        self.size += count
        self._complete = not message.get("more_body", False)
        return message


def seconds_left(scope: Scope) -> float:
    """Return how many seconds are left until a request must be answered, at least 0."""
    return max(0.0, float(scope[DEADLINE]) - monotonic())
