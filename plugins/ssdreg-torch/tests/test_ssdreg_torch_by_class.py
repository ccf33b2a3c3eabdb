"""Detections of every class an anchor may be: what MXNet finds, PyTorch finds."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import ssdreg_torch  # noqa: E402

from ssdreg import ops  # noqa: E402
from ssdreg.detector.post_processing import ByClassProcessing  # noqa: E402
from ssdreg.mx import mx  # noqa: E402
from ssdreg.runs.params import Params  # noqa: E402

BATCH, CLASSES, COUNT = 3, 4, 500


def predicted(seed):
    """Return probabilities, offsets and anchors, made by rule."""
    rng = np.random.RandomState(seed)
    scores = np.exp(rng.normal(0, 2, (BATCH, CLASSES + 1, COUNT)))
    middle, half = rng.uniform(0, 1, (1, COUNT, 2)), rng.uniform(0.02, 0.3, (1, COUNT, 2))
    return {"prob": scores / scores.sum(1, keepdims=True),
            "loc": rng.normal(0, 2, (BATCH, COUNT * 4)),
            "anchors": np.concatenate((middle - half, middle + half), axis=2)}


@pytest.mark.parametrize("settings", [
    {}, {"nms_topk": 30, "most": 20}, {"threshold": 0.4, "nms_threshold": 0.6},
    {"nms_topk": -1, "most": 3000}, {"threshold": 0.9999999}])
def test_the_same_detections(settings):
    arrays = predicted(1)
    symbol = ops.detection_by_class(*map(mx.sym.Variable, arrays), ByClassProcessing(**settings),
                                    CLASSES, COUNT)
    given = {name: mx.nd.array(array) for name, array in arrays.items()}
    expected = symbol.bind(mx.cpu(), given, grad_req="null").forward()[0].asnumpy()
    module = ssdreg_torch.translate(symbol, Params({}, {})).eval()
    (found,), _ = module(**{name: torch.tensor(array, dtype=torch.float32)
                            for name, array in arrays.items()})
    assert (expected[..., 0] >= 0).any() == (settings.get("threshold") != 0.9999999)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)
