"""A data set divided into splits: every class in its share, and like pictures on one side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from ssdreg.data.converting import Written, refuse_folder, write_splits
from ssdreg.data.dataset import Dataset
from ssdreg.data.likeness import groups_of_alike
from ssdreg.data.reading import format_of, read_dataset
from ssdreg.data.shards import is_packed
from ssdreg.data.writing import WRITERS
from ssdreg.errors import DataError
from ssdreg.progress import Progress

#: What is divided where nothing else is said.
SHARES: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


def split_dataset(data: str | os.PathLike[str], *, out: str | os.PathLike[str],
                  shares: Mapping[str, float] = SHARES, seed: int = 0, to: str | None = None,
                  data_format: str | None = None, progress: Progress | None = None) -> Written:
    """Divide a data set, whatever splits it has, and write it as `to` into a new folder.

    `shares` are those of the pictures by the names of the splits, and add up to 1. `to` is by
    default the data set's own format where that is written, else ``yolo``. The same data, shares
    and `seed` give the same splits; see `assign` for how classes and like pictures are divided.

    Raises DataError for what cannot be read, for shares that do not add up, and where a split would
    be empty.
    """
    path, folder = Path(data), Path(out)
    refuse_folder(folder)
    _check(shares)
    if is_packed(path):
        raise DataError(f"{path} is packed already: write it in another format with `ssdreg data "
                        f"convert`, and divide that")
    own = format_of(path, data_format).format.name
    dataset = read_dataset(path, None, format=data_format)
    dataset = attrs.evolve(dataset, samples=tuple(
        sample for sample in dataset.samples if not sample.lost))
    splits = divide(dataset, shares, seed, progress)
    return write_splits(splits, to or (own if own in WRITERS else "yolo"), folder,
                        progress=progress)


def divide(dataset: Dataset, shares: Mapping[str, float], seed: int,
           progress: Progress | None = None) -> dict[str, Dataset]:
    """Return the splits of a data set; see `split_dataset`. Samples keep their order."""
    number = {name: place for place, name in enumerate(dataset.classes)}
    present = np.zeros((len(dataset.samples), len(dataset.classes)), bool)
    for row, sample in enumerate(dataset.samples):
        present[row, [number[box.label] for box in sample.boxes]] = True
    groups = groups_of_alike(dataset.samples, progress)
    sides = assign(present, groups, tuple(shares.values()), seed)
    splits = {}
    for side, name in enumerate(shares):
        chosen = tuple(sample for sample, place in zip(dataset.samples, sides) if place == side)
        if not chosen:
            raise DataError(f"{dataset.root}: no picture is left for the split {name!r}: of "
                            f"{len(dataset.samples)} pictures {len(np.unique(groups))} are not "
                            f"alike; give it a larger share, or leave it out")
        splits[name] = attrs.evolve(dataset, split=name, samples=chosen,
                                    issues=dataset.issues if side == 0 else ())
    return splits


def assign(present: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int
           ) -> np.ndarray:
    """Return the side of each of N pictures, (N,) int64, for sides of these shares.

    `present` (N, C) says which classes each shows, `groups` (N,) which are alike: these stay
    together. Iterative stratification (Sechidis et al., On the Stratification of Multi-label Data,
    2011): the rarest class is divided first, each of its groups going where most of that class is
    still wanted, then where most pictures are.
    """
    random = np.random.default_rng(seed)
    names, members = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), present.shape[1] + 1), np.int64)  # the last: of pictures
    np.add.at(counts, members.ravel(), np.column_stack([present, np.ones(len(present), bool)]))
    wanted = np.outer(shares, counts.sum(axis=0)).astype(float)
    # large groups first, which are hard to place; in their midst by chance
    order = random.permutation(len(names))
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    sides = np.full(len(names), -1)
    while (sides < 0).any():
        free = order[sides[order] < 0]
        left = counts[free].sum(axis=0)
        classes = np.flatnonzero(left[:-1])
        label = classes[left[classes].argmin()] if len(classes) else -1
        for group in free[counts[free, label] > 0]:
            order_of_sides = np.lexsort((random.random(len(shares)), -wanted[:, -1],
                                         -wanted[:, label]))
            sides[group] = order_of_sides[0]
            wanted[sides[group]] -= counts[group]
    return sides[members.ravel()]


def parse_shares(text: str) -> dict[str, float]:
    """Read ``train=0.8,val=0.2``. Raises DataError for what is no such list."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise DataError(f"{part!r} is no share of a split: write them as train=0.8,val=0.2"
                            ) from None
    _check(shares)
    return shares


def _check(shares: Mapping[str, float]) -> None:
    bad = [name for name in shares if not name or set(name) & set("/\\.") or name == "all"]
    if bad or len(shares) < 2:
        raise DataError(f"{', '.join(shares) or 'nothing'} cannot be the names of splits: give two "
                        f"or more, without dots and slashes, and none called all")
    if not all(0 < share < 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        given = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        raise DataError(f"the shares {given} add up to {sum(shares.values()):g}: they are above 0, "
                        f"and add up to 1")
