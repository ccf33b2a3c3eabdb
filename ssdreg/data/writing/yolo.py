"""YOLO: a text file a picture, and ``data.yaml`` with the classes and the splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from ssdreg.data.dataset import Box
from ssdreg.data.writing import Picture, write_once


class YoloWriter:
    """Writes ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``.

    A picture lies in the folder of the first split that it is in. A split whose pictures are those
    of its folder, in the order of their names, is named by the folder, another by a list of files.
    Whether an object is difficult is not written: YOLO has no word for it.
    """

    least_side = 0.0

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder, self._classes = folder, tuple(classes)
        self._numbers = {name: number for number, name in enumerate(classes)}
        self._splits: dict[str, list[Path]] = {}
        self._places: dict[str, Path] = {}

    def add(self, split: str, picture: Picture) -> None:
        """See `Writer.add`."""
        place = self._places.setdefault(picture.file, Path(split, picture.file))
        write_once(self._folder / "images" / place, picture.content)
        write_once(self._folder / "labels" / place.with_suffix(".txt"),
                   "".join(self._line(box, picture) for box in picture.boxes).encode())
        self._splits.setdefault(split, []).append(place)

    def _line(self, box: Box, picture: Picture) -> str:
        shares = ((box.x1 + box.x2) / 2 / picture.width, (box.y1 + box.y2) / 2 / picture.height,
                  (box.x2 - box.x1) / picture.width, (box.y2 - box.y1) / picture.height)
        return f"{self._numbers[box.label]} {' '.join(f'{share:.12g}' for share in shares)}\n"

    def finish(self) -> None:
        """See `Writer.finish`."""
        # without splits all pictures train, which is how YOLO's programs say it
        named = {split or "train": self._named(split) for split in self._splits}
        # no path: Ultralytics then takes the file's folder, and "." as the one it is started in
        content = {**named, "names": dict(enumerate(self._classes))}
        write_once(self._folder / "data.yaml",
                   yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode())

    def _named(self, split: str) -> str:
        places = self._splits[split]
        inside = [place for place in self._places.values() if place.parent == Path(split)]
        if places == sorted(inside):
            return (Path("images") / split).as_posix()
        file = f"{split or 'train'}.txt"
        write_once(self._folder / file,
                   "".join(f"./images/{place.as_posix()}\n" for place in places).encode())
        return file


