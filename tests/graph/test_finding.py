"""Backbones that declare no taps, or no strides to detect at."""

from __future__ import annotations

import attrs
import pytest
from ssdreg_runtime.system.tables import text_table

import ssdreg
from ssdreg.graph.finding import complete


@pytest.fixture(scope="module")
def declared():
    return ssdreg.get_backbone("resnet18")


@pytest.fixture(scope="module")
def undeclared(declared):
    return attrs.evolve(declared, name="undeclared", aliases=(), taps=(), tap_strides=())


def nodes(backbone):
    return [(tap.stride, tap.channels, tap.node) for tap in backbone.taps]


def test_what_is_declared_stays(declared):
    assert complete(declared) is declared


def test_taps_are_found_and_the_two_coarsest_detect(declared, undeclared):
    found = complete(undeclared)
    assert nodes(found) == nodes(declared)
    assert found.tap_strides == (16, 32)
    assert attrs.evolve(found, taps=(), tap_strides=()) == undeclared


def test_declared_strides_are_kept_with_found_taps(undeclared):
    found = complete(attrs.evolve(undeclared, tap_strides=(8, 16, 32)))
    assert found.tap_strides == (8, 16, 32)
    with pytest.raises(ValueError, match="has no tap at stride 64"):
        complete(attrs.evolve(undeclared, tap_strides=(64,)))


def test_a_detector_is_built_as_if_they_were_declared(declared, undeclared):
    plan, same = ssdreg.plan(undeclared), ssdreg.plan(declared)
    assert plan == attrs.evolve(same, backbone="undeclared")
    assert ssdreg.build(undeclared).tojson() == ssdreg.build(declared).tojson()


def test_listing_does_not_build_it(undeclared):
    from ssdreg.cli.commands.list import row
    assert "found from the graph" in text_table(("a", "b", "c", "d"), [row(undeclared)])
