"""A packed data set as samples again: its pictures as files, its boxes in pixels."""

from __future__ import annotations

from pathlib import Path

from ssdreg.data.converting import recorded_pictures
from ssdreg.data.dataset import Dataset, Sample
from ssdreg.data.packed import Packed


def unpack(packed: Packed, folder: Path) -> Dataset:
    """Write the pictures of a packed data set into a folder, and return its samples."""
    samples = []
    for picture in recorded_pictures(packed, None):
        file = folder / picture.file
        file.write_bytes(picture.content)
        samples.append(Sample(file, picture.width, picture.height, picture.boxes))
    return Dataset(packed.rec, packed.rec.stem, packed.classes, tuple(samples))
