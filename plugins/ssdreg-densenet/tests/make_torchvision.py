"""Write `torchvision.json`: what torchvision's DenseNet computes with parameters made by rule.

Needs torch and torchvision beside ssdreg and this plug-in, once; the tests only read the file:

    python make_torchvision.py
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("torchvision.json")
NETWORKS = ("densenet121", "densenet161")
SHAPE = (1, 3, 96, 128)
SAMPLES = 16
#: Our networks' own epsilon of batch normalisation, and what they have in front: torchvision's
#: have another epsilon, and no normalisation of the input.
EPSILON, IN_FRONT = 2e-5, "bn_data"


def fill(name, shape):
    """Return a parameter's values by its name and shape alone, as float32."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith(("gamma", "moving_var")):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("beta", "bias", "moving_mean")):
        values = rng.normal(0, 0.1, shape)
    else:
        values = rng.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
    return values.astype("float32")


def pixels():
    """Return the input: noise as bright as normalised photos are."""
    return np.random.RandomState(7).normal(0, 1, SHAPE).astype("float32")


def inputs(symbol):
    """Return the parameters' names and shapes, in the order in which the network uses them.

    That is also torchvision's order: names differ, the sequence does not.
    """
    arguments, _, auxiliary = symbol.infer_shape(data=SHAPE)
    shapes = {**dict(zip(symbol.list_arguments(), arguments)),
              **dict(zip(symbol.list_auxiliary_states(), auxiliary))}
    return {name: shapes[name] for name in symbol.list_inputs()
            if name not in ("data", "softmax_label")}


def sampled(values):
    """Return places in a tensor and what stands there."""
    index = np.random.RandomState(3).choice(values.size, SAMPLES, replace=False)
    return {"shape": list(values.shape), "index": index.tolist(),
            "value": values.ravel()[index].tolist()}


def normalized(values):
    """Return the input as our first normalisation, whose gamma counts as 1, leaves it."""
    beta, mean, variance = (fill(f"{IN_FRONT}_{part}", (3,)).reshape(1, 3, 1, 1)
                            for part in ("beta", "moving_mean", "moving_var"))
    return (values - mean) / np.sqrt(variance + np.float32(EPSILON)) + beta


def main():
    import torch
    import torchvision

    import ssdreg

    found = {}
    for name in NETWORKS:
        network = torchvision.models.get_model(name, weights=None).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = EPSILON
        state = {key: value for key, value in network.state_dict().items() if value.ndim}
        ours = {key: shape for key, shape in inputs(ssdreg.get_backbone(name).symbol()).items()
                if not key.startswith(IN_FRONT)}
        assert len(state) == len(ours)
        network.load_state_dict({key: torch.from_numpy(fill(*our))
                                 for key, our in zip(state, ours.items())}, strict=False)
        with torch.no_grad():
            data = torch.from_numpy(normalized(pixels()))
            found[name] = {
                "features": sampled(network.features(data).numpy()),
                "scores": sampled(network(data).softmax(1).numpy())}
    version = torchvision.__version__.partition("+")[0]
    FILE.write_text(json.dumps({"torchvision": version, "networks": found}) + "\n",
                    encoding="utf-8")


if __name__ == "__main__":
    main()
