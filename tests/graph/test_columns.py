"""A symbol read as MXNet lists it says what its JSON says, or is not read so."""

from __future__ import annotations

import pytest
from support.nets import NETS, conv

import ssdreg
from ssdreg.graph.columns import Document, Listing, read_columns
from ssdreg.graph.symbol import graph_at, read_graph
from ssdreg.graph.wiring import read_wiring
from ssdreg.mx import mx

sym = mx.sym


def contents(columns):
    """Return all that columns say of the nodes."""
    nodes = [columns.node(index) for index in range(len(columns.names))]
    return ([(node.op, node.name, node.attrs, node.inputs) for node in nodes],
            list(columns.names), list(columns.ops), list(columns.sources), columns.heads)


def read(symbol):
    return read_columns(symbol, symbol.get_internals().list_outputs())


SYMBOLS = {
    **{name: net[0] for name, net in NETS.items()},
    **{each.name: each.symbol for each in ssdreg.list_backbones()},
    "detections": lambda: ssdreg.build("resnet18", 3, 96, mode="deploy"),
    "several outputs": lambda: sym.split(sym.Variable("data"), 3, axis=1, name="split"),
    "a group": lambda: sym.Group([sym.relu(sym.Variable("data"), name="a"), sym.Variable("b")]),
    "no inputs": lambda: sym.broadcast_add(sym.Variable("data"), sym.zeros((1, 3)), name="sum"),
}


@pytest.mark.parametrize("name", SYMBOLS)
def test_both_say_the_same(name):
    symbol = SYMBOLS[name]()
    listing = Listing.read(symbol)
    if listing is not None:
        assert contents(listing) == contents(Document.read(symbol))


@pytest.mark.parametrize("name", [each.name for each in ssdreg.list_backbones()])
def test_backbones_are_read_as_they_are_listed(name):
    columns, outputs = read(SYMBOLS[name]())
    assert isinstance(columns, Listing)
    assert None not in outputs


def twice():
    x = conv(sym.Variable("data"), "c1", 4)
    x = sym.Activation(x, act_type="relu", name="act")
    return sym.Activation(conv(x, "c2", 4), act_type="relu", name="act")


@pytest.mark.parametrize("make", [
    twice,                                          # two nodes of one name
    lambda: sym.Variable("data"),                   # no operator
    lambda: sym.relu(sym.Variable("data"), name="a\nVariable:b"),
    lambda: sym.elemwise_add(sym.Variable("data"), sym.Variable("w\nVariable:v"), name="sum"),
    lambda: sym.relu(sym.Variable("data"), name="a\n--------------------\nOp:relu, Name=b"),
])
def test_what_does_not_tally_is_read_from_json(make):
    symbol = make()
    columns, _ = read(symbol)
    assert contents(columns) == contents(Document.read(symbol))


def test_a_setting_of_several_lines():
    symbol = sym.relu(sym.Variable("data"), name="a", attr={"__note__": "two\nlines=\n3"})
    columns, _ = read(symbol)
    assert isinstance(columns, Listing)
    assert contents(columns) == contents(Document.read(symbol))


@pytest.mark.parametrize("name", NETS)
def test_one_wiring_serves_every_size(name):
    symbol = SYMBOLS[name]()
    wiring = read_wiring(symbol)
    for shape in ((64, 64), (96, 128)):
        again, graph = graph_at(wiring, shape), read_graph(symbol, shape)
        assert (again.shapes, again.strides, again.trunk) == (
            graph.shapes, graph.strides, graph.trunk)
        assert again.find("data").shape == (1, 3, *shape)
