"""How many images a second both engines train on: MXNet and PyTorch, in turns.

    python benchmarks/torch_training.py [--backbones resnet50,mobilenet] [--batch 8] [--threads 2]

Needs the plug-in ssdreg-torch. A step is the forward and backward pass of the detector with the
head ssd, targets and losses included, and an update by SGD with momentum; noise images and one
object a level, so that reading data takes no part. Every engine and precision is a process of its
own, and one works at a time, in rounds; a process warms up, then times steps and reports their
median. Printed is the median over the rounds, the spread, and the ratio to MXNet.

`channels_last` is the order of axes in memory that convolutions on processors and GPUs take best,
`bfloat16` PyTorch's autocast, in which parameters and their updates stay in float32; `compiled` is
torch.compile, which needs a C++ compiler and takes minutes before its first step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

WARM_UP = 2
ENGINES = ("mxnet", "torch", "torch channels_last", "torch channels_last bfloat16")
COMPILED = "torch channels_last bfloat16 compiled"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbones", default="resnet50,mobilenet")
    parser.add_argument("--data-shape", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options)))
        return
    engines = (*ENGINES, COMPILED) if options.compiled else ENGINES
    print("| backbone | engine | images/s | spread | ratio |\n| --- | --- | --- | --- | --- |")
    for backbone in options.backbones.split(","):
        rates: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(options.rounds):
            for engine in engines:
                rates[engine].append(options.batch / alone(options, backbone, engine))
        base = statistics.median(rates["mxnet"])
        for engine, found in rates.items():
            middle = statistics.median(found)
            print(f"| {backbone} | {engine} | {middle:.2f} | {min(found):.2f} to {max(found):.2f} "
                  f"| {middle / base:.2f} |", flush=True)


def alone(options: argparse.Namespace, backbone: str, engine: str) -> float:
    """Return the seconds of a step, measured in a process of its own."""
    command = [sys.executable, __file__, "--engine", engine, "--backbones", backbone]
    for name in ("data-shape", "batch", "threads", "steps"):
        command += [f"--{name}", str(getattr(options, name.replace("-", "_")))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads),
                   "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE,
                          encoding="utf-8")
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure(options: argparse.Namespace) -> float:
    """Return the median seconds of a step."""
    step = make_step(options)
    for _ in range(WARM_UP):
        step()
    times = []
    for _ in range(options.steps):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def make_step(options: argparse.Namespace) -> Callable[[], object]:
    """Return a function that trains one step and waits for it."""
    import numpy as np

    import ssdreg
    from ssdreg.mx import mx
    from ssdreg.training.learner import step_outputs
    built = ssdreg.build(options.backbones, num_classes=20, data_shape=options.data_shape)
    symbol = mx.sym.Group([built[name] for name in step_outputs(built)])
    shape = (options.batch, 3, options.data_shape, options.data_shape)
    images = np.random.default_rng(0).normal(0, 1, shape).astype("float32")
    boxes = [[index % 20, 0, 0, side, side] for index, side in enumerate((.1, .2, .4, .6, .9))]
    label = np.tile(np.array(boxes, "float32"), (options.batch, 1, 1))
    module = mx.mod.Module(symbol, ("data",), ("label",), context=mx.cpu())
    module.bind([("data", shape)], [("label", label.shape)])
    module.init_params(mx.init.Xavier())
    if options.engine == "mxnet":
        return mxnet_step(module, images, label)
    return torch_step(module, images, label, options)


def mxnet_step(module, images, label) -> Callable[[], object]:
    from ssdreg.mx import mx
    module.init_optimizer(optimizer="sgd", optimizer_params={
        "learning_rate": 1e-4, "momentum": .9, "rescale_grad": 1.0})
    batch = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(label)])

    def step() -> None:
        module.forward_backward(batch)
        module.update()
        mx.nd.waitall()
    return step


def torch_step(module, images, label, options) -> Callable[[], object]:
    import torch
    from ssdreg_torch import translate
    from ssdreg_torch.optimizers import SGD, groups

    from ssdreg.graph.nodes import Net
    from ssdreg.runs.params import Params
    torch.set_num_threads(options.threads)
    network = translate(module.symbol, Params(*module.get_params())).train()
    data, truth = torch.from_numpy(images), torch.from_numpy(label)
    if "channels_last" in options.engine:
        network = network.to(memory_format=torch.channels_last)
        data = data.contiguous(memory_format=torch.channels_last)
    learner = SGD(groups(network, Net.of(module.symbol)), lr=1e-4)
    run = torch.compile(network) if "compiled" in options.engine else network

    def step() -> None:
        learner.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in options.engine):
            _, loss = run(data=data, label=truth)
        loss.backward()
        learner.step()
    return step


if __name__ == "__main__":
    main()
