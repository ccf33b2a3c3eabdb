"""Pictures that train and validate at once: the same file in two splits, or a copy of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ssdreg_runtime.system.files import digest as digest_of

from ssdreg.data import issues as kinds
from ssdreg.data.dataset import Dataset
from ssdreg.data.issues import DataIssue


def said_twice(train: Dataset, validation: Dataset) -> list[DataIssue]:
    """Name the pictures of `validation` whose content is in `train` too.

    What is measured on pictures that were learnt from is too good. Only files of equal size are
    read, so that data sets without copies cost little.
    """
    learnt = _by_size(sample.image for sample in train.samples)
    issues = []
    digests: dict[Path, str] = {}

    def digest(file: Path) -> str:
        if file not in digests:
            digests[file] = digest_of(file)
        return digests[file]

    for sample in validation.samples:
        file = sample.image
        for other in learnt.get(file.stat().st_size, ()):
            if other == file or digest(other) == digest(file):
                same = "it" if other == file else f"{other.name}, which is the same picture,"
                issues.append(DataIssue(
                    file, kinds.TWO_SPLITS,
                    f"{same} is in the split {train.split!r} that is trained on, and this one in "
                    f"{validation.split!r} that is validated on, which makes results look better "
                    f"than they are; kept: take it out of one of them", action=kinds.KEPT))
                break
    return issues


def _by_size(files: Iterable[Path]) -> dict[int, list[Path]]:
    groups: dict[int, list[Path]] = {}
    for file in files:
        groups.setdefault(file.stat().st_size, []).append(file)
    return groups
