"""Images a second in training: MXNet's example, ssdreg on both engines, and plain PyTorch.

    python benchmarks/training.py [--networks resnet50,mobilenet] [--side 300] [--batch 8]
        [--rounds 3] [--seconds 20] [--torch-python PYTHON]

One way at a time, in turns, each in a process of its own that warms up, trains for some seconds and
reports images a second and its greatest memory; printed are medians over the rounds, their spread,
what each is of the example and of plain PyTorch's best, and its share of the fastest that matrices
are multiplied in its precision here (`ssdreg bench`), a step being three forward passes.

- `example`: the symbol bound plainly and updated as MXNet's SSD example does, on one batch, with
  half as many threads as there are cores, which MXNet chooses itself; detections included, since
  its training symbol has them
- `mxnet`, `torch`: what `ssdreg train` does with that engine in each precision: drawn pictures
  decoded, augmented (light) and batched, targets, losses, updates by SGD with momentum
- `plain`: the network written by hand in PyTorch (`training_plain.py`), with neither data nor
  targets: its loss is the mean square of what it predicts; in float32, with channels last, and
  so in bfloat16; `compiled` with --compiled

Needs the plug-ins that bring the networks, and ssdreg-torch. `--torch-python` runs the ways of
PyTorch by another Python.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NETWORKS = ("resnet50", "vgg16_reduced", "mobilenet", "efficientnet-lite0")
WAYS = ("example", "mxnet float32", "mxnet bfloat16", "torch float32", "torch bfloat16",
        "plain float32", "plain channels_last", "plain channels_last bfloat16")
#: Those whose peak is measured.
PRECISIONS = ("float32", "bfloat16")
COMPILED = ("plain channels_last bfloat16 compiled",)
WARM_UP = 3
CLASSES, OBJECTS = 20, 5
#: The greatest difference in the number of weights that still is the same network.
ALIKE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--ways", help="some of the ways, separated by commas")
    parser.add_argument("--side", type=int, default=300, help="of the input, in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="that a way trains for")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compiled", action="store_true",
                        help="measure the plain statement by torch.compile too")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options)))
        return
    ways = options.ways.split(",") if options.ways else [
        *WAYS, *(COMPILED if options.compiled else ())]
    from ssdreg.bench.peak import measure_peaks
    peaks = {peak.precision: peak.gflops for peak in measure_peaks(PRECISIONS, options.threads)}
    print("peaks: " + ", ".join(f"{gflops:.0f} GFLOP/s in {precision}"
                                for precision, gflops in peaks.items()) + "\n")
    print("| network | way | images/s | spread | of example | of plain's best | of peak | MiB |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        options.data = Path(folder) / "shapes"
        for network in options.networks.split(","):
            report(network, ways, options, peaks)


def report(network: str, ways: list[str], options: argparse.Namespace,
           peaks: dict[str, float]) -> None:
    """Measure all ways in turns and print their lines."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    memory = dict.fromkeys(ways, 0.0)
    for _ in range(options.rounds):
        for way in ways:
            measured = alone(network, way, options)
            rates[way].append(measured["rate"])
            memory[way] = max(memory[way], measured["memory"])
    middle = {way: statistics.median(values) for way, values in rates.items()}
    flops = 3 * 2 * multiply_adds(network, options.side)
    plain = max((rate for way, rate in middle.items() if way.startswith("plain")), default=0.0)
    for way, values in rates.items():
        of_example = f"{middle[way] / middle['example']:.2f}" if "example" in middle else ""
        of_plain = f"{middle[way] / plain:.2f}" if plain else ""
        peak = peaks.get("bfloat16" if "bfloat16" in way else "float32")
        of_peak = f"{middle[way] * flops / 1e9 / peak:.2f}" if peak else ""
        print(f"| {network} | {way} | {middle[way]:.2f} | {min(values):.2f} to {max(values):.2f} "
              f"| {of_example} | {of_plain} | {of_peak} | {memory[way]:.0f} |", flush=True)


def multiply_adds(network: str, side: int) -> int:
    """Return the multiply-adds of a forward pass for one image."""
    import ssdreg
    from ssdreg.graph.summary import multiply_adds as of_node
    from ssdreg.graph.symbol import read_graph
    graph = read_graph(ssdreg.build(network, num_classes=CLASSES, data_shape=side, mode="deploy"),
                       (side, side))
    return sum(of_node(graph, node) for node in graph.nodes)


def alone(network: str, way: str, options: argparse.Namespace) -> dict[str, float]:
    """Measure one way in a process of its own."""
    python = sys.executable if way.startswith(("example", "mxnet")) else options.torch_python
    command = [python, __file__, "--one", way, "--networks", network, "--data", str(options.data)]
    for name in ("side", "batch", "seconds", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    threads = max(1, options.threads // 2) if way == "example" else options.threads
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True,
                          stdout=subprocess.PIPE, encoding="utf-8")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return images a second and the greatest memory in MiB."""
    kind, *modes = options.one.split()
    step = {"example": example, "mxnet": ssdreg_engine, "torch": ssdreg_engine, "plain": plain}[
        kind](options, modes)
    for _ in range(WARM_UP):
        step()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < options.seconds or count < 3:
        step()
        count += 1
    seconds = time.perf_counter() - began
    return {"rate": count * options.batch / seconds,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def example(options: argparse.Namespace, modes: list[str]) -> Callable[[], object]:
    """Return a step as MXNet's SSD example takes it."""
    import numpy as np

    import ssdreg
    from ssdreg.mx import mx
    symbol = ssdreg.build(options.networks, num_classes=CLASSES, data_shape=options.side)
    draw = np.random.default_rng(0)
    images = draw.normal(0, 50, (options.batch, 3, options.side, options.side)).astype("float32")
    boxes = [[index % CLASSES, 0, 0, side, side]
             for index, side in enumerate((.1, .2, .4, .6, .9)[:OBJECTS])]
    label = np.tile(np.array(boxes, "float32"), (options.batch, 1, 1))
    module = mx.mod.Module(symbol, ("data",), ("label",), context=mx.cpu())
    module.bind([("data", images.shape)], [("label", label.shape)])
    module.init_params(mx.init.Xavier())
    module.init_optimizer(optimizer="sgd", optimizer_params={
        "learning_rate": 1e-4, "momentum": 0.9, "wd": 5e-4, "rescale_grad": 1.0})
    batch = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(label)])

    def step() -> None:
        module.forward_backward(batch)
        module.update()
        # the example's metric reads these after every step
        for output in module.get_outputs()[:3]:
            output.asnumpy()
    return step


def ssdreg_engine(options: argparse.Namespace, modes: list[str]) -> Callable[[], object]:
    """Return a step as `ssdreg train` takes it, data and all."""
    from ssdreg import data
    from ssdreg.data.augmentation import RECIPES
    from ssdreg.data.synthetic import CLASSES as SHAPES
    from ssdreg.data.synthetic import write_shapes
    from ssdreg.engines.choice import choose_engine
    from ssdreg.training.learner import prepare_lesson
    from ssdreg.training.network import build_network
    from ssdreg.training.options import TrainOptions
    from ssdreg.training.start import draw
    engine, precision = options.one.split()[0], modes[0]
    choice = choose_engine(engine)
    if not options.data.is_dir():
        write_shapes(options.data, 64 * options.batch // 4, 2, (400, 500))
    packed = data.load(options.data, "train")
    network = build_network(options.networks, len(SHAPES), options.side)
    recipe = TrainOptions(batch_size=options.batch, optimizer="sgd", lr=1e-4,
                          precision=precision)

    def batches(seed: int):
        return data.open_train(packed, network.plan.data_shape, options.batch, RECIPES["light"],
                               network.plan.preprocessing, seed=seed, negatives=True)
    epoch = batches(0)
    lesson = prepare_lesson(network, recipe, choice.devices, choice.precision(precision), {
        name: tuple(shape) for name, shape in (*epoch.provide_data, *epoch.provide_label)})
    learner = choice.engine.learn(lesson)
    learner.begin(draw(lesson))

    def forever():
        current, seed = epoch, 0
        while True:
            yield from current
            current.close()
            seed += 1
            current = batches(seed)
    endless = forever()
    return lambda: learner.step(next(endless), 1e-4)


def plain(options: argparse.Namespace, modes: list[str]) -> Callable[[], object]:
    """Return a step of the network as it is written by hand in PyTorch."""
    import torch
    from training_plain import network

    import ssdreg
    from ssdreg.deploy.random_params import random_params
    torch.set_num_threads(options.threads)
    plan = ssdreg.plan(options.networks, num_classes=CLASSES, data_shape=options.side)
    module = network(options.networks, plan).train()
    deploy = ssdreg.build(options.networks, num_classes=CLASSES, data_shape=options.side,
                          mode="deploy")
    weights = sum(array.size for array in random_params(deploy, plan.data_shape).args.values())
    written = sum(parameter.numel() for parameter in module.parameters())
    if abs(written - weights) > ALIKE * weights:
        raise SystemExit(f"{options.networks}: {written:,} weights written by hand, {weights:,} "
                         f"in ssdreg's network")
    images = torch.randn(options.batch, 3, options.side, options.side)
    if "channels_last" in modes:
        module = module.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)
    run = torch.compile(module) if "compiled" in modes else module

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in modes):
            scores, offsets = run(images)
        loss = scores.float().square().mean() + offsets.float().square().mean()
        loss.backward()
        optimizer.step()
        loss.item()
    return step


if __name__ == "__main__":
    main()
