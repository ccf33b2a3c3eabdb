"""A worker that runs the network stated in PyTorch, after proving that it is the same network.

Its job is ``{"folder", "mode", "mean", "std", "batch", "threads"}``; the folder has symbol.json,
params.npz, images.npy, and expected.npz with what MXNet makes of the first batch. `mode` is

- ``eager``: as it is written
- ``jit``: traced, frozen and optimised by TorchScript, which folds batch norm
- ``compile``: by ``torch.compile``, weights frozen; needs a C++ compiler

Needs PyTorch and NumPy alone.
"""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from latency_torch_network import Network, detect
from latency_turns import serve

TOLERANCE = 1e-3
LOOKED_AT = 8


class DifferentError(Exception):
    """What PyTorch computes is not what MXNet does."""


def prepare(job):
    """State the network, prove it, and bring it into the form that is timed."""
    torch.set_num_threads(job["threads"])
    torch.set_grad_enabled(False)
    folder = Path(job["folder"])
    with np.load(folder / "params.npz") as params:
        network = Network((folder / "symbol.json").read_text(encoding="utf-8"), params,
                          job["mean"], job["std"]).eval()
    images = torch.from_numpy(np.load(folder / "images.npy")[:LOOKED_AT])
    count = -(-len(images) // job["batch"]) * job["batch"]
    batches = images[torch.arange(count) % len(images)].split(job["batch"])
    network = network.to(memory_format=torch.channels_last)
    made = MODES[job["mode"]](network, batches[0])
    with np.load(folder / "expected.npz") as expected:
        facts = check(network.rules, made, images, expected)
    coming = cycle(batches)
    return facts, lambda: detect(network.rules, *made(next(coming)))


def eager(network, images):
    """Leave it as it is."""
    return network


def jit(network, images):
    """Let TorchScript optimise it."""
    traced = torch.jit.freeze(torch.jit.trace(network, images))
    made = torch.jit.optimize_for_inference(traced)
    for _ in range(3):  # it looks at the first runs before it optimises
        made(images)
    return made


def compiled(network, images):
    """Let the compiler at it."""
    import torch._inductor.config
    torch._inductor.config.freezing = True
    made = torch.compile(network)
    made(images)
    return made


MODES = {"eager": eager, "jit": jit, "compile": compiled}


def check(rules, network, images, expected):
    """Hold predictions and detections of the expected images against MXNet's.

    Raises DifferentError where predictions are off by more than a thousandth, or where more than
    one detection in a hundred (scores may tie) has none like it.
    """
    predicted = network(images[:len(expected["detection"])])
    worst = max(float(np.abs(ours.numpy() - expected[name]).max()) for name, ours in zip(
        ("probabilities", "offsets", "anchors"), predicted))
    if not worst <= TOLERANCE:
        raise DifferentError(f"its predictions differ from MXNet's by {worst:.2g}")
    boxes = matched = 0
    for rows, theirs in zip(detect(rules, *predicted), expected["detection"]):
        theirs = theirs[theirs[:, 0] >= 0]
        boxes += len(theirs)
        if len(rows):
            apart = np.abs(theirs[:, None] - rows.numpy()[None]).max(-1)
            matched += int((apart.min(1) <= TOLERANCE).sum())
    if matched < 0.99 * boxes:
        raise DifferentError(f"only {matched} of {boxes} of MXNet's detections are among its own")
    return {"worst": worst, "boxes": boxes, "matched": matched}


if __name__ == "__main__":
    sys.exit(serve(prepare, (DifferentError, ValueError)))
