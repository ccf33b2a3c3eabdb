"""Names for somebody who wrote another one: close ones first, few of them, then how to list."""

from __future__ import annotations

from types import SimpleNamespace

import attrs
import pytest
from support.runs import command, refused

from ssdreg import UnknownNameError, Weights, get_backbone, hookimpl
from ssdreg.registry import host as plugins
from ssdreg.registry.suggestions import MOST, close, some
from ssdreg.weights.loading import find_weights

MANY = [f"net-{number}" for number in range(60)]


def test_a_sentence_lists_few_names():
    assert some([]) == ""
    assert some(["a", "b"]) == "a, b"
    assert some(MANY[:MOST]) == ", ".join(MANY[:MOST])
    assert some(MANY) == f"{', '.join(MANY[:MOST])} and 50 more"


@pytest.mark.parametrize(("wanted", "found"), [
    ("resnet18", ["resnet18_v1b", "gluon.resnet18_v1"]),
    ("ResNet-18", ["resnet18_v1b", "gluon.resnet18_v1"]),
    ("zzz", []),
])
def test_the_closest_come_first(wanted, found):
    names = ["gluon.vgg16", "gluon.resnet18_v1", "resnet18_v1b"]
    assert list(close(wanted, names, 2)) == found


@pytest.fixture
def crowd():
    backbone = get_backbone("resnet18")
    many = [attrs.evolve(backbone, name=name, aliases=(), family=name) for name in MANY]
    weights = [Weights(backbone=name, locate=lambda weights: None) for name in MANY]
    plugin = SimpleNamespace(ssdreg_backbones=hookimpl(lambda: many),
                             ssdreg_weights=hookimpl(lambda: weights))
    with plugins.register(plugin, "crowd"):
        yield


@pytest.mark.usefixtures("crowd")
def test_no_wall_of_names(capsys):
    done = command(capsys, "show", "zzzzzz")
    assert refused(done, "no backbone is called 'zzzzzz': there are ")
    assert "and 59 more. `ssdreg list` shows all" in done.err
    assert done.err.count("net-") < MOST
    assert refused(command(capsys, "show", "nett-5"), "did you mean net-5 or net-15")
    with pytest.raises(UnknownNameError) as caught:
        find_weights("vgg16_reduced")
    assert str(caught.value) == (f"no weights are declared for vgg16_reduced; they are for "
                                 f"{some(MANY)}; `ssdreg weights` lists all")
