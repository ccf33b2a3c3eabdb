"""What does each part of the recipe for fine-tuning give? Trainings of one data set, as a table.

    python benchmarks/recipes.py --data DIR --backbone NAME [--split A --val-split B]
                                 [--data-shape N] [--epochs N] [--seeds 0,1] [--only A,B,...]
                                 [--engine NAME] [--out DIR]

Needs a backbone with weights on disk. Each row is trained like `ssdreg train` does, from the same
weights, with the same number of epochs; figures are those of the last epoch, in the mean over the
seeds. Rows that are in `--out` already are not trained again.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from attrs import evolve

import ssdreg
from ssdreg.data.augmentation import RECIPES
from ssdreg.runs.log import Epoch
from ssdreg.runs.run import CONFIG, open_run

#: The augmentation that is the default.
LIGHT = RECIPES["light"]
#: The recipe as it was: what is not named in a row below is as today's default has it.
BEFORE = {"batch_size": 16, "lr": 1e-3, "box_loss": "smooth_l1", "average": 0.0}
ROWS: Mapping[str, Mapping[str, Any]] = {
    "before": BEFORE,
    "before, batches of 8": {**BEFORE, "batch_size": 8},
    "before, batches of 8, rate 2e-3": {**BEFORE, "batch_size": 8, "lr": 2e-3},
    "before, batches of 8, rate 4e-3": {**BEFORE, "batch_size": 8, "lr": 4e-3},
    "the default": {},
    "smooth L1": {"box_loss": "smooth_l1"},
    "no average": {"average": 0.0},
    "batches of 4": {"batch_size": 4},
    "rate 8e-3": {"lr": 8e-3},
    "all stages learn": {"freeze_stages": 0},
    "normalisation frozen": {"freeze_norm": True},
    "no augmentation": {"augment": "none"},
    "the paper's augmentation": {"augment": "ssd"},
    "head learns 3 times faster": {"head_lr": 3.0},
    "focal loss": {"loss": "focal"},
    "head ssdlite": {"head": "ssdlite"},
    "mosaics, 1 of 5": {"augment": evolve(LIGHT, mosaic_probability=0.2)},
    "mosaics, 1 of 2": {"augment": evolve(LIGHT, mosaic_probability=0.5)},
    "taps at strides 16 and 32": {"tap_strides": (16, 32)},
    "taps at strides 4 to 32": {"tap_strides": (4, 8, 16, 32)},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--split")
    parser.add_argument("--val-split")
    parser.add_argument("--data-shape", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")],
                        default=[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ROWS))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    print("| recipe | AP50 | AP75 | AP | minutes |\n| --- | --- | --- | --- | --- |")
    for name in options.only:
        last = [_last(options, out, name, seed) for seed in options.seeds]
        figures = [fmean(getattr(entry.coco, figure) if entry.coco else math.nan
                         for entry in last) for figure in ("ap50", "ap75", "ap")]
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} | "
              f"{fmean(entry.seconds for entry in last) / 60:.1f} |", flush=True)
    return 0


def _last(options: argparse.Namespace, out: Path, name: str, seed: int) -> Epoch:
    """Train a row, and return what the log says of its last epoch."""
    folder = out / f"{name.replace(' ', '-')}-{seed}"
    if (folder / CONFIG).is_file():
        return open_run(folder).log()[-1]
    given = {"backbone": options.backbone, "data": options.data, "split": options.split,
             "val_split": options.val_split, "data_shape": options.data_shape,
             "epochs": options.epochs, "engine": options.engine, "seed": seed, "out": folder,
             "validate_every": options.epochs}
    return ssdreg.train(**{**given, **ROWS[name]}).epochs[-1]


if __name__ == "__main__":
    raise SystemExit(main())
