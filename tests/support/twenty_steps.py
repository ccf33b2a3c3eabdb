"""Train a small detector for twenty steps and print every bit of it; run by test_two_numpys.py.

    python twenty_steps.py FOLDER

What is printed is one JSON object: NumPy's version, the losses of every step, the measures of every
epoch, what MXNet's own metrics, initialisers and conversions make, and a digest of each parameter.
Floats are written in hexadecimal, so that equal texts are equal bits.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from contextlib import redirect_stdout
from pathlib import Path

import attrs
import numpy as np
from support.runs import DETECTOR, SIDE

from ssdreg.cli.main import main
from ssdreg.data.synthetic import write_shapes
from ssdreg.mx import mx
from ssdreg.runs.run import open_run
from ssdreg.training import mxnet_learner

EPOCHS, STEPS, BATCH = 5, 4, 4


def bits(value) -> str | list:
    """Return numbers of any kind so that two are equal when their types and bits are."""
    if isinstance(value, (list, tuple)):
        return [bits(each) for each in value]
    if isinstance(value, mx.nd.NDArray):
        value = value.asnumpy()
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return float(value).hex()


def train(folder: Path) -> dict:
    """Train from nothing, with augmentation, as the command does."""
    write_shapes(folder / "shapes", train=STEPS * BATCH, val=6, size=(SIDE, SIDE))
    steps, step = [], mxnet_learner.MXNetLearner.step

    def watched(self, batch, rate):
        steps.append(step(self, batch, rate))
        return steps[-1]
    mxnet_learner.MXNetLearner.step = watched
    with redirect_stdout(sys.stderr):
        status = main(["train", *DETECTOR, "--data", str(folder / "shapes"), "--out",
                       str(folder / "run"), "--epochs", str(EPOCHS), "--batch-size", str(BATCH),
                       "--lr", "0.01"])
    assert status == 0
    run = open_run(folder / "run")
    params = run.load_params()
    return {
        "losses": [bits(attrs.astuple(each)) for each in steps],
        "measures": [bits((each.cls_loss, each.loc_loss, each.map)) for each in run.log()],
        "parameters": {name: bits(array) for name, array
                       in sorted({**params.args, **params.auxs}.items())},
    }


def metrics() -> dict:
    """Update each of MXNet's metrics with a few batches of random predictions."""
    draw = np.random.RandomState(1)
    batches = [(mx.nd.array(draw.randint(0, 2, 7)), mx.nd.softmax(mx.nd.array(draw.rand(7, 2))))
               for _ in range(20)]
    found = {}
    for name in ("acc", "f1", "mcc", "mae", "mse", "rmse", "ce", "nll_loss", "loss", "pcc"):
        metric = mx.metric.create(name)
        for label, prediction in batches:
            right = prediction[:, 1] if name in ("mae", "mse", "rmse") else prediction
            metric.update([label], [right])
        found[name] = [bits(metric.get()[1]), bits(metric.get_global()[1])]
    return found


def initialisers() -> dict:
    """Fill an array by each of MXNet's initialisers."""
    found = {}
    for name in ("Xavier", "MSRAPrelu", "Uniform", "Normal", "Orthogonal", "Bilinear"):
        mx.random.seed(5)
        np.random.seed(5)
        array = mx.nd.zeros((8, 4, 3, 3))
        getattr(mx.init, name)()(mx.init.InitDesc("net_weight"), array)
        found[name] = bits(array)
    return found


def conversions() -> dict:
    """Convert to MXNet's arrays and back, compute with scalars, and draw at random."""
    mx.random.seed(5)
    np.random.seed(5)
    random.seed(5)
    sources = ([1, 2.5], np.arange(6)[::-1], np.asfortranarray(np.arange(6.).reshape(2, 3)),
               np.float32(0.1), np.array([True, False]), [np.float64(0.1), np.float32(0.2)])
    picture = mx.nd.array(np.random.randint(0, 255, (20, 30, 3)))
    boxes = np.array([[0, .1, .1, .5, .5], [1, .3, .2, .9, .8]], dtype="float32")
    changes = mx.image.CreateDetAugmenter((3, 16, 16), rand_crop=0.9, rand_pad=0.9, hue=0.1,
                                          rand_mirror=True, brightness=0.2, pca_noise=0.1)
    return {
        "arrays": [bits(mx.nd.array(each, dtype=dtype)) for each in sources
                   for dtype in (None, "float32", "float16", "uint8")],
        "scalars": [bits(mx.nd.arange(4, dtype=dtype) * scalar + scalar)
                    for dtype in ("float16", "float32", "float64")
                    for scalar in (2, 0.1, np.float16(0.1), np.float32(0.1), np.float64(0.1))],
        "random": [bits(np.random.RandomState(2).permutation(9)), bits(np.random.normal(size=3)),
                   bits(mx.nd.random.normal(0, np.float64(0.1), shape=(3,)))],
        "augmentation": [bits(part) for change in changes for part in change(picture, boxes)],
    }


if __name__ == "__main__":
    print(json.dumps({"numpy": np.__version__, "training": train(Path(sys.argv[1])),
                      "metrics": metrics(), "initialisers": initialisers(),
                      "conversions": conversions()}))
