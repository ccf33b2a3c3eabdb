"""RecordIO: a file a split, as MXNet's example and SageMaker read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from ssdreg_runtime.system.names import native

from ssdreg.data.packed import open_rec, write_sidecar
from ssdreg.data.packing import label_of
from ssdreg.data.writing import Picture, write_once

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: What the file of a data set without splits is called.
_WHOLE = "all"


class RecWriter:
    """Writes ``SPLIT.rec`` with its index and side-car, and ``classes.txt`` for other readers."""

    least_side = 0.0

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder, self._classes = folder, tuple(classes)
        self._files: dict[str, tuple[mx.recordio.MXIndexedRecordIO, int]] = {}

    def add(self, split: str, picture: Picture) -> None:
        """See `Writer.add`."""
        from ssdreg.mx import mx
        if split not in self._files:
            rec = self._folder / f"{split or _WHOLE}.rec"
            self._files[split] = (mx.recordio.MXIndexedRecordIO(
                native(rec.with_suffix(".idx")), native(rec), "w"), 0)
        file, number = self._files[split]
        label = label_of(picture.boxes, (picture.width, picture.height), self._classes)
        file.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(0, label, number, 0),
                                                picture.content))
        self._files[split] = (file, number + 1)

    def finish(self) -> None:
        """See `Writer.finish`."""
        for split, (file, _) in self._files.items():
            file.close()
            # its pictures were decoded by two decoders, which the side-car says
            opened = open_rec(self._folder / f"{split or _WHOLE}.rec", self._classes)
            write_sidecar(evolve(opened, issues=()))
        write_once(self._folder / "classes.txt",
                   "".join(f"{name}\n" for name in self._classes).encode())
