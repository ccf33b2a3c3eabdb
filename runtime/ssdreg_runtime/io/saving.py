"""What is found, saved for other programs: cut-out objects, YOLO's text files, COCO's JSON.

These stand beside a stream's own sink, whatever that does with its pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from attrs import define, field, frozen
from PIL import Image

from ssdreg_runtime.boxes.detections import Detections
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.camera import file_name
from ssdreg_runtime.io.frame import Frame, FrameResult
from ssdreg_runtime.io.sinks import Sink
from ssdreg_runtime.io.video import VIDEO_SUFFIXES
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import as_text

CROPS, LABELS, CLASSES, COCO = "crops", "labels", "classes.txt", "coco.json"

#: Characters of a class name that no name of a folder may have somewhere.
_NOT_IN_NAMES = '/\\:*?"<>|\0'


class Saver(Protocol):
    """Saves the objects of pictures, one after another, in any thread but in order."""

    def save(self, frame: Frame, name: str, found: Detections) -> None:
        """Save the objects of a picture; `name` is the picture's own among the saved."""


@frozen
class Crops:
    """Saves each object as a PNG in a folder of its class."""

    folder: Path

    def save(self, frame: Frame, name: str, found: Detections) -> None:
        """See `Saver`."""
        assert frame.pixels is not None
        for number, (label, box) in enumerate(zip(found.names, found.xyxy), 1):
            left, top = np.floor(box[:2]).astype(int)
            right, bottom = np.ceil(box[2:]).astype(int)
            crop = frame.pixels[top:bottom, left:right]
            if crop.size:
                target = self.folder / folder_name(label) / f"{name}-{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as beside:
                    Image.fromarray(crop).save(beside)


def folder_name(label: str) -> str:
    """Return the name of a class as one of a folder."""
    plain = "".join("_" if letter in _NOT_IN_NAMES else letter for letter in label).strip(". ")
    return plain or "_"


@define
class YoloLabels:
    """Saves a text file for each picture: class, center, width and height of an object a line.

    The numbers are shares of the picture, six digits; the file of a picture without objects is
    empty, as that of a background image is. The names of the classes are in a file beside.
    """

    folder: Path
    _named: bool = False

    def save(self, frame: Frame, name: str, found: Detections) -> None:
        """See `Saver`."""
        low, high = found.rows[:, 2:4], found.rows[:, 4:6]
        numbers = np.column_stack([(low + high) / 2, high - low])
        _write(self.folder / LABELS / f"{name}.txt", "".join(
            f"{label} {' '.join(f'{number:.6f}' for number in row)}\n"
            for label, row in zip(found.labels, numbers)))
        if not self._named:
            _write(self.folder / CLASSES, "".join(f"{one}\n" for one in found.classes))
            self._named = True


@define
class CocoFile:
    """Collects all objects, and writes them at the end as COCO has annotations, with scores."""

    file: Path
    _images: list[dict[str, Any]] = field(factory=list)
    _annotations: list[dict[str, Any]] = field(factory=list)
    _classes: tuple[str, ...] = ()

    def save(self, frame: Frame, name: str, found: Detections) -> None:
        """See `Saver`."""
        self._classes = found.classes
        image, (width, height) = len(self._images) + 1, found.size
        file = as_text(frame.stream) if frame.number is None else f"{name}.png"
        self._images.append({"id": image, "file_name": file, "width": width, "height": height})
        for label, score, box in zip(found.labels, found.scores, found.xyxy.astype(float)):
            left, top, right, bottom = (round(float(side), 2) for side in box)
            across, down = round(right - left, 2), round(bottom - top, 2)
            self._annotations.append({
                "id": len(self._annotations) + 1, "image_id": image, "category_id": int(label) + 1,
                "bbox": [left, top, across, down], "area": round(across * down, 2), "iscrowd": 0,
                "score": round(float(score), 5)})

    def write(self) -> None:
        """Write the file; none where there was no picture."""
        if not self._images:
            return
        categories = [{"id": number, "name": name} for number, name in enumerate(self._classes, 1)]
        _write(self.file, json.dumps({"images": self._images, "annotations": self._annotations,
                                      "categories": categories}, indent=1) + "\n")


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as beside:
        beside.write_text(text, encoding="utf-8")


@frozen
class SavingSink:
    """A sink that also hands each result to some savers, by a name of its own."""

    sink: Sink
    savers: Sequence[Saver] = field(repr=False)
    threshold: float
    name: Callable[[FrameResult], str] = field(repr=False)

    def plan(self, result: FrameResult) -> Any:
        """Plan as the sink does."""
        return self.sink.plan(result)

    def draw(self, result: FrameResult, plan: Any) -> Any:
        """Draw as the sink does."""
        return self.sink.draw(result, plan)

    def write(self, result: FrameResult, drawn: Any) -> None:
        """Save what was found, and write as the sink does."""
        found, name = result.detections.above(self.threshold), self.name(result)
        for saver in self.savers:
            saver.save(result.frame, name, found)
        self.sink.write(result, drawn)

    def __enter__(self) -> SavingSink:
        self.sink.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.sink.__exit__(kind, error, trace)


@define
class Names:
    """Names pictures as they are saved: by their file, numbered where two have one name."""

    _names: dict[str, str] = field(factory=dict)
    _taken: set[str] = field(factory=set)

    def of(self, result: FrameResult) -> str:
        """Return the name of a picture; a frame's ends with its number."""
        frame = result.frame
        if frame.stream not in self._names:
            path = Path(frame.stream)
            is_file = path.suffix and "://" not in frame.stream
            stem, number = path.stem if is_file else file_name(frame.stream), 1
            name = stem
            while name in self._taken:
                number += 1
                name = f"{stem}-{number}"
            self._taken.add(name)
            self._names[frame.stream] = name
        name = self._names[frame.stream]
        return name if frame.number is None else f"{name}-{frame.number:06d}"


def folder_of(out: Path) -> Path:
    """Return the folder that is saved to; raise DataError where `out` names a video."""
    if out.suffix.lower() in VIDEO_SUFFIXES and not out.is_dir():
        raise DataError(f"--out {out} is a video, and crops, labels and annotations are saved in a "
                        f"folder: give one")
    return out
