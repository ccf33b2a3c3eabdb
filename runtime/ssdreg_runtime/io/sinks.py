"""Where what was seen goes: drawn pictures, a drawn video, lines of JSON.

A sink plans in one thread, in order; draws in several threads and out of order; and writes in one,
in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen
from PIL import Image

from ssdreg_runtime.draw.layout import Plan, plan_frame
from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.draw.paint import draw_boxes, draw_plan
from ssdreg_runtime.io.frame import Seen
from ssdreg_runtime.io.video import Video, VideoWriter
from ssdreg_runtime.system.console import to_json
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import as_text

#: Says a line on standard output.
Say = Callable[[str], None]


class Sink(Protocol):
    """Takes what was seen in one stream, but for frames that could not be used; a context manager.
    """

    def plan(self, seen: Seen) -> Any:
        """Do what has to know of the pictures before, in order, in one thread."""

    def draw(self, seen: Seen, plan: Any) -> Any:
        """Do what can be done beside others, with what `plan` made: in any thread, in any order."""

    def write(self, seen: Seen, drawn: Any) -> None:
        """Do what has to be done in order, in one thread, with what `draw` made."""

    def __enter__(self) -> Any:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End; with an exception, leave nothing half-written."""


@frozen
class PictureSink:
    """Draws each picture into a PNG file of its own, and says a line about each."""

    target: Callable[[Seen], Path]
    threshold: float
    look: Look
    say: Say = field(repr=False)

    def plan(self, seen: Seen) -> None:
        """Plan nothing: pictures do not follow from one another."""

    def draw(self, seen: Seen, plan: None) -> Path:
        """Draw the picture and write it."""
        target = self.target(seen)
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = draw_boxes(_image(seen), seen.detections.rows, seen.detections.classes,
                             self.threshold, self.look)
        with replacing(target) as beside:
            picture.save(beside)
        return target

    def write(self, seen: Seen, drawn: Path) -> None:
        """Say what was found."""
        classes = seen.detections.classes
        found = summary(_counts(seen, self.threshold), classes)
        self.say(f"{seen.frame.name}: {found} -> {drawn}")

    def __enter__(self) -> PictureSink:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class VideoSink:
    """Draws a video into another of the same size and times, and says one line at its end."""

    def __init__(self, video: Video, target: Path, threshold: float, look: Look, say: Say) -> None:
        self._video, self._target, self._say = video, target, say
        self._threshold, self._look = threshold, look
        self._writer = VideoWriter(target, video)
        self._plan: Plan | None = None
        self._frames = 0
        self._classes: Sequence[str] = ()
        self._found: np.ndarray | int = 0

    def plan(self, seen: Seen) -> Plan:
        """Place the labels, as in the frame before where that is possible."""
        found = seen.detections
        self._plan = plan_frame(found.size, found.rows, found.classes, self._threshold, self._look,
                                self._plan)
        return self._plan

    def draw(self, seen: Seen, plan: Plan) -> Image.Image:
        """Draw into the frame, at its own size."""
        picture = _image(seen)
        draw_plan(picture, plan)
        return picture

    def write(self, seen: Seen, drawn: Image.Image) -> None:
        """Append the frame to the video."""
        assert seen.frame.time is not None
        self._writer.write(drawn, seen.frame.time)
        self._frames += 1
        self._classes = seen.detections.classes
        self._found = self._found + _counts(seen, self._threshold)

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, trace)
        if error is None and isinstance(self._found, np.ndarray):
            self._say(f"{self._video.name}: {self._frames} frames, "
                      f"{summary(self._found, self._classes)} -> {self._target}")


class Objects(Protocol):
    """A way to write objects of JSON one after another."""

    def add(self, value: dict[str, Any]) -> None:
        """Write an object."""

    def end(self) -> None:
        """Write what comes after the last."""


@frozen
class JsonSink:
    """Writes each picture's objects as one of JSON, see `as_object`."""

    objects: Objects = field(repr=False)
    threshold: float

    def plan(self, seen: Seen) -> None:
        """Plan nothing."""

    def draw(self, seen: Seen, plan: None) -> dict[str, Any]:
        """Make the object."""
        return as_object(seen, self.threshold)

    def write(self, seen: Seen, drawn: dict[str, Any]) -> None:
        """Write it."""
        self.objects.add(drawn)

    def __enter__(self) -> JsonSink:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@frozen
class JsonLines:
    """Objects of JSON, a line each."""

    say: Say = field(repr=False)

    def add(self, value: dict[str, Any]) -> None:
        """Write an object."""
        self.say(to_json(value))

    def end(self) -> None:
        """Write nothing more."""


class JsonArray:
    """Objects as one indented array of JSON, each written when the next one comes."""

    def __init__(self, say: Say) -> None:
        self._say, self._last = say, ""

    def add(self, value: dict[str, Any]) -> None:
        """Write an object, once it is known that a comma follows it."""
        self._say(f"{self._last}," if self._last else "[")
        self._last = indent(to_json(value, indent=2), "  ")

    def end(self) -> None:
        """Write the last object and the end of the array."""
        self._say(f"{self._last}\n]" if self._last else "[]")


def as_object(seen: Seen, threshold: float) -> dict[str, Any]:
    """Return what was seen as plain values, fit for JSON.

    ``image``, the file's name, for an image; with its ``number``, from 1, in standard input;
    ``video``, ``frame``, from 1, and ``time`` in seconds for a frame of a video (names as
    `ssdreg_runtime.system.names.as_text` has them). Then ``width``, ``height`` and ``objects``,
    those of `threshold` or more, each with ``class``, ``score`` and ``box``: left, top, right and
    bottom in pixels.
    """
    frame = seen.frame
    name = as_text(frame.stream)
    place: dict[str, Any] = {"image": name}
    if frame.time is not None:
        place = {"video": name, "frame": frame.number,
                 "time": round(float(frame.time), 6)}
    elif frame.number is not None:
        place["number"] = frame.number
    return {**place, **seen.detections.above(threshold).to_dict()}


def summary(counts: np.ndarray, classes: Sequence[str]) -> str:
    """Say how many of each class were found, as ``2 cat, 1 dog``."""
    found = [f"{count} {name}" for count, name in zip(counts, classes) if count]
    return ", ".join(found) or "nothing found"


def _counts(seen: Seen, threshold: float) -> np.ndarray:
    found = seen.detections.above(threshold)
    return np.bincount(found.labels, minlength=len(found.classes))


def _image(seen: Seen) -> Image.Image:
    assert seen.frame.pixels is not None
    return Image.fromarray(seen.frame.pixels)
