"""COCO: a JSON file a split, and its pictures in a folder of the same name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from ssdreg.data.dataset import Box
from ssdreg.data.formats.coco import is_split_name
from ssdreg.data.writing import NO_SPLIT, Picture, write_once

#: What the files and folders of a data set without splits are called.
_WHOLE = "all"


@frozen
class _Split:
    """The entries of one annotation file."""

    images: list[dict[str, Any]] = field(factory=list)
    annotations: list[dict[str, Any]] = field(factory=list)


class CocoWriter:
    """Writes ``annotations/instances_SPLIT.json`` and the pictures into ``SPLIT``.

    A picture of several splits lies in the folder of the first; where others are among those of a
    split, its ``file_name`` have their folders in front. Categories are numbered from 1 in the
    order of the classes. A difficult object has ``"difficult": 1``, which COCO does not know and
    ssdreg reads.
    """

    least_side = 0.0

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder, self._classes = folder, classes
        self._numbers = {name: number for number, name in enumerate(classes, 1)}
        self._splits: dict[str, _Split] = {}
        self._places: dict[str, Path] = {}

    def add(self, split: str, picture: Picture) -> None:
        """See `Writer.add`."""
        entries = self._splits.setdefault(split, _Split())
        place = self._places.setdefault(picture.file, Path(split or _WHOLE, picture.file))
        write_once(self._folder / place, picture.content)
        image = len(entries.images) + 1
        entries.images.append({"id": image, "file_name": picture.file, "width": picture.width,
                               "height": picture.height})
        entries.annotations.extend(self._annotation(len(entries.annotations) + number, image, box)
                                   for number, box in enumerate(picture.boxes, 1))

    def _annotation(self, number: int, image: int, box: Box) -> dict[str, Any]:
        width, height = box.x2 - box.x1, box.y2 - box.y1
        return {"id": number, "image_id": image, "category_id": self._numbers[box.label],
                "bbox": [box.x1, box.y1, width, height], "area": width * height, "iscrowd": 0,
                **({"difficult": 1} if box.difficult else {})}

    def finish(self) -> None:
        """See `Writer.finish`."""
        # a file is called after COCO's habit where its splits are, else after the split alone
        usual = all(split == NO_SPLIT or is_split_name(split) for split in self._splits)
        for split, entries in self._splits.items():
            places = [self._places[image["file_name"]] for image in entries.images]
            if any(place.parent.name != (split or _WHOLE) for place in places):
                for image, place in zip(entries.images, places):
                    image["file_name"] = place.as_posix()
            content = {"images": entries.images, "annotations": entries.annotations,
                       "categories": [{"id": number, "name": name, "supercategory": ""}
                                      for name, number in self._numbers.items()]}
            name = f"instances_{split or _WHOLE}" if usual else split
            write_once(self._folder / "annotations" / f"{name}.json",
                       json.dumps(content, ensure_ascii=False).encode())
