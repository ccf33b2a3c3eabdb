"""Connections that are ended when no complete request comes, or nobody reads the answer.

uvicorn bounds how long a connection may be silent after an answer. It waits without end for the
first request, for the rest of a head that has begun, for the rest of a body that was refused, and
for a client to read.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which ends a connection on which nothing moves for `timeout_keep_alive`.
    """

    _timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        super().connection_lost(exc)
        self._stop()
        self._stop_reader_timer()

    def data_received(self, data: bytes) -> None:
        """Stop waiting where the head of a request is complete."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._stop_reader_timer()
        self._reader_timer = self._end_later()

    def resume_writing(self) -> None:
        """Stop waiting: it has read enough to go on."""
        super().resume_writing()
        self._stop_reader_timer()

    def _watch(self) -> None:
        """Let the time run while no request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None:
            self._timer = self._end_later()

    def _end_later(self) -> asyncio.TimerHandle:
        # `close` would wait for what is not read
        return self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None
