"""A data set looked at as training would take it: what is in it, and everything wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen
from ssdreg_runtime.system.names import as_text, shown
from ssdreg_runtime.system.tables import text_table

from ssdreg.data import issues as kinds
from ssdreg.data import splits
from ssdreg.data.boxes import boxes, describe
from ssdreg.data.dataset import Dataset
from ssdreg.data.encoding import prove_images
from ssdreg.data.issues import ACTIONS, KINDS, DataIssue
from ssdreg.data.packed import Packed, open_rec
from ssdreg.data.proof import proved
from ssdreg.data.reading import available_splits, format_of, read_dataset
from ssdreg.data.shards import is_packed
from ssdreg.data.twice import said_twice
from ssdreg.errors import DataError
from ssdreg.progress import Progress

#: Characters of an example in the table.
_WIDEST = 100


@frozen
class Checked:
    """What a data set holds: images and objects that can be used, by class, and the issues."""

    data: str
    format: str
    splits: tuple[str, ...]
    images: int
    objects: int
    classes: tuple[tuple[str, int], ...]
    issues: tuple[DataIssue, ...] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether nothing had to be left out."""
        return all(issue.action != kinds.LEFT_OUT for issue in self.issues)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"data": self.data, "format": self.format, "splits": list(self.splits),
                "images": self.images, "objects": self.objects, "classes": dict(self.classes),
                "issues": [{"file": as_text(issue.file), "object": issue.object,
                            "kind": issue.kind, "detail": issue.detail, "action": issue.action}
                           for issue in self.issues]}

    def to_text(self) -> str:
        """Return lines for people: the counts, and of each kind of issue the first."""
        lines = [f"{self.data}: {self.format}, {self.images} images with {self.objects} objects of "
                 f"{len(self.classes)} classes",
                 f"splits: {', '.join(self.splits) or 'none of its own'}", "",
                 text_table(("class", "objects"), [(name, f"{count:,}")
                                                   for name, count in self.classes])]
        if not self.issues:
            return "\n".join([*lines, "", "nothing is wrong with it"])
        counts = Counter((issue.kind, issue.action) for issue in self.issues)
        rows = [(f"{counts[kind, action]:,}", kind, action, self._example(kind, action))
                for kind in KINDS for action in ACTIONS if counts[kind, action]]
        return "\n".join([*lines, "", text_table(("count", "what", "done", "the first"), rows)])

    def _example(self, kind: str, action: str) -> str:
        first = min((issue for issue in self.issues
                     if (issue.kind, issue.action) == (kind, action)),
                    key=lambda issue: issue.file.name)
        words = " ".join(f"{shown(issue_name(first))}: {first.detail}".split())
        return words if len(words) <= _WIDEST else f"{words[:_WIDEST - 3]}..."


def issue_name(issue: DataIssue) -> Path:
    """Return what an issue's file is called in a line."""
    return Path(issue.file.name)


def check(data: str | os.PathLike[str], split: str | None = None, format: str | None = None, *,
          progress: Progress | None = None) -> Checked:
    """Look at a data set: read it, decode every image, and compare what trains with what validates.

    `split` and `format` are those of `read_dataset`; `progress` is told how far it is. What was
    found of pictures and records is kept in the cache until their files change. Raises DataError
    for a data set that cannot be used.
    """
    path = Path(data)
    if is_packed(path):
        if split is not None:
            raise DataError(f"{path} is one split already: leave --split {split} out")
        packed = proved(open_rec(path), progress)
        return _checked(path, "rec", (), packed.images, packed, packed.issues)
    name = format_of(path, format).format.name
    format = format or name  # recognised once, which takes long where there are many files
    dataset = read_dataset(path, split, None, format)
    issues = list(dataset.issues)
    damaged = prove_images(dataset, progress)
    issues += damaged
    lost = {issue.file for issue in damaged if issue.action == kinds.LEFT_OUT}
    usable = attrs.evolve(dataset, samples=tuple(
        sample for sample in dataset.samples if sample.image not in lost))
    if not any(sample.boxes for sample in usable.samples):
        raise DataError(f"{path}: no image that has a box can be decoded; mend or replace the "
                        f"images\n{kinds.describe_issues(issues)}")
    if split is None:
        issues += _twice(path, dataset, format)
    return _checked(path, name, available_splits(path, format), len(usable.samples), usable, issues)


def _checked(path: Path, format: str, own: Sequence[str], images: int, source: Packed | Dataset,
             issues: Sequence[DataIssue]) -> Checked:
    described = describe(boxes(source), source.classes)
    return Checked(shown(path), format, tuple(own), images, described.boxes, described.classes,
                   tuple(issues))


def _twice(path: Path, dataset: Dataset, format: str | None) -> list[DataIssue]:
    """Name the pictures that training would both learn from and validate on."""
    pair = splits.usual_pair(available_splits(path, format))
    try:
        if pair is None:
            return said_twice(*splits.hold_out(dataset))
        return said_twice(*(read_dataset(path, split, dataset.classes, format) for split in pair))
    except DataError:
        # a split that is empty or damaged by itself is reported with the whole, and a data set
        # that is too small to be divided has no two sides
        return []
