"""Cameras and streams of a network, read by PyAV, with connections that are made again."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from attrs import field, frozen

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.frame import Decode, Frame, name_of
from ssdreg_runtime.io.pipeline import POLL_SECONDS
from ssdreg_runtime.io.video import import_av

if TYPE_CHECKING:
    import av

_log = logging.getLogger(__name__)

#: What addresses of streams begin with.
SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https")

#: How long a stream that was lost is tried again, by default.
PATIENCE_SECONDS = 60.0
#: Seconds to wait for a connection and for data, and between tries; these double up to the last.
_TIMEOUT, _FIRST_PAUSE, _LAST_PAUSE = 10.0, 0.5, 8.0

#: What FFmpeg may open because a stream says so: no file of this machine.
_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtsp,rtsps,rtmp,crypto"


@frozen(eq=False)
class Camera:
    """A camera's number, as 0, or the address of a stream.

    What is live never waits: of frames that come faster than they are taken the newest is kept. A
    live stream that is lost is connected to again, for `patience` seconds without a frame. A
    recording, which says how long it is, is read from its beginning to its end.
    """

    source: str
    patience: float = PATIENCE_SECONDS
    unit: str = "frame"
    total: None = None
    live: bool = True
    name: str = field(init=False)

    @name.default
    def _shown(self) -> str:
        # a password is nobody's to read
        return re.sub(r"//[^/@]*@", "//", self.source) if "//" in self.source else (
            f"camera {self.source}")

    def frames(self) -> Iterator[Decode | None]:
        """Yield the frames as they come, each still to be converted; None while there is none.

        Raises DataError for a camera that cannot be opened, and for one that was lost and does not
        come back.
        """
        import_av()
        reader = _Reader(self)
        reader.start()
        number = 0
        try:
            while True:
                try:
                    received = reader.ready.get(timeout=POLL_SECONDS)
                except Empty:
                    yield None
                    continue
                if isinstance(received, BaseException):
                    raise received
                if received is None:
                    return
                number += 1
                yield partial(_convert, received, self.name, number)
        finally:
            reader.stop.set()
            # one that waits for the network ends by itself, and keeps nothing alive
            reader.join(POLL_SECONDS)


def is_camera(source: str) -> bool:
    """Tell whether a name is a camera's number, or the address of a stream, and no file's."""
    if source.isdecimal():
        return not Path(source).exists()
    return "://" in source and urlsplit(source).scheme.lower() in SCHEMES


def file_name(stream: str) -> str:
    """Return a stream's name as the beginning of a file's."""
    return re.sub(r"[^\w.-]+", "-", stream).strip("-.") or "stream"


class _Reader(Thread):
    """Decodes a stream, and puts its frames, then what ended it (None: its end), into `ready`."""

    def __init__(self, camera: Camera) -> None:
        super().__init__(name="ssdreg-camera", daemon=True)
        self.ready: Queue[av.VideoFrame | BaseException | None] = Queue(1)
        self.stop = Event()
        self._camera = camera
        self._came = 0.0

    def run(self) -> None:
        """Read until the end, an error, or `stop`."""
        try:
            self._read_again_and_again()
        except BaseException as error:  # raised where frames are taken
            self._put(error)
        else:
            self._put(None)

    def _read_again_and_again(self) -> None:
        pause, name = _FIRST_PAUSE, self._camera.name
        while not self.stop.is_set():
            before = self._came
            reason = self._read()
            if reason is None or self.stop.is_set():
                return
            if not self._came:
                raise DataError(f"{name} cannot be read as a video: {reason}")
            if self._came > before:
                pause = _FIRST_PAUSE
                _log.warning("ssdreg: %s was lost (%s), and is tried again", name, reason)
            if time.monotonic() - self._came + pause > self._camera.patience:
                raise DataError(f"{name} was lost, and did not come back for "
                                f"{self._camera.patience:g} s: {reason}")
            self.stop.wait(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def _read(self) -> str | None:
        """Read one connection; return why it ended, None where a recording has ended."""
        av = import_av()
        try:
            with av.open(*_address(self._camera.source), timeout=_TIMEOUT,
                         options=_options(self._camera.source)) as container:
                if not container.streams.video:
                    return "it has no moving pictures in it"
                recorded = bool(container.duration)
                for frame in container.decode(container.streams.video[0]):
                    if self.stop.is_set():
                        return None
                    self._came = time.monotonic()
                    if recorded:
                        self._put(frame)
                    else:
                        self._replace(frame)
                return None if recorded else "the other side has ended it"
        except (av.FFmpegError, OSError) as error:
            return str(getattr(error, "strerror", None) or error)

    def _put(self, item: Any) -> None:
        while not self.stop.is_set():
            try:
                return self.ready.put(item, timeout=POLL_SECONDS)
            except Full:
                continue

    def _replace(self, frame: av.VideoFrame) -> None:
        """Put a frame in the place of one that nobody has taken."""
        with suppress(Empty):
            self.ready.get_nowait()
        self.ready.put(frame)


def _address(source: str) -> tuple[str, str, str | None]:
    """Return what PyAV opens: a name, the mode, and a format where the name does not tell it."""
    if not source.isdecimal():
        return source, "r", None
    if sys.platform == "darwin":
        return source, "r", "avfoundation"
    if sys.platform == "win32":
        raise DataError(f"camera {source}: cameras have names and no numbers on this system: pipe "
                        f"its pictures in, as in `ffmpeg -f dshow -i video=NAME -f image2pipe "
                        f"-c:v mjpeg - | ...`")
    return f"/dev/video{source}", "r", "v4l2"


def _options(source: str) -> dict[str, str]:
    if source.isdecimal():
        return {}
    options = {"protocol_whitelist": _PROTOCOLS}
    if urlsplit(source).scheme.lower().startswith("rtsp"):
        # frames that lost a packet on UDP would be grey
        options["rtsp_transport"] = "tcp"
    return options


def _convert(frame: av.VideoFrame, name: str, number: int) -> Frame:
    """Return a frame as an array turned upright as its camera noted."""
    seconds = None if frame.time is None else round(frame.time, 6)
    try:
        pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"),
                                               round(frame.rotation / 90)))
    except (import_av().FFmpegError, ValueError) as failure:
        return Frame(stream=name, number=number, error=(
            f"{name_of(name, number)} is damaged and was passed over: {failure}"))
    return Frame(stream=name, number=number, pixels=pixels,
                 time=None if seconds is None else Fraction(seconds).limit_denominator(10**6))
