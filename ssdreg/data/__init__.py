"""Data sets: read, packed into RecordIO, and given out as batches.

`load` opens a folder or a ``.rec`` file; `open_train` and `open_eval` give batches of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssdreg.data.annotation import (
        AnnotatedObject,
        AnnotatedPicture,
        AnnotatedSet,
        Coordinates,
    )
    from ssdreg.data.augmentation import RECIPES, Augmentation
    from ssdreg.data.checking import check
    from ssdreg.data.contents import Contents
    from ssdreg.data.converting import convert
    from ssdreg.data.dataset import Box, Dataset, Sample
    from ssdreg.data.issues import DataIssue, DataIssues, describe_issues
    from ssdreg.data.iterator import DetectionIter, open_eval, open_train
    from ssdreg.data.packed import Packed, open_rec
    from ssdreg.data.packing import load, pack, pack_shards
    from ssdreg.data.reading import available_splits, read_dataset, read_voc
    from ssdreg.data.splitting import split_dataset
    from ssdreg.data.statistics import measure_dataset
    from ssdreg.registry.preprocessing import Preprocessing

#: What is imported when it is first asked for: the formats are declared without any of it.
_LATER = {
    "AnnotatedObject": "annotation", "AnnotatedPicture": "annotation",
    "AnnotatedSet": "annotation", "Augmentation": "augmentation", "Box": "dataset",
    "check": "checking", "convert": "converting", "measure_dataset": "statistics",
    "pack_shards": "packing", "split_dataset": "splitting",
    "Contents": "contents", "Coordinates": "annotation", "DataIssue": "issues",
    "DataIssues": "issues", "Dataset": "dataset", "DetectionIter": "iterator", "Packed": "packed",
    "RECIPES": "augmentation", "Sample": "dataset", "available_splits": "reading",
    "describe_issues": "issues", "load": "packing", "open_eval": "iterator", "open_rec": "packed",
    "open_train": "iterator", "pack": "packing", "read_dataset": "reading", "read_voc": "reading",
}


def __getattr__(name: str) -> Any:
    if name == "Preprocessing":
        return import_module("ssdreg.registry.preprocessing").Preprocessing
    if name not in _LATER:
        raise AttributeError(f"module 'ssdreg.data' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"ssdreg.data.{_LATER[name]}"), name)
    return value


__all__ = [
    "RECIPES", "AnnotatedObject", "AnnotatedPicture", "AnnotatedSet", "Augmentation", "Box",
    "Contents", "Coordinates", "DataIssue", "DataIssues", "Dataset", "DetectionIter", "Packed",
    "Preprocessing", "Sample", "available_splits", "check", "convert", "describe_issues", "load",
    "measure_dataset", "open_eval", "open_rec", "open_train", "pack", "pack_shards", "read_dataset",
    "read_voc", "split_dataset",
]
