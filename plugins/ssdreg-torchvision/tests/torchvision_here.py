"""torchvision as it can be had here: with its own operators, or with suppression written anew.

torchvision's wheels on PyPI are built for PyTorch with CUDA: beside a PyTorch without, their
compiled operators cannot be loaded. Of these only `nms` is needed by an SSD: it is given one in
Python then, which drops, as torchvision documents, whatever overlaps a better box by more than the
threshold.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: there is nothing to "
                                            "compare with")


def nms(boxes, scores, threshold):
    """Return the indices of boxes (N, 4) that stay, the best first."""
    order = np.argsort(-scores.numpy(), kind="stable")
    boxes = boxes.numpy()[order]
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept, left = [], np.arange(len(boxes))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(order[best])
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        inner = np.prod(np.maximum(high - low, 0), axis=1)
        left = left[~(inner > threshold * (areas[best] + areas[left] - inner))]
    return torch.tensor(np.array(kept, np.int64))


def _import():
    """Import torchvision; give it what its compiled operators would bring, where they fail."""
    try:
        import torchvision
        return torchvision, None
    except ImportError:
        pytest.skip("torchvision is not installed: there is nothing to compare with",
                    allow_module_level=True)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):  # those that torchvision wants to be there
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    import torchvision
    torchvision.ops.boxes._assert_has_ops = lambda: None
    return torchvision, library


#: The package, and the library that stands for its operators (None where they are its own), which
#: lives as long as it is kept.
torchvision, _library = _import()
