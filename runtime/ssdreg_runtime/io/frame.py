"""Frames of a stream, their detections, and the interface of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from attrs import field, frozen

from ssdreg_runtime.boxes.detections import Detections


@frozen(kw_only=True, eq=False)
class Frame:
    """One picture of a stream.

    - `stream`: the name of its file, or ``standard input``; `number`: its index there, from 1, None
      where it is the whole file.
    - `time`: seconds since the video's start, exactly as the file has it; None outside videos.
    - `pixels`: uint8 (height, width, 3), RGB, upright; None where it could not be read, and
      `error` is then a sentence that names the picture.
    - `size`: its own width and height, which `pixels` are fewer than where a large picture was
      decoded at a part of its size; None where that is theirs.
    """

    stream: str
    number: int | None = None
    time: Fraction | None = None
    pixels: np.ndarray | None = field(default=None, repr=False)
    error: str = ""
    size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return name_of(self.stream, self.number, self.time)


def name_of(stream: str, number: int | None, time: Fraction | None = None) -> str:
    """Name a picture of a stream, as ``clip.mp4, frame 21 (0.80 s)``."""
    if number is None:
        return stream
    if time is None:
        return f"{stream}, image {number}"
    return f"{stream}, frame {number} ({float(time):.2f} s)"


@frozen(eq=False)
class FrameResult:
    """A frame and its detections.

    Where the frame could not be used there are no detections, and both have the same `error`.
    """

    frame: Frame
    detections: Detections

    @property
    def error(self) -> str:
        """The reason where the frame could not be used, a sentence that names it; else empty."""
        return self.frame.error


#: Reads or decodes one picture; it is called in a worker thread.
Decode = Callable[[], Frame]


@runtime_checkable
class Stream(Protocol):
    """Pictures, one after another: a folder, a video, standard input.

    - `name`: its name in messages; `unit`: what it consists of, ``image`` or ``frame``.
    - `total`: the number of those, where it is known before they are read; a video's header may be
      slightly wrong.
    - `live`: pictures arrive in real time, so that none should wait for others.
    """

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def unit(self) -> str:
        """One of its pictures: ``image`` or ``frame``."""

    @property
    def total(self) -> int | None:
        """The number of pictures, where it is known beforehand."""

    @property
    def live(self) -> bool:
        """Whether pictures arrive in real time."""

    def frames(self) -> Iterator[Decode | None]:
        """Yield the pictures in order, each still to be decoded; None while none has arrived."""
