"""Symbol files: what MXNet would crash at, or allocate without end for, does not reach it."""

from __future__ import annotations

import json

import pytest

from ssdreg.deploy.executor import Inference
from ssdreg.errors import RunError
from ssdreg.graph.symbol_file import parse, read_symbol
from ssdreg.mx import mx
from ssdreg.runs.params import Params


def symbol_of(op, **attrs):
    """A symbol file of one operator that reads the picture, and parameters where it has some."""
    count = {"Convolution": 3, "Deconvolution": 2, "GroupNorm": 3}.get(op, 1)
    nodes = [{"op": "null", "name": name, "inputs": []} for name in ("data", "w", "b")[:count]]
    nodes.append({"op": op, "name": "layer", "attrs": attrs,
                  "inputs": [[index, 0, 0] for index in range(count)]})
    return {"nodes": nodes, "arg_nodes": list(range(count)), "heads": [[count, 0, 0]],
            "attrs": {"mxnet_version": ["int", 10901]}}


def both_refuse(tmp_path, document, says):
    file = tmp_path / "net-symbol.json"
    file.write_text(json.dumps(document))
    for read in (lambda: read_symbol(file), lambda: parse(file.read_text(), str(file))):
        with pytest.raises(RunError, match=rf"net-symbol\.json is no symbol of MXNet.*{says}"):
            read()


@pytest.mark.parametrize(("op", "attrs"), [
    # MXNet divides by these: the process ends with SIGFPE
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "4", "num_group": "0"}),
    ("Deconvolution", {"kernel": "(3, 3)", "num_filter": "4", "num_group": "0"}),
    ("GroupNorm", {"num_groups": "0"}),
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "4", "stride": "(1, 0)"}),
    ("Convolution", {"kernel": "(0L, 3L)", "num_filter": "4"}),
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "4", "dilate": "(0, 0)"}),
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "4", "pad": "(-5, -5)"}),
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "9" * 5000}),
    ("Pooling", {"kernel": "(2, 2)", "stride": "[0, 0]", "pool_type": "max"}),
    ("SliceChannel", {"num_outputs": "0"}),
])
def test_a_layer_that_cannot_be(tmp_path, op, attrs):
    both_refuse(tmp_path, symbol_of(op, **attrs), r"node \d \('layer'\) has .* no layer can have")


@pytest.mark.parametrize("shape", ["(-4, 0, -1, 0, 0)", "(0, -4, 3, 0, 0, 0)"])
def test_a_reshape_that_divides_by_nothing(tmp_path, shape):
    both_refuse(tmp_path, symbol_of("Reshape", shape=shape), "which divides by 0")
    file = tmp_path / "net-symbol.json"
    file.write_text(json.dumps(symbol_of("Reshape", shape="(0, -4, 3, 1, 0, 0)")))
    assert read_symbol(file).list_outputs() == ["layer_output"]


def test_an_output_that_an_operator_has_not(tmp_path):
    document = symbol_of("relu")
    document["nodes"][1]["inputs"] = [[0, 2**31, 0]]
    both_refuse(tmp_path, document, "'data' has no output 2147483648")


def test_a_setting_that_is_no_text(tmp_path):
    both_refuse(tmp_path, symbol_of("Pooling", kernel=[0, 0]), "which is no text")


@pytest.mark.parametrize(("op", "attrs"), [
    # refused when it is bound, and when it computes
    ("transpose", {"axes": "(9, 8, 7, 6)"}), ("topk", {"k": "99999"}),
    ("Pooling", {"kernel": "(2, 2)", "pad": "(9, 9)", "pool_type": "avg"}),
    ("softmax", {"axis": "9"}),
])
def test_a_layer_that_mxnet_refuses(tmp_path, op, attrs):
    file = tmp_path / "net-symbol.json"
    file.write_text(json.dumps(symbol_of(op, **attrs)))
    symbol = read_symbol(file)
    with pytest.raises(RunError, match=r"cannot be (run on 1 pictures of 8x8 pixels|computed): "):
        Inference(symbol, Params({}, {}), 1, (8, 8)).detect(mx.nd.ones((1, 3, 8, 8)))
