"""Does training in fewer bits learn the same? Curves of one engine in each precision.

    python benchmarks/precision.py --data DIR [--backbone NAME] [--side 192] [--epochs 12]
        [--engine mxnet] [--precisions float32,bfloat16] [--seeds 0,1,2] [--out DIR]

Trains from the same seeds in each precision, one after the other, by the default recipe, and prints
the validation mAP of every epoch, then the last ones by seed with their mean. Runs are kept in
`--out`; those that are there are read, so that a measurement that was stopped goes on.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import ssdreg
from ssdreg.runs.run import open_run
from ssdreg.training.state import load_options


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--engine", default="mxnet")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("precision-runs"))
    options = parser.parse_args()
    precisions, seeds = options.precisions.split(","), [*map(int, options.seeds.split(","))]
    curves = {(seed, precision): curve(options, precision, seed)
              for seed in seeds for precision in precisions}
    print("| epoch | " + " | ".join(f"{precision}, seed {seed}" for seed, precision in curves)
          + " |\n| --- " + "| --- " * len(curves) + "|")
    for epoch in range(options.epochs):
        print(f"| {epoch + 1} | " + " | ".join(f"{values[epoch]:.3f}"
                                               for values in curves.values()) + " |")
    print("\n| seed | " + " | ".join(precisions) + " |\n| --- " + "| --- " * len(precisions) + "|")
    for seed in seeds:
        print(f"| {seed} | " + " | ".join(f"{curves[seed, precision][-1]:.3f}"
                                          for precision in precisions) + " |")
    print("| mean | " + " | ".join(f"{mean(curves, seeds, precision):.3f}"
                                   for precision in precisions) + " |")


def mean(curves: dict[tuple[int, str], list[float]], seeds: list[int], precision: str) -> float:
    """Return the mean of the last mAP over the seeds."""
    return statistics.mean(curves[seed, precision][-1] for seed in seeds)


def curve(options: argparse.Namespace, precision: str, seed: int) -> list[float]:
    """Train, or go on, or read what is there; return the mAP of every epoch."""
    folder = options.out / f"{options.backbone}-{precision}-{seed}"
    if folder.is_dir():
        run = open_run(folder)
        assert load_options(run).precision == precision
        ssdreg.resume(folder, epochs=options.epochs)
    else:
        ssdreg.train(data=options.data, out=folder, backbone=options.backbone,
                     data_shape=options.side, epochs=options.epochs, engine=options.engine,
                     precision=precision, seed=seed)
    return [entry.map for entry in open_run(folder).log()]


if __name__ == "__main__":
    main()
