"""A worker that runs MXNet, or GluonCV, as people do who have no ssdreg.

Only what MXNet 1.9.1 cannot be imported without is given to it, NumPy's old names above all. No
setting is made, for threads or otherwise, and inputs are normalised already. Its job is
``{"what", "inputs", ...}`` with the keys that the function of that name reads.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from itertools import cycle

import numpy as np
from latency_turns import serve


def import_mxnet():
    """Import MXNet with nothing but the names that NumPy and Python removed.

    Where ssdreg is installed, NumPy may be 2: ssdreg gives MXNet's modules the names, and sets
    nothing. A Python of somebody else's, with NumPy 1, is given those that it lacks.
    """
    if importlib.util.find_spec("ssdreg") is not None:
        importlib.import_module("ssdreg.compat.mxnet_modules").serve()
        return importlib.import_module("mxnet")
    for name in ("bool", "int", "float"):
        if name not in vars(np):
            setattr(np, name, getattr(importlib.import_module("builtins"), name))
    if importlib.util.find_spec("distutils") is None:
        importlib.import_module("setuptools")
    return importlib.import_module("mxnet")


def prepare(job):
    """Do as the job says; inputs (n, B, 3, H, W) float32 come in turn."""
    mx = import_mxnet()
    inputs = cycle([mx.nd.array(batch) for batch in np.load(job["inputs"])])
    run = {"example": example, "gluoncv": gluoncv}[job["what"]](mx, job)
    found = run(next(inputs))
    return {"boxes": int((found[..., 0] >= 0).sum())}, lambda: run(next(inputs))


def example(mx, job):
    """Bind a checkpoint as the Detector of MXNet's SSD example does.

    It binds for training, which is what `Module.bind` does unless told otherwise; where
    ``for_inference`` is set, it is told otherwise.
    """
    symbol, args, auxs = mx.model.load_checkpoint(job["prefix"], job["epoch"])
    module = mx.mod.Module(symbol, label_names=None, context=mx.cpu())
    module.bind(data_shapes=[("data", tuple(job["shape"]))],
                for_training=not job["for_inference"])
    module.set_params(args, auxs)

    def run(batch):
        module.forward(mx.io.DataBatch([batch]), is_train=False)
        return module.get_outputs()[0].asnumpy()
    return run


def gluoncv(mx, job):
    """Run one of GluonCV's SSD presets, hybridised, with random weights."""
    # it refuses to be imported beside PyTorch 2, which its MXNet half does not use
    sys.modules["torch"] = None
    zoo = importlib.import_module("gluoncv.model_zoo")
    network = zoo.get_model(job["preset"], pretrained=False, pretrained_base=False)
    network.initialize()
    network.hybridize(static_alloc=True, static_shape=True)

    def run(batch):
        return np.concatenate([part.asnumpy() for part in network(batch)], axis=-1)
    return run


if __name__ == "__main__":
    sys.exit(serve(prepare))
