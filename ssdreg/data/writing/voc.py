"""PASCAL VOC: an XML file a picture, and a list a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from ssdreg.data.dataset import Box
from ssdreg.data.writing import NO_SPLIT, Picture, write_once


class VocWriter:
    """Writes ``JPEGImages``, ``Annotations``, ``ImageSets/Main`` and ``classes.txt``.

    VOC counts pixels from 1 and includes the last, so 1 is added to the left and upper edges;
    edges between pixels keep their fractions.
    """

    #: Of a box of one pixel the first is the last, which is read as a box that encloses nothing.
    least_side = 1.0

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder, self._classes = folder, classes
        self._lists: dict[str, list[str]] = {}

    def add(self, split: str, picture: Picture) -> None:
        """See `Writer.add`."""
        stem = Path(picture.file).stem
        write_once(self._folder / "JPEGImages" / picture.file, picture.content)
        write_once(self._folder / "Annotations" / f"{stem}.xml", _annotation(picture).encode())
        self._lists.setdefault(split, []).append(stem)

    def finish(self) -> None:
        """See `Writer.finish`."""
        for split, stems in self._lists.items():
            if split != NO_SPLIT:
                write_once(self._folder / "ImageSets" / "Main" / f"{split}.txt",
                           "".join(f"{stem}\n" for stem in stems).encode())
        write_once(self._folder / "classes.txt",
                   "".join(f"{name}\n" for name in self._classes).encode())


def _annotation(picture: Picture) -> str:
    objects = "".join(map(_object, picture.boxes))
    return (f"<annotation>\n  <filename>{escape(picture.file)}</filename>\n"
            f"  <size><width>{picture.width}</width><height>{picture.height}</height>"
            f"<depth>3</depth></size>\n  <segmented>0</segmented>\n{objects}</annotation>\n")


def _object(box: Box) -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), (box.x1 + 1, box.y1 + 1, box.x2, box.y2))
    return (f"  <object>\n    <name>{escape(box.label)}</name>\n"
            f"    <difficult>{int(box.difficult)}</difficult>\n    <bndbox>"
            + "".join(f"<{edge}>{value:.12g}</{edge}>" for edge, value in edges)
            + "</bndbox>\n  </object>\n")
