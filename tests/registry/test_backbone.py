from __future__ import annotations

import json
import re

import attrs
import pytest

from ssdreg import Backbone, Extra, Preprocessing, Preset, Tap, get_backbone
from ssdreg.graph.finding import complete

TAPS = (Tap(1, 4, 16, "c1"), Tap(2, 8, 32, "c2"))


def declare(**changes) -> Backbone:
    fields = {"name": "tiny", "family": "tiny", "depth": 1, "build": "support.nets:residual",
              "taps": TAPS, "tap_strides": (4, 8), "paper": "https://example.org"}
    return Backbone(**{**fields, **changes})


def test_declarations_are_frozen_and_hashable():
    backbone = declare(arguments={"units": (2, 2)}, l2_scales={4: 20.0}, aliases=["small"],
                       presets=[Preset(data_shape=64, extras=[Extra(8)], steps=[8, 16, 32])])
    assert hash(backbone) == hash(attrs.evolve(backbone))
    assert backbone.arguments == (("units", (2, 2)),)
    assert backbone.aliases == ("small",)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        backbone.name = "other"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        backbone.taps[0].stride = 2


@pytest.mark.parametrize(("changes", "message"), [
    ({"taps": TAPS[::-1]}, "taps must be declared with rising strides, one a stride, not [8, 4]"),
    ({"taps": (*TAPS, TAPS[1])}, "one a stride, not [4, 8, 8]"),
    ({"tap_strides": (16,)}, "has no tap at stride 16: its taps are at 4, 8"),
    ({"projections": {16: 32}}, "has no tap at stride 16"),
    ({"projections": {4: 0}}, "the projection at stride 4 must have at least one channel, not 0"),
    ({"projections": {4: 32}, "l2_scales": {4: 20.0}},
     "the tap at stride 4 has an L2 scale and a projection; one of them is enough"),
    ({"tap_strides": (8, 4)}, "tap_strides must list strides in rising order"),
    ({"l2_scales": {16: 20.0}}, "has no tap at stride 16"),
    ({"l2_scales": {4: -1.0}}, "the L2 scale at stride 4 must be positive, not -1.0"),
    ({"presets": (Preset(data_shape=64, tap_strides=(2,)),)}, "has no tap at stride 2"),
    ({"depth": 0}, "depth"),
    ({"name": ""}, "name must be of letters, digits and - _ . +, and begin with one of the first"),
    ({"name": "tiny res!"}, "Backbone 'tiny res!': name must be of letters, digits and - _ . +"),
    ({"name": "-tiny"}, "not '-tiny'"),
    ({"name": "a/b"}, "not 'a/b'"),
    ({"aliases": ("tiny", "tiny res!")}, "aliases must be of letters, digits and - _ . +"),
    ({"paper": ""}, "paper"),
])
def test_a_declaration_that_contradicts_itself(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        declare(**changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"taps": ("c1", "c2")}, "Tap"),
    ({"name": 3}, "name"),
    ({"tap_strides": None}, "Backbone 'tiny': tap_strides must be a list or tuple, not None"),
    ({"taps": None}, "taps must be a list or tuple, not None"),
    ({"presets": 3}, "presets must be a list or tuple, not 3"),
    ({"aliases": None}, "aliases must be a list or tuple, not None"),
    ({"tap_strides": "8"}, "tap_strides must be a list or tuple, not '8'"),
    ({"aliases": "small"}, "aliases must be a list or tuple of names, not the text 'small'"),
    ({"aliases": (1,)}, "aliases"),
    ({"arguments": {"units": [2, 2]}},
     "the argument 'units' must be hashable (a tuple instead of a list), not [2, 2]"),
    ({"build": "nets.residual"}, "build must be a callable or 'module:function'"),
    ({"build": None}, "build must be a callable or 'module:function'"),
])
def test_a_declaration_of_wrong_types(changes, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        declare(**changes)


@pytest.mark.parametrize("fields", [
    {"stage": -1, "stride": 4, "channels": 16, "node": "c1"},
    {"stage": 1, "stride": 0, "channels": 16, "node": "c1"},
    {"stage": 1, "stride": 4, "channels": 0, "node": "c1"},
    {"stage": 1, "stride": 4, "channels": 16, "node": ""},
])
def test_a_tap_has_positive_numbers_and_a_name(fields):
    with pytest.raises(ValueError, match=r"must be|Length"):
        Tap(**fields)


@pytest.mark.parametrize("fields", [{"mean": (1.0, 2.0)}, {"mean": (-1.0, 0.0, 0.0)},
                                    {"std": (1.0, 1.0, 0.0)}])
def test_normalisation_is_checked(fields):
    with pytest.raises(ValueError, match="three values"):
        Preprocessing(**fields)


def test_a_tap_by_stride_and_a_scale():
    backbone = declare(l2_scales={4: 20.0}, projections={8: 64})
    assert backbone.tap(8) == TAPS[1]
    assert backbone.l2_scale(4) == 20.0
    assert backbone.l2_scale(8) is None
    assert backbone.projection(8) == 64
    assert backbone.projection(4) is None


def test_a_preset_is_for_its_square_only():
    preset = Preset(data_shape=64)
    backbone = declare(presets=(preset,))
    assert backbone.preset((64, 64)) == preset
    assert backbone.preset((64, 96)) is None
    assert backbone.preset((96, 96)) is None


def test_a_symbol_is_built_from_text_or_a_callable_with_arguments():
    from ssdreg.mx import mx

    def build(channels: int) -> mx.sym.Symbol:
        return mx.sym.Convolution(mx.sym.Variable("data"), num_filter=channels, kernel=(1, 1))
    assert declare().symbol().list_outputs() == ["fc_output"]
    symbol = declare(build=build, arguments={"channels": 5}).symbol()
    assert json.loads(symbol.tojson())["nodes"][-1]["attrs"]["num_filter"] == "5"


@pytest.mark.parametrize("name", ["resnet18", "inceptionv3", "vgg16_reduced"])
def test_names_do_not_depend_on_what_was_built_before(name):
    from ssdreg.mx import mx
    first = get_backbone(name).symbol().tojson()
    mx.sym.Activation(mx.sym.Variable("data") + 1, act_type="relu")
    get_backbone("resnet34").symbol()
    assert get_backbone(name).symbol().tojson() == first


def test_deeper_members_of_a_family_have_more_parameters():
    import ssdreg
    sizes: dict[str, list[int]] = {}
    for backbone in ssdreg.list_backbones():  # sorted by family and depth
        found = ssdreg.verify(backbone.symbol(), complete(backbone).taps, 299)
        sizes.setdefault(backbone.family, []).append(found.weights)
    assert len(sizes["resnet"]) == 7
    for family in sizes.values():
        assert family == sorted(set(family))
