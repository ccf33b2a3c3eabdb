"""Videos, read and written by PyAV, which is FFmpeg."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from attrs import field, frozen

from ssdreg_runtime.errors import DataError, DependencyError
from ssdreg_runtime.io.frame import Decode, Frame, name_of
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.installing import install

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from PIL import Image

#: The extensions of video files.
VIDEO_SUFFIXES = {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv",
                  ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}

#: Frames a second of a video that does not state its rate.
FRAME_RATE = Fraction(25)


@frozen(eq=False)
class Video:
    """A video file, of which the first video stream is read.

    - `rate`: frames a second, on average; `time_base`: the unit of its times, in seconds.
    - `total`: the number of frames by the header, or by the duration; None where neither says.
    """

    file: Path
    rate: Fraction
    time_base: Fraction
    total: int | None
    unit: str = "frame"
    live: bool = False

    @property
    def name(self) -> str:
        """Its name in messages."""
        return str(self.file)

    def frames(self) -> Iterator[Decode]:
        """Yield the frames in the order they are shown, decoded but not yet arrays.

        Damaged ones are among them, with their `error`. Raises DataError when there is no frame.
        """
        number = 0
        with _open(self.file) as container:
            for item in _sort_damages(_decode(container, _video_stream(container, self.file))):
                number += 1
                yield partial(_convert, item, self, number)
        if not number:
            raise DataError(f"{self.file} is a video without a single frame")


def open_video(file: Path) -> Video:
    """Open a video file and read what its header says.

    Raises DataError for what is no video or has no moving pictures, DependencyError where PyAV is
    not installed.
    """
    with _open(file) as container:
        stream = _video_stream(container, file)
        rate = _fraction(stream.average_rate) or _fraction(stream.guessed_rate) or FRAME_RATE
        time_base = _fraction(stream.time_base) or 1 / rate
        seconds = (stream.duration * time_base if stream.duration
                   else Fraction(container.duration or 0, import_av().time_base))
        return Video(file, rate, time_base, stream.frames or round(seconds * rate) or None)


class VideoWriter:
    """Writes an .mp4 of the size of its first picture, each shown from its given time on.

    `like` is the video whose rate and time base it takes. It is encoded as H.264 where PyAV's
    FFmpeg can write that, else as MPEG-4, without sound. The file appears when the `with` block
    ends without an exception and a picture was written; else an existing file is left as it was.
    Raises DataError when it cannot be written.
    """

    def __init__(self, target: Path, like: Video) -> None:
        self._target, self._like = target, like
        self._files = ExitStack()
        self._encoder: _Encoder | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, picture: Image.Image, time: Fraction) -> None:
        """Append an RGB picture that is shown from this second on."""
        with _write_errors(self._target):
            if self._encoder is None:
                self._target.parent.mkdir(parents=True, exist_ok=True)
                beside = self._files.enter_context(replacing(self._target))
                container = self._files.enter_context(
                    import_av().open(str(beside), "w", format="mp4"))
                self._encoder = _Encoder(container, self._like, picture.size)
            self._encoder.write(picture, time)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is not None:
            self._files.__exit__(kind, error, trace)
            return
        with _write_errors(self._target), self._files:
            if self._encoder is not None:
                self._encoder.finish()


class _Encoder:
    """One stream of pictures in a container."""

    def __init__(self, container: Any, like: Video, size: tuple[int, int]) -> None:
        self._container, self._time_base = container, like.time_base
        self._last: int | None = None
        self._stream = container.add_stream(_codec(), rate=like.rate)
        self._stream.width, self._stream.height = size
        # players expect colours at half the resolution, which odd sides cannot have
        odd = size[0] % 2 or size[1] % 2
        self._stream.pix_fmt = "yuv444p" if odd and self._stream.name == "libx264" else "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = self._time_base
        self._stream.options = {"crf": "20", "preset": "veryfast"}

    def write(self, picture: Image.Image, time: Fraction) -> None:
        frame = import_av().VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        # in a damaged video time may stand still or go back, which no .mp4 may have
        tick = round(time / self._time_base)
        self._last = tick if self._last is None else max(tick, self._last + 1)
        frame.pts, frame.time_base = self._last, self._time_base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


@frozen(eq=False)
class _Damage:
    """A damaged frame: its time in seconds where it is known, and the reason."""

    time: Fraction | None
    reason: str


@frozen(eq=False)
class _DecodedFrame:
    """A decoded frame of PyAV, and its exact time in seconds where it has one."""

    time: Fraction | None
    frame: av.VideoFrame = field(repr=False)


_DecodedItem = Union[_Damage, _DecodedFrame]


def import_av() -> Any:
    """Import PyAV; raise DependencyError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise DependencyError("videos need the package av, which is not installed: run "
                              f"`{install('video')}`") from error
    return av


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    """Raise DataError for an error of FFmpeg while it writes."""
    try:
        yield
    except import_av().FFmpegError as error:
        raise DataError(f"{target} cannot be written as a video: {error.strerror}") from error


def _codec() -> str:
    return "libx264" if "libx264" in import_av().codecs_available else "mpeg4"


@contextmanager
def _open(file: Path) -> Iterator[InputContainer]:
    av = import_av()
    try:
        # the absolute path, because FFmpeg takes a name with a colon for a URL
        container = av.open(str(file.resolve()))
    except av.FFmpegError as error:
        raise DataError(f"{file} cannot be read as a video: {error.strerror}") from error
    with container:
        yield container


def _video_stream(container: InputContainer, file: Path) -> av.VideoStream:
    """Return the first video stream; a sound file's cover picture is none."""
    cover = import_av().stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover:
            if stream.codec_context is None:
                raise DataError(f"{file} is a video in a format that PyAV's FFmpeg cannot decode")
            return stream
    raise DataError(f"{file} has no moving pictures in it: give a video")


def _decode(container: InputContainer, stream: av.VideoStream) -> Iterator[_DecodedItem]:
    """Yield the decoder's frames and damages, in its order."""
    av = import_av()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            yield _Damage(None, f"the file breaks off here: {error.strerror}")
            packet = None
        if packet is None:
            return
        time = _seconds(packet)
        try:
            for frame in packet.decode():
                yield (_Damage(_seconds(frame), "FFmpeg could only guess parts of it")
                       if frame.is_corrupt else _DecodedFrame(_seconds(frame), frame))
        except av.FFmpegError as error:
            yield _Damage(time, "the file breaks off here" if packet.is_corrupt
                          else str(error.strerror))


def _sort_damages(items: Iterator[_DecodedItem]) -> Iterator[_DecodedItem]:
    """Yield damages at their times: the decoder reports them before earlier frames."""
    pending: list[tuple[Fraction, str]] = []
    for item in items:
        if isinstance(item, _Damage) and item.time is not None:
            heapq.heappush(pending, (item.time, item.reason))
            continue
        while pending and item.time is not None and pending[0][0] < item.time:
            yield _Damage(*heapq.heappop(pending))
        yield item
    while pending:
        yield _Damage(*heapq.heappop(pending))


def _seconds(timed: av.Packet | av.VideoFrame) -> Fraction | None:
    tick = _fraction(timed.time_base)
    return None if timed.pts is None or tick is None else timed.pts * tick


def _fraction(value: Any) -> Fraction | None:
    """Return a fraction of FFmpeg; None where it is unknown: None, or with a zero in it."""
    if value is None or not value.numerator or not value.denominator:
        return None
    # PyAV 19 has a class of its own for these, older ones have Fractions
    return Fraction(value.numerator, value.denominator)


def _convert(item: _DecodedItem, video: Video, number: int) -> Frame:
    """Return the frame of a decoded item, as an array turned upright as its camera noted."""
    time = (number - 1) / video.rate if item.time is None else item.time
    error = ""
    pixels: np.ndarray | None = None
    if isinstance(item, _Damage):
        error = item.reason
    else:
        try:
            # the rotation is in degrees against the clock
            pixels = np.ascontiguousarray(np.rot90(item.frame.to_ndarray(format="rgb24"),
                                                   round(item.frame.rotation / 90)))
        except (import_av().FFmpegError, ValueError) as failure:
            error = str(failure)
    if error:
        error = f"{name_of(video.name, number, time)} is damaged and was passed over: {error}"
    return Frame(stream=video.name, number=number, time=time, pixels=pixels, error=error)
