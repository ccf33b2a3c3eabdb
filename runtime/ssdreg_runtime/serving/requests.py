"""What each request passes through: its id, its line in the log, and its figures."""

from __future__ import annotations

import logging
import re
from time import monotonic
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssdreg_runtime.serving.logs import fields
from ssdreg_runtime.serving.metrics import Metrics

_log = logging.getLogger(__name__)

REQUEST_ID = "X-Request-Id"
#: An id that a client may choose.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: The key of a scope under which handlers note values for the request's line in the log.
NOTES = "ssdreg_notes"


class RequestLog:
    """Gives each request its id, logs a line about it, and counts it.

    An exception that nobody handled becomes status 500, and its trace is in the log alone.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = monotonic()
        asked_id = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = asked_id if _ID.fullmatch(asked_id) else uuid4().hex
        notes = scope[NOTES] = {"request_id": request_id}
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            _log.exception("request failed", extra=fields(request_id=request_id))
            if status:  # the answer has begun, and cannot become another
                raise
            await JSONResponse(
                {"error": f"the server failed, and its log says why: look for request {request_id}"
                 }, 500)(scope, receive, send_with_id)
        finally:
            seconds = monotonic() - start
            # not the path, of which there are as many as clients like
            route = getattr(scope.get("route"), "path", "") or "other"
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            client = scope.get("client")
            _log.info("request", extra=fields(
                **notes, method=scope["method"], path=scope["path"], status=status,
                milliseconds=round(seconds * 1000, 1), client=client[0] if client else None))
