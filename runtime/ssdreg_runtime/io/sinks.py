"""Sinks of detections: drawn pictures, a drawn video, JSON.

A sink plans in one thread, in order; draws in several threads, in any order; and writes in one
thread, in order.
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

from ssdreg_runtime.draw.layout import PictureLayout, plan_frame
from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.draw.paint import draw_boxes, draw_plan
from ssdreg_runtime.io.frame import FrameResult
from ssdreg_runtime.io.video import Video, VideoWriter
from ssdreg_runtime.system.console import to_json
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import as_text

#: Prints a line on standard output.
PrintLine = Callable[[str], None]


class Sink(Protocol):
    """Takes the results of one stream, without those that have an error; a context manager."""

    def plan(self, result: FrameResult) -> Any:
        """Do what depends on previous pictures: in order, in one thread."""

    def draw(self, result: FrameResult, plan: Any) -> Any:
        """Draw one picture by the result of `plan`: in any thread, in any order."""

    def write(self, result: FrameResult, drawn: Any) -> None:
        """Write the result of `draw`: in order, in one thread."""

    def __enter__(self) -> Any:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End; with an exception, leave nothing half-written."""


@frozen
class PictureSink:
    """Draws each picture into a PNG file of its own, and prints a line about each."""

    target: Callable[[FrameResult], Path]
    threshold: float
    look: Look
    print_line: PrintLine = field(repr=False)

    def plan(self, result: FrameResult) -> None:
        """Plan nothing: pictures do not depend on one another."""

    def draw(self, result: FrameResult, plan: None) -> Path:
        """Draw the picture and write it."""
        target = self.target(result)
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = draw_boxes(_image(result), result.detections.rows, result.detections.classes,
                             self.threshold, self.look, result.detections.ids)
        with replacing(target) as beside:
            picture.save(beside)
        return target

    def write(self, result: FrameResult, drawn: Path) -> None:
        """Print the numbers of detections by class, and the file."""
        classes = result.detections.classes
        summary = summarize_counts(_counts(result, self.threshold), classes)
        self.print_line(f"{result.frame.name}: {summary} -> {drawn}")

    def __enter__(self) -> PictureSink:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class VideoSink:
    """Draws a video into another of the same size and times, and prints a line at its end."""

    def __init__(self, video: Video, target: Path, threshold: float, look: Look,
                 print_line: PrintLine) -> None:
        self._video, self._target, self._print_line = video, target, print_line
        self._threshold, self._look = threshold, look
        self._writer = VideoWriter(target, video)
        self._layout: PictureLayout | None = None
        self._frames = 0
        self._classes: Sequence[str] = ()
        self._class_counts: np.ndarray | int = 0

    def plan(self, result: FrameResult) -> PictureLayout:
        """Lay out boxes and labels, which stay as in the previous frame where possible."""
        detections = result.detections
        self._layout = plan_frame(detections.size, detections.rows, detections.classes,
                                  self._threshold, self._look, self._layout, detections.ids)
        return self._layout

    def draw(self, result: FrameResult, plan: PictureLayout) -> Image.Image:
        """Draw into the frame, at its own size."""
        picture = _image(result)
        draw_plan(picture, plan)
        return picture

    def write(self, result: FrameResult, drawn: Image.Image) -> None:
        """Append the frame to the video."""
        assert result.frame.time is not None
        self._writer.write(drawn, result.frame.time)
        self._frames += 1
        self._classes = result.detections.classes
        self._class_counts = self._class_counts + _counts(result, self._threshold)

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, trace)
        if error is None and isinstance(self._class_counts, np.ndarray):
            summary = summarize_counts(self._class_counts, self._classes)
            self._print_line(f"{self._video.name}: {self._frames} frames, {summary} -> "
                             f"{self._target}")


class JsonWriter(Protocol):
    """Writes JSON objects one after another."""

    def add(self, value: dict[str, Any]) -> None:
        """Write an object."""

    def end(self) -> None:
        """Write what follows the last object."""


@frozen
class JsonSink:
    """Writes each result as a JSON object, see `to_json_object`."""

    writer: JsonWriter = field(repr=False)
    threshold: float

    def plan(self, result: FrameResult) -> None:
        """Plan nothing."""

    def draw(self, result: FrameResult, plan: None) -> dict[str, Any]:
        """Return the JSON object."""
        return to_json_object(result, self.threshold)

    def write(self, result: FrameResult, drawn: dict[str, Any]) -> None:
        """Write it."""
        self.writer.add(drawn)

    def __enter__(self) -> JsonSink:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@frozen
class JsonLines:
    """Writes JSON objects, one a line."""

    print_line: PrintLine = field(repr=False)

    def add(self, value: dict[str, Any]) -> None:
        """Write an object."""
        self.print_line(to_json(value))

    def end(self) -> None:
        """Write nothing more."""


class JsonArray:
    """Writes objects as one indented JSON array, each when the next one comes."""

    def __init__(self, print_line: PrintLine) -> None:
        self._print_line, self._last = print_line, ""

    def add(self, value: dict[str, Any]) -> None:
        """Keep an object, and write the previous one with the comma behind it."""
        self._print_line(f"{self._last}," if self._last else "[")
        self._last = indent(to_json(value, indent=2), "  ")

    def end(self) -> None:
        """Write the last object and the end of the array."""
        self._print_line(f"{self._last}\n]" if self._last else "[]")


def to_json_object(result: FrameResult, threshold: float) -> dict[str, Any]:
    """Return a result as plain values for JSON.

    ``image``, the file's name, for an image; with its ``number``, from 1, in standard input;
    ``video``, ``frame``, from 1, and ``time`` in seconds for a frame of a video (names as
    `ssdreg_runtime.system.names.as_text` has them). Then ``width``, ``height`` and ``objects``,
    those of `threshold` or more, each with ``class``, ``score`` and ``box``: left, top, right and
    bottom in pixels.
    """
    frame = result.frame
    name = as_text(frame.stream)
    place: dict[str, Any] = {"image": name}
    if frame.time is not None:
        place = {"video": name, "frame": frame.number,
                 "time": round(float(frame.time), 6)}
    elif frame.number is not None:
        place["number"] = frame.number
    return {**place, **result.detections.above(threshold).to_dict()}


def summarize_counts(counts: np.ndarray, classes: Sequence[str]) -> str:
    """Return the counts (C,) by class as text, such as ``2 cat, 1 dog``."""
    parts = [f"{count} {name}" for count, name in zip(counts, classes) if count]
    return ", ".join(parts) or "nothing found"


def _counts(result: FrameResult, threshold: float) -> np.ndarray:
    detections = result.detections.above(threshold)
    return np.bincount(detections.labels, minlength=len(detections.classes))


def _image(result: FrameResult) -> Image.Image:
    assert result.frame.pixels is not None
    return Image.fromarray(result.frame.pixels)
