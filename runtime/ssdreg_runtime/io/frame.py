"""A picture of a stream, what was found in it, and what a stream of pictures is."""

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

    - `stream`: the file that it is or is part of, or ``standard input``; `number`: its place
      there, from 1, and None where it is all of the file.
    - `time`: seconds since the video's zero, exactly as the file has it; None in what is no video.
    - `pixels`: uint8 (height, width, 3), RGB, upright; None where it could not be read, and
      `error` is then a sentence that names it.
    """

    stream: str
    number: int | None = None
    time: Fraction | None = None
    pixels: np.ndarray | None = field(default=None, repr=False)
    error: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return name_of(self.stream, self.number, self.time)


def name_of(stream: str, number: int | None, time: Fraction | None = None) -> str:
    """Name a picture of a stream, as ``clip.mp4, frame 21 (0.80 s)``."""
    if number is None:
        return stream
    if time is None:
        return f"{stream}, image {number}"
    return f"{stream}, frame {number} ({float(time):.2f} s)"


@frozen(eq=False)
class Seen:
    """A frame and what was found in it.

    Where the frame could not be used there are no detections, and both have the same `error`.
    """

    frame: Frame
    detections: Detections

    @property
    def error(self) -> str:
        """Why nothing could be looked for, a sentence that names the frame; else empty."""
        return self.frame.error


#: Reads or decodes one picture; it is called in one of several threads.
Decode = Callable[[], Frame]


@runtime_checkable
class Stream(Protocol):
    """Pictures, one after another: a folder, a video, standard input.

    - `name`: what messages call it; `unit`: what it consists of, ``image`` or ``frame``.
    - `total`: how many those are, as far as it is known before they are read; a video's header may
      be a little wrong.
    - `live`: they come as somebody makes them, so that none should wait for others.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def unit(self) -> str:
        """One of its pictures: ``image`` or ``frame``."""

    @property
    def total(self) -> int | None:
        """How many there are, where that is known beforehand."""

    @property
    def live(self) -> bool:
        """Whether somebody makes them just now."""

    def frames(self) -> Iterator[Decode | None]:
        """Give the pictures in order, each still to be decoded; None says that none came yet."""
