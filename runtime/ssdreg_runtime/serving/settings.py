"""The settings of a server."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from ssdreg_runtime.backends import AUTO
from ssdreg_runtime.backends.settings import CPU
from ssdreg_runtime.errors import DataError

LOOPBACK = "127.0.0.1"
PORT = 8080

#: Bodies in memory at the same time, each as large as one may be.
_BODIES_AT_ONCE = 8


@frozen(kw_only=True)
class Settings:
    """What a server is told, all but its models.

    - `host`, `port`: the address; port 0 takes a free one
    - `backend`, `threads`, `precision`, `device`, `iou`, `max_det`: as `Detector` takes them, the
      same for all models
    - `workers`: threads that decode and draw pictures
    - `batch`: pictures that run together, where a model takes any number; `batch_wait` is how many
      seconds the first of them waits for others that are being received or decoded
    - `queue`: pictures that are decoded, waiting or running; requests beyond are refused
    - `timeout`: seconds from a request's first byte to its answer
    - `keep_alive`: seconds that a connection may be without a complete request, and an answer
      without a reader
    - `max_bytes`: the largest body, `max_pixels`: the largest picture, width times height
    - `reload`: seconds between looks at the models' files; 0 for none
    - `browser_runtime`: a folder of onnxruntime-web's files, with which the page detects inside the
      browser; None where it does not
    - `token`: what clients must send as their bearer token; empty where anybody may ask
    """

    host: str = LOOPBACK
    port: int = PORT
    backend: str = AUTO
    threads: int | None = None
    precision: str = AUTO
    device: str = CPU
    iou: float | None = None
    max_det: int | None = None
    workers: int = 4
    batch: int = 8
    batch_wait: float = 0.005
    queue: int = 128
    timeout: float = 30
    keep_alive: float = 30
    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    reload: float = 2
    browser_runtime: Path | None = None
    token: str = field(default="", repr=False)

    @property
    def max_bytes_held(self) -> int:
        """The bytes of all bodies in memory at the same time."""
        return _BODIES_AT_ONCE * self.max_bytes

    def check(self) -> Settings:
        """Return the settings; raise DataError for what cannot be used, or not together."""
        for option, number, least in (
                ("--workers", self.workers, 1), ("--batch", self.batch, 1),
                ("--batch-wait", self.batch_wait, 0), ("--queue", self.queue, 1),
                ("--reload", self.reload, 0), ("--max-bytes", self.max_bytes, 1),
                ("--max-pixels", self.max_pixels, 1)):
            if number < least:
                raise DataError(f"{option} {number:g} cannot be used: give {least} or more")
        for option, seconds in (("--timeout", self.timeout), ("--keep-alive", self.keep_alive)):
            if not seconds > 0:
                raise DataError(f"{option} {seconds:g} leaves no time: give seconds above 0")
        if not 0 <= self.port <= 65535:
            raise DataError(f"--port {self.port} is no port: give one of 1 to 65535, or 0 for any "
                            f"that is free")
        if self.browser_runtime is not None:
            for option, limit in (("--iou", self.iou), ("--max-det", self.max_det)):
                if limit is not None:
                    raise DataError(f"{option} {limit:g} is not what a browser detects with, by "
                                    f"the file alone: leave it or --browser-runtime out")
        return self
