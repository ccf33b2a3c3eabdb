"""A backbone of every family and every head: a step and a detection are those of MXNet.

In double precision; see `ssdreg_torch.parity` for why. Targets are equal one by one. All backbones
take minutes: `benchmarks/torch_parity.py` holds them, and PARITY.md is its table.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from ssdreg_torch.parity import compare  # noqa: E402

from ssdreg.detector.built import BuiltBackbone  # noqa: E402
from ssdreg.registry.names import list_backbones, list_heads  # noqa: E402
from ssdreg.testing.small import smallest_detector  # noqa: E402

#: Families that differ in numbers of channels alone from one that is tried.
WIDER = {"densenet-k32": "densenet-k16", "densenet-k48": "densenet-k16",
         "gluon-densenet-wide": "gluon-densenet"}
#: The shallowest of each family, which computes by the same operators as its deeper ones.
BACKBONES = tuple({backbone.family: backbone.name for backbone in reversed(list_backbones())
                   if not backbone.name.startswith("gluoncv.")
                   and backbone.family not in WIDER}.values())
#: A backbone on which every head is tried.
EVERY_HEAD = "resnet18"


def check(backbone, head):
    parity = compare(smallest_detector(BuiltBackbone.of(backbone), head))
    assert parity.targets == 0
    assert parity.outputs <= 1e-6
    assert parity.loss <= 1e-6
    assert parity.gradients <= 1e-4
    # MXNet keeps their momentum in float32
    assert parity.moments <= 1e-6
    assert parity.detections <= 1e-5


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_is_mxnets(backbone):
    check(backbone, "ssd")


@pytest.mark.parametrize("head", [head.name for head in list_heads() if head.name != "ssd"])
def test_a_head_is_mxnets(head):
    check(EVERY_HEAD, head)
