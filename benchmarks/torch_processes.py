"""Images a second of one training in several processes, against one process with as many threads.

    python benchmarks/torch_processes.py [--backbone resnet50] [--side 300] [--batch 8]
        [--processes 2] [--rounds 2]

Needs ssdreg-torch. Each way is a real training of drawn pictures, `ssdreg train --engine torch` by
itself and under torchrun, in turns; what is taken is the second epoch's figure in the run's log,
validation left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ssdreg.data.synthetic import write_shapes
from ssdreg.runs.run import open_run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--side", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8, help="of all processes together")
    parser.add_argument("--steps", type=int, default=12, help="of an epoch")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    ways = {"one process": 1, f"{options.processes} processes": options.processes}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "shapes"
        write_shapes(data, options.batch * options.steps, 2, (options.side, options.side))
        for round_ in range(options.rounds):
            for way, count in ways.items():
                out = Path(folder) / f"{count}-{round_}"
                rates[way].append(train(data, out, count, options))
    alone = statistics.median(rates["one process"])
    print("| way | threads each | images/s | spread | ratio |\n| --- | --- | --- | --- | --- |")
    for way, values in rates.items():
        middle = statistics.median(values)
        print(f"| {way} | {options.processes // ways[way]} | {middle:.2f} | {min(values):.2f} to "
              f"{max(values):.2f} | {middle / alone:.2f} |")


def train(data: Path, out: Path, count: int, options: argparse.Namespace) -> float:
    """Return images a second of a training's second epoch."""
    start = [sys.executable, "-m"]
    if count > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m"]
    threads = str(options.processes // count)
    subprocess.run(
        [*start, "ssdreg", "train", "--engine", "torch", "--backbone", options.backbone,
         "--no-pretrained", "--data-shape", str(options.side), "--data", str(data), "--out",
         str(out), "--batch-size", str(options.batch), "--epochs", "2", "--validate-every", "2"],
        env={**os.environ, "OMP_NUM_THREADS": threads}, check=True, stdout=subprocess.DEVNULL)
    return open_run(out).log()[1].images_per_second


if __name__ == "__main__":
    main()
