"""Where the time of a training step goes, operator by operator, on each engine.

    python benchmarks/step_profile.py [--networks resnet50,mobilenet] [--side 300] [--batch 8]
        [--ways "mxnet float32,mxnet bfloat16,torch bfloat16"] [--steps 10] [--rows 8]

Steps are those of `benchmarks/training.py`: pictures read, augmented and matched, losses, updates.
Each way runs in a process of its own, and its engine's own profiler counts. Printed are an
operator's calls in a step, its milliseconds in them, and its share of all operators' time. Names
are the engine's: MXNet's `_backward_X` is the gradient of `X`. MXNet runs operators one by one for
this, which it joins otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import asdict, frozen
from training import NETWORKS, WARM_UP, ssdreg_engine

#: What MXNet's engine does between operators, which its profiler lists among them.
NO_OPERATORS = ("WaitForVar", "DeleteVariable")


@frozen
class Operator:
    """What an engine's profiler counted: calls and milliseconds of all steps together."""

    name: str
    calls: int
    milliseconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--ways", default="mxnet float32,mxnet bfloat16,torch bfloat16")
    parser.add_argument("--side", type=int, default=300, help="of the input, in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rows", type=int, default=8, help="operators shown, the longest first")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps([asdict(operator) for operator in measure(options)]))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.data = Path(folder) / "shapes"
        for network in options.networks.split(","):
            for way in options.ways.split(","):
                report(network, way, alone(network, way, options), options)


def report(network: str, way: str, operators: list[Operator], options: argparse.Namespace) -> None:
    """Print the longest operators of a way, and what is left in one line."""
    total = sum(operator.milliseconds for operator in operators)
    ranked = sorted(operators, key=lambda operator: -operator.milliseconds)
    print(f"\n{network}, {way}: {total / options.steps:.0f} ms of operators a step\n\n"
          "| operator | calls | ms | share |\n| --- | --- | --- | --- |")
    for operator in ranked[:options.rows]:
        _print_row(operator.name, operator, options.steps, total)
    others = ranked[options.rows:]
    _print_row("others", Operator("", sum(each.calls for each in others),
                                  sum(each.milliseconds for each in others)),
               options.steps, total)


def _print_row(name: str, operator: Operator, steps: int, total: float) -> None:
    print(f"| {name} | {operator.calls / steps:.0f} | {operator.milliseconds / steps:.1f} "
          f"| {operator.milliseconds / total:.1%} |", flush=True)


def alone(network: str, way: str, options: argparse.Namespace) -> list[Operator]:
    """Profile one way in a process of its own."""
    command = [sys.executable, __file__, "--one", way, "--networks", network,
               "--data", str(options.data)]
    for name in ("side", "batch", "steps", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", env={
        **os.environ, "OMP_NUM_THREADS": str(options.threads),
        # of operators that run joined, MXNet's profiler names none
        "MXNET_EXEC_BULK_EXEC_TRAIN": "0"})
    return [Operator(**counted) for counted in json.loads(done.stdout.splitlines()[-1])]


def measure(options: argparse.Namespace) -> Iterable[Operator]:
    """Take the steps of a way and return what its engine's profiler counted in them."""
    engine, *modes = options.one.split()
    step = ssdreg_engine(options, modes)
    for _ in range(WARM_UP):
        step()
    return {"mxnet": by_mxnet, "torch": by_torch}[engine](step, options.steps)


def by_mxnet(step: Callable[[], object], steps: int) -> Iterable[Operator]:
    """Count by MXNet's profiler."""
    from ssdreg.mx import mx
    with tempfile.TemporaryDirectory() as folder:
        mx.profiler.set_config(profile_symbolic=True, profile_imperative=True, profile_memory=False,
                               profile_api=False, aggregate_stats=True,
                               filename=str(Path(folder) / "profile.json"))
        mx.nd.waitall()
        mx.profiler.set_state("run")
        for _ in range(steps):
            step()
        mx.nd.waitall()
        mx.profiler.set_state("stop")
        counted = json.loads(mx.profiler.dumps(format="json"))
    return [Operator(name, int(figures["Count"]), float(figures["Total"]))
            for name, figures in counted["Time"]["operator"].items() if name not in NO_OPERATORS]


def by_torch(step: Callable[[], object], steps: int) -> Iterable[Operator]:
    """Count by PyTorch's profiler, an operator without those that it calls."""
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
    return [Operator(each.key, each.count, each.self_cpu_time_total / 1000)
            for each in profiler.key_averages()]


if __name__ == "__main__":
    main()
