"""Write `torchvision.json`: what torchvision's MobileNets compute with parameters made by rule.

Needs torch and torchvision beside ssdreg and this plug-in, once; the tests only read the file:

    python make_torchvision.py
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("torchvision.json")
#: Networks of both, by their names here and there.
NETWORKS = {"mobilenetv2": "mobilenet_v2", "mobilenetv3_small": "mobilenet_v3_small",
            "mobilenetv3_large": "mobilenet_v3_large"}
SHAPE = (2, 3, 96, 128)
SAMPLES = 16


def fill(name, shape):
    """Return a parameter's values by its name and shape alone, as float32."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    # wide enough for both bends of ReLU6 and hard swish, and for scores that are not all alike
    if name.endswith(("gamma", "moving_var")):
        values = rng.uniform(0.6, 1.8, shape)
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


def main():
    import torch
    import torchvision

    import ssdreg

    found = {}
    for name, their_name in NETWORKS.items():
        network = torchvision.models.get_model(their_name, weights=None).eval()
        state = {key: value for key, value in network.state_dict().items() if value.ndim}
        ours = inputs(ssdreg.get_backbone(name).symbol())
        assert len(state) == len(ours)
        network.load_state_dict({key: torch.from_numpy(fill(*our))
                                 for key, our in zip(state, ours.items())}, strict=False)
        with torch.no_grad():
            features = network.features(torch.from_numpy(pixels()))
            scores = network(torch.from_numpy(pixels())).softmax(1)
        found[name] = {"features": sampled(features.numpy()), "scores": sampled(scores.numpy()),
                       "learnt": sum(value.numel() for value in network.parameters())}
    version = torchvision.__version__.partition("+")[0]
    FILE.write_text(json.dumps({"torchvision": version, "networks": found}) + "\n",
                    encoding="utf-8")


if __name__ == "__main__":
    main()
