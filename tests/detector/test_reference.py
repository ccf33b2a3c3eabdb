"""Built networks against those that MXNet users have trained, and against our own numbers.

The large reference lies beside the repository, where it is; `reference/` holds a small one.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from support import make_reference, paths, reference_rule
from support.reference_rule import among_ties

import ssdreg
from ssdreg.backbones import ssdreg_backbones

SHARED = paths.SHARED / "reference"
OWN = paths.TESTS / "reference"
TOLERANCE = 1e-4
#: The reference's two sources differ in the anchors' table: rounded, or exact.
SCHEMES = {"example-ssd": "example", "mxnet-ssd": "paper", "ssdreg": "example"}

pytestmark = pytest.mark.reference


def name_of(path):
    """Return what a reference is called; `tools/test-plugins` tries those of plug-ins alone."""
    network = json.loads(path.read_text(encoding="utf-8"))["network"]
    built_in = {backbone.name for backbone in ssdreg_backbones()}
    return path.stem if network in built_in else f"{path.stem}-of-a-plug-in"


def files():
    found = [pytest.param(path, id=name_of(path))
             for folder in (OWN, SHARED) for path in sorted(folder.glob("*.json"))]
    if not SHARED.is_dir():
        found.append(pytest.param(None, id="shared", marks=pytest.mark.skip(
            reason=f"there is no large reference at {SHARED}")))
    return found


@pytest.fixture(scope="module", params=files())
def reference(request):
    content = json.loads(request.param.read_text(encoding="utf-8"))
    try:
        ssdreg.get_backbone(content["network"])
    except ssdreg.UnknownNameError:
        pytest.skip(f"{content['network']} is not built in, and no installed plug-in brings it")
    return content


@pytest.fixture(scope="module")
def network(reference):
    return reference_rule.network(
        reference["network"], reference["num_classes"], reference["data_shape"],
        head=reference.get("head", "ssd"), sizes=SCHEMES[reference["source"]])


@pytest.fixture(scope="module")
def outputs(reference, network):
    return reference_rule.outputs(network, reference["salt"])


def entries(value):
    """What JSON makes of a plan's tuples."""
    return json.loads(json.dumps(value))


def test_plan(reference, network):
    plan = network.plan
    # the large reference lists taps alone, this project's an entry for every level
    taps = [layer for layer in reference["from_layers"] if layer]
    assert list(plan.taps) == taps
    # MXNet's example takes the entry of a normalised tap out of the list while it builds VGG
    filters = reference["num_filters"]
    assert list(plan.num_filters[-len(filters):]) == filters
    popped = len(plan.num_filters) - len(filters)
    assert popped == (reference["source"] == "example-ssd" and plan.normalizations[0] > 0)
    assert list(plan.strides) == reference["strides"]
    assert list(plan.pads) == reference["pads"]
    # the exact table was computed in single precision
    np.testing.assert_allclose(plan.sizes, reference["sizes"], rtol=1e-6)
    assert entries(plan.ratios) == reference["ratios"]
    scales = reference["normalizations"]
    assert list(plan.normalizations) == (scales if isinstance(scales, list)
                                         else [scales] * len(plan.levels))
    assert list(plan.steps) == reference["steps"]


def test_levels(reference, network):
    measured = {level.node: reference_rule.map_shape(level)
                for level in network.plan.levels if level.node}
    assert entries(measured) == reference["tap_shapes"]
    assert network.plan.anchors == reference["anchors"]["shape"][1]


def test_names_and_shapes(reference, network):
    assert entries(network.arguments) == reference["arguments"]
    assert entries(network.auxiliary) == reference["auxiliary"]
    assert entries(network.train_outputs) == reference["train_outputs"]
    assert network.deploy.list_outputs() == reference["deploy_outputs"]
    count = sum(int(np.prod(shape))
                for shape in (*network.arguments.values(), *network.auxiliary.values()))
    assert count == reference.get("parameters", count)


@pytest.mark.parametrize("name", reference_rule.SAMPLED)
def test_values(reference, outputs, name):
    expected, got = reference[name], outputs[name]
    assert list(got.shape) == expected["shape"]
    values = np.array(expected["value"])
    sampled = got.ravel()[expected["index"]]
    if name == "detection":
        sampled = [among_ties(got, index, value)
                   for index, value in zip(expected["index"], values)]
    error = np.abs(sampled - values).max()
    assert error <= TOLERANCE * np.abs(values).max()
    # signs cancel in a sum: its error is measured by what was summed
    allowed = TOLERANCE * expected["abs_sum"]
    for key, total in reference_rule.summary(got).items():
        assert total == pytest.approx(expected[key], rel=0, abs=allowed), key


def test_detections_that_survive(reference, outputs):
    assert int((outputs["detection"][..., 0] >= 0).sum()) == reference["valid_detections"]


def test_every_own_reference_is_made_by_the_script():
    assert {path.name for path in OWN.glob("*.json")} == {
        case.path.name for case in make_reference.CASES}
