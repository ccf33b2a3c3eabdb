"""The 1x1 convolution between a tap with raw features and its predictors."""

from __future__ import annotations

import attrs
import pytest

import ssdreg
from ssdreg.errors import PlanError

PROJECTION = 24


@pytest.fixture(scope="module")
def backbone():
    return attrs.evolve(ssdreg.get_backbone("resnet18"), projections={32: PROJECTION})


def shapes(symbol, side):
    arguments, _, _ = symbol.infer_shape(data=(1, 3, side, side))
    return dict(zip(symbol.list_arguments(), arguments))


def test_the_plan_states_it(backbone):
    plan = ssdreg.plan(backbone, data_shape=128)
    assert plan.projections == (-1, PROJECTION, *[-1] * (len(plan.levels) - 2))
    assert [level.channels for level in plan.levels[:2]] == [256, PROJECTION]
    assert set(ssdreg.plan("resnet18", data_shape=128).projections) == {-1}


@pytest.mark.parametrize("head", ["ssd", "ssdlite"])
def test_predictors_and_extra_levels_stand_on_it(backbone, head):
    plan = ssdreg.plan(backbone, data_shape=128, head=head)
    found = shapes(ssdreg.build(backbone, data_shape=128, head=head, mode="deploy"), 128)
    name = f"{plan.taps[1]}_projection"
    assert found[f"{name}_conv_weight"] == (PROJECTION, 512, 1, 1)
    assert found[f"{name}_bn_gamma"] == (PROJECTION,)
    reading = [shape for parameter, shape in found.items()
               if parameter.startswith((f"{name}_relu_", "multi_feat_2_conv_1x1"))
               and parameter.endswith("weight")]
    assert len(reading) >= 3
    # a depthwise convolution has one input channel, and as many outputs as the projection
    assert all(PROJECTION in shape[:2] for shape in reading)


def test_it_can_be_overridden():
    plan = ssdreg.plan("resnet18", data_shape=128, projections=(32, -1, -1, -1))
    assert plan.levels[0].channels == 32


@pytest.mark.parametrize(("projections", "message"), [
    ((0, -1, -1, -1), "level 0: projections must hold a positive whole number, or -1"),
    ((-1, -1, 8, -1), "level 2 is made by a convolution: its entry in projections must be -1"),
    ((8,), "projections has 1 entries, but there are 4 levels"),
])
def test_what_cannot_be(projections, message):
    with pytest.raises(PlanError, match=message):
        ssdreg.plan("resnet18", data_shape=128, projections=projections)


def test_a_level_is_normalised_or_projected():
    with pytest.raises(PlanError, match="level 0 has an L2 scale in normalizations and channels"):
        ssdreg.plan("vgg16_reduced", data_shape=300, projections=(8, -1, -1, -1, -1, -1))
