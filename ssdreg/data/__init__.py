"""Data sets: read, packed into RecordIO, and given out as batches.

`load` opens a folder or a ``.rec`` file; `open_train` and `open_eval` give batches of it.
"""

from ssdreg.data.augmentation import RECIPES, Augmentation
from ssdreg.data.dataset import Box, Dataset, Sample
from ssdreg.data.issues import DataIssue, DataIssues, describe_issues
from ssdreg.data.iterator import DetectionIter, open_eval, open_train
from ssdreg.data.pack import load, pack
from ssdreg.data.packed import Packed, open_rec
from ssdreg.data.reading import available_splits, read_dataset, read_voc
from ssdreg.registry.preprocessing import Preprocessing

__all__ = [
    "RECIPES", "Augmentation", "Box", "DataIssue", "DataIssues", "Dataset", "DetectionIter",
    "Packed", "Preprocessing", "Sample", "available_splits", "describe_issues", "load",
    "open_eval", "open_rec", "open_train", "pack", "read_dataset", "read_voc",
]
