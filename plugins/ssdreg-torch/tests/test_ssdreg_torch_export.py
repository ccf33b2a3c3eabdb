"""The exported file computes what the symbols say: a backbone of every family, every head, losses.

In double precision; see `ssdreg_torch.parity` for why. What the file is without ssdreg is in
test_ssdreg_torch_alone.py. All
backbones take minutes: `benchmarks/torch_export_parity.py` holds them, and PARITY.md has its table.
"""

from __future__ import annotations

import re

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from ssdreg_torch.export import write  # noqa: E402
from ssdreg_torch.export.lines import WIDTH, broken  # noqa: E402
from ssdreg_torch.export.running import imported  # noqa: E402
from ssdreg_torch.export.tensors import read_tensors, write_tensors  # noqa: E402
from ssdreg_torch.exported_parity import ExportedCase, gradients_apart  # noqa: E402

import ssdreg  # noqa: E402
from ssdreg.deploy.model import DeployModel  # noqa: E402
from ssdreg.deploy.random_params import random_params  # noqa: E402
from ssdreg.detector.build import design  # noqa: E402
from ssdreg.detector.built import BuiltBackbone  # noqa: E402
from ssdreg.detector.overrides import Overrides  # noqa: E402
from ssdreg.errors import ExportError  # noqa: E402
from ssdreg.mx import mx  # noqa: E402
from ssdreg.registry.names import list_backbones, list_heads  # noqa: E402
from ssdreg.testing.small import smallest_detector  # noqa: E402

#: Families that differ in numbers of channels alone from one that is tried.
WIDER = {"densenet-k32": "densenet-k16", "densenet-k48": "densenet-k16",
         "gluon-densenet-wide": "gluon-densenet"}
#: Heads that detect every class an anchor may be, which is not written as a program.
EVERY_CLASS = ("torchvision_ssd", "torchvision_ssdlite")
#: The shallowest of each family, which computes by the same operators as its deeper ones.
BACKBONES = tuple({backbone.family: backbone.name for backbone in reversed(list_backbones())
                   if not backbone.name.startswith("gluoncv.")
                   and backbone.family not in WIDER}.values())
EVERY_HEAD = "resnet18"
CLASSES = ("circle", "square", "triangle")


def check(case):
    """Hold detections, the loss and all gradients against MXNet's."""
    assert case.detections_apart() <= 1e-5
    expected = case.expected_step()
    loss, gradients = case.loss_and_gradients()
    assert loss == pytest.approx(case.loss_of(expected), rel=1e-5)
    assert gradients_apart(gradients, expected.gradients) <= 1e-4


def small(backbone, head, folder):
    detector = smallest_detector(BuiltBackbone.of(backbone), head)
    return ExportedCase(detector.plan, detector.train, detector.deploy, folder)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_is_mxnets(backbone, tmp_path):
    check(small(backbone, "ssd", tmp_path))
    assert max(map(len, (tmp_path / "detector.py").read_text().splitlines())) <= WIDTH


@pytest.mark.parametrize("head", [head.name for head in list_heads()
                                  if head.name != "ssd" and head.name not in EVERY_CLASS])
def test_a_head_is_mxnets(head, tmp_path):
    check(small(EVERY_HEAD, head, tmp_path))


@pytest.mark.parametrize("head", [head.name for head in list_heads() if head.name in EVERY_CLASS])
def test_detections_of_every_class_are_refused(head, tmp_path):
    with pytest.raises(ExportError, match="a detector's last operator is _contrib_MultiBoxDet"):
        check(small(EVERY_HEAD, head, tmp_path))


def test_the_focal_loss_of_ssd_is_mxnets(tmp_path):
    detector = design(EVERY_HEAD, 3, (64, 96), "ssd", Overrides(loss="focal"))
    check(ExportedCase(detector.plan, detector.symbol("train"), detector.symbol("deploy"),
                       tmp_path))
    assert "focal_loss(scores, " in (tmp_path / "detector.py").read_text()


def test_the_loss_of_overlaps_is_mxnets(tmp_path):
    detector = design(EVERY_HEAD, 3, (64, 96), "ssd", Overrides(box_loss="giou"))
    check(ExportedCase(detector.plan, detector.symbol("train"), detector.symbol("deploy"),
                       tmp_path))
    assert "2 * giou_loss(offsets, " in (tmp_path / "detector.py").read_text()


def test_running_moments_are_but_for_how_a_variance_divides(tmp_path):
    case = small(EVERY_HEAD, "ssd", tmp_path)
    expected = case.expected_step().moments
    case.network.train().loss(case.pixels, torch.from_numpy(case.label))
    counts = len(case.pixels) * case.plan.data_shape[0] * case.plan.data_shape[1]
    norm = case.network.bn_data
    assert norm.running_mean.numpy() == pytest.approx(expected["bn_data_moving_mean"], rel=1e-5)
    unbiased = .9 + (expected["bn_data_moving_var"] - .9) * counts / (counts - 1)
    assert norm.running_var.numpy() == pytest.approx(unbiased, rel=1e-5)


# What the file looks like

def test_the_network_is_written_as_one_would_write_it(tmp_path):
    detector = design("resnet18", 3, 300)
    plan, deploy = detector.plan, detector.symbol("deploy")
    write(DeployModel("resnet", deploy, random_params(deploy, plan.data_shape), plan, CLASSES),
          detector.symbol("train"), tmp_path)
    text = (tmp_path / "detector.py").read_text()
    for line in ("CLASSES = (\"circle\", \"square\", \"triangle\")", "DATA_SHAPE = (300, 300)",
                 "self.conv0 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)",
                 "self.bn_data = unscaled(nn.BatchNorm2d(3, eps=2e-05))",
                 "self.bn0 = nn.BatchNorm2d(64, eps=2e-05)",
                 "x = F.max_pool2d(x, 3, stride=2, padding=1)",
                 "x = F.relu(self.stage1_unit1_bn2(x))",
                 "# level 0: stride 16, 256 channels, 19 x 19 cells of 4 anchors",
                 "scores0 = by_cell(self.level0_cls_pred_conv(level0))",
                 "offset_loss = smooth_l1_loss(offsets, offset_targets, mask)"):
        assert f"{line}\n" in text
    assert not re.search(r"ssdreg_torch|import (attrs|numpy|mxnet|safetensors)", text)
    network = imported(tmp_path).Network()
    assert set(network.state_dict()) == set(read_tensors(tmp_path / "model.safetensors"))


def test_a_long_statement_is_broken_in_its_brackets():
    names = ", ".join(f"a_long_name_{number}" for number in range(12))
    lines = list(broken(f"        x = torch.cat(({names}), 1)"))
    assert all(len(line) <= WIDTH for line in lines)
    assert [len(line) - len(line.lstrip()) for line in lines] == [8, 23, 23]
    sides = ["a" * 50, "b" * 40]
    assert list(broken(f"    x = F.relu({' + '.join(sides)})")) == [
        f"    x = F.relu({sides[0]}", f"               + {sides[1]})"]
    assert list(broken("a = 1")) == ["a = 1"]


def test_tensors_are_read_back_by_safetensors_too(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    tensors = {"a.weight": torch.randn(3, 2), "count": torch.tensor(4),
               "half": torch.ones(5, dtype=torch.float16)}
    write_tensors(tmp_path / "t.safetensors", tensors, {"format": "pt"})
    for read in (read_tensors(tmp_path / "t.safetensors"),
                 safetensors.load_file(tmp_path / "t.safetensors")):
        assert set(read) == set(tensors)
        assert all(torch.equal(read[name], tensors[name]) and
                   read[name].dtype == tensors[name].dtype for name in tensors)


# What cannot be written

def sorting():
    """Return a network with an operator that nothing here writes."""
    with mx.name.NameManager():
        x = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=8, kernel=(3, 3), pad=(1, 1),
                               stride=(8, 8), name="stem")
        x = mx.sym.Activation(x, act_type="relu", name="stem_relu")
        x = mx.sym.Convolution(mx.sym.sort(x, axis=1, name="sorted"), num_filter=8, kernel=(3, 3),
                               pad=(1, 1), name="conv")
        return mx.sym.Activation(x, act_type="relu", name="tap")


def test_an_operator_that_cannot_be_written_is_named(tmp_path):
    backbone = ssdreg.Backbone(name="sorting", family="sorting", depth=2, build=sorting,
                               taps=[ssdreg.Tap(1, 8, 8, "tap")], paper="https://example.org")
    detector = design(backbone, 3, 64)
    deploy = detector.symbol("deploy")
    model = DeployModel("sorting", deploy, random_params(deploy, (64, 64)), detector.plan, CLASSES)
    with pytest.raises(ExportError, match=r"sort at node 'sorted' cannot be written as a PyTorch"):
        write(model, detector.symbol("train"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_symbols_of_two_networks_are_refused(tmp_path):
    one, other = (design(name, 3, 64) for name in ("resnet18", "mobilenet0.25"))
    deploy = one.symbol("deploy")
    model = DeployModel("mixed", deploy, random_params(deploy, (64, 64)), one.plan, CLASSES)
    with pytest.raises(ExportError, match="not of one network"):
        write(model, other.symbol("train"), tmp_path)
    with pytest.raises(ExportError, match="no loss that is taken from a label"):
        write(model, deploy, tmp_path)
    assert list(tmp_path.iterdir()) == []
