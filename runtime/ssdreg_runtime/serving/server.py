"""The server as a process: models opened, requests answered, and an end that finishes them."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import uvicorn
from PIL import Image

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.serving.admission import Admission
from ssdreg_runtime.serving.app import application
from ssdreg_runtime.serving.idle import BoundedProtocol
from ssdreg_runtime.serving.logs import fields, write_logs
from ssdreg_runtime.serving.metrics import Metrics
from ssdreg_runtime.serving.models import Models, ModelSource, OpenModel, open_model
from ssdreg_runtime.serving.service import Service
from ssdreg_runtime.serving.settings import Settings

_log = logging.getLogger(__name__)

#: Connections that wait to be accepted.
_BACKLOG = 512


def serve(sources: Sequence[ModelSource], settings: Settings,
          print_line: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; what was taken by then is finished.

    `print_line` is told the address once requests are answered. Raises what `Detector` raises for
    a model, and DataError for an address that cannot be had; KeyboardInterrupt after SIGINT.
    """
    listener = _listen(settings)
    with listener:
        opened = [open_model(source, settings) for source in sources]
        # pictures are bounded by the server's own number, and Pillow's is another
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        write_logs()
        # uvicorn sends itself the signal once more when all is finished, for those who wait for it
        signal.signal(signal.SIGTERM, lambda *_: None)
        asyncio.run(_serve(opened, settings, listener, print_line))


async def _serve(opened: Sequence[OpenModel], settings: Settings, listener: socket.socket,
                 print_line: Callable[[str], None]) -> None:
    metrics = Metrics()
    admission = Admission(settings.queue, metrics)
    models = Models(opened, settings, admission, metrics)
    workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="ssdreg-worker")
    # of its own, so that opening a model takes no worker from requests
    opener = ThreadPoolExecutor(1, thread_name_prefix="ssdreg-opener")
    server = _Server(uvicorn.Config(
        application(Service(settings, models, admission, workers, metrics)),
        http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, date_header=False, backlog=_BACKLOG,
        timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.timeout + 1))  # type: ignore[arg-type]
    server.on_start = lambda: _announce(models, settings, listener, print_line)
    follower = asyncio.create_task(models.follow(opener)) if settings.reload else None
    try:
        await server.serve(sockets=[listener])
    finally:
        if follower is not None:
            follower.cancel()
        models.close()
        workers.shutdown()
        opener.shutdown()
        _log.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it answers."""

    on_start: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self.on_start()


def _listen(settings: Settings) -> socket.socket:
    """Return a socket at the server's address, before models are opened, which takes long."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise DataError(f"{settings.host}, port {settings.port}, cannot be listened at: "
                        f"{error.strerror or error}; choose others by --host and --port"
                        ) from error
    return listener


def _announce(models: Models, settings: Settings, listener: socket.socket,
              print_line: Callable[[str], None]) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    names = [loaded.name for loaded in models.all]
    _log.info("started", extra=fields(host=host, port=port, models=names))
    if not settings.token and not host.startswith("127.") and host != "::1":
        _log.warning("anybody who reaches this address may ask: give a token by --token-file")
    print_line(f"serving {', '.join(names)} at http://{shown}:{port}")
