"""Files of strangers take time and memory by their size, whatever is written in them."""

from __future__ import annotations

import json
import time

import pytest
from support import checkpoints as files
from support.checkpoints import SIDE, own_symbol
from support.voc import add, found

import ssdreg
from ssdreg.checkpoints.layout import _sources
from ssdreg.graph import symbol_file
from ssdreg.graph.nodes import MAX_NODES
from ssdreg.graph.symbol import read_graph
from ssdreg.graph.symbol_file import Net, parse
from ssdreg.mx import mx
from ssdreg.runs.params import read_params
from ssdreg.runs.run import open_run
from ssdreg.training import state


@pytest.fixture
def quick():
    """Fail where a bound does not hold: what is bounded takes well below a second."""
    started = time.process_time()
    yield
    assert time.process_time() - started < 20


def doubling(op, count):
    """Return a graph in which every node reads the one before it twice."""
    nodes = [{"op": "null", "name": "data", "inputs": []}]
    nodes += [{"op": op, "name": f"n{index}", "inputs": [[index, 0, 0]] * 2}
              for index in range(count)]
    return {"nodes": nodes, "arg_nodes": [0], "heads": [[count, 0, 0]]}


# Symbols

def test_gates_behind_gates_are_passed_once(quick):
    x = start = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(1, 1), name="c")
    for index in range(60):
        x = mx.sym.elemwise_mul(mx.sym.sigmoid(x), mx.sym.relu(x), name=f"p{index}")
    graph = read_graph(mx.sym.elemwise_add(start, x, name="sum"), (8, 8))
    assert not graph.merges(graph.find("sum"))


def test_moves_behind_moves_end(quick):
    net = Net(tuple(doubling("Concat", 100)["nodes"]), ((100, 0),))
    with pytest.raises(ValueError, match="'n99' moves values about in more than 10,000 steps"):
        list(_sources(net, 100, "Convolution"))
    # deep, and no more than that
    chain = [{"op": "null", "name": "data", "inputs": []}, {"op": "Convolution", "name": "c",
                                                            "inputs": [[0, 0, 0]]}]
    chain += [{"op": "Reshape", "name": f"r{index}", "inputs": [[index + 1, 0, 0]]}
              for index in range(5_000)]
    assert list(_sources(Net(tuple(chain), ((5_001, 0),)), 5_001, "Convolution")) == [1]


def test_a_symbol_of_too_many_nodes(quick):
    content = doubling("elemwise_add", MAX_NODES)
    with pytest.raises(ssdreg.RunError, match="20,001 nodes, and no network has more than 20,000"):
        parse(json.dumps(content), "net")
    with pytest.raises(ssdreg.TapError, match="20,001 nodes"):
        read_graph(mx.sym.load_json(json.dumps(content)), (8, 8))


def test_a_name_that_is_too_long(tmp_path):
    content = doubling("elemwise_add", 1)
    content["nodes"][1]["name"] = "expand_conv0_" * 100
    with pytest.raises(ssdreg.RunError, match="the name of node 1 has 1,300 characters"):
        parse(json.dumps(content), "net")
    mx.nd.save(str(tmp_path / "a.params"), {"a" * 2_000: mx.nd.zeros(1)})
    with pytest.raises(ssdreg.RunError, match="holds a name of 2,000 characters"):
        read_params(tmp_path / "a.params")


@pytest.mark.parametrize(("change", "says"), [
    (lambda it: it["nodes"][1].update(inputs=[[1, 0, 0]]), "reads a node that does not "),
    (lambda it: it["nodes"].extend([it["nodes"][0]] * MAX_NODES), "no network has more than"),
    (lambda it: it.update(heads=[]), "it has no outputs"),
])
def test_a_damaged_symbol_of_a_run_does_not_reach_mxnet(tmp_path, tiny_run, change, says):
    (tmp_path / "config.json").write_bytes((tiny_run / "config.json").read_bytes())
    content = json.loads((tiny_run / "deploy-symbol.json").read_text())
    change(content)
    (tmp_path / "deploy-symbol.json").write_text(json.dumps(content))
    with pytest.raises(ssdreg.RunError, match=says):
        open_run(tmp_path).load_symbol()
    with (tmp_path / "deploy-symbol.json").open("wb") as file:
        file.truncate(symbol_file.MAX_BYTES + 1)
    with pytest.raises(ssdreg.RunError, match="no symbol is that large"):
        open_run(tmp_path).load_symbol()


# Numbers

@pytest.mark.parametrize("text", ["9" * 5_000, "²", "0", "-3", "1e3", "", "９"])
def test_hyperparameters_that_are_no_size(tmp_path, text):
    files.write(tmp_path / "model_algo_1", own_symbol("train"), SIDE, epoch=0)
    (tmp_path / "hyperparams.json").write_text(json.dumps(
        {"base_network": "resnet-50", "image_shape": text, "num_classes": text}))
    assert ssdreg.load_checkpoint(tmp_path, data_shape=SIDE).plan.data_shape == (SIDE, SIDE)
    with pytest.raises(ssdreg.RunError, match="give it with --data-shape"):
        ssdreg.load_checkpoint(tmp_path)


def test_an_input_that_is_too_large(tmp_path):
    files.write(tmp_path / "net", own_symbol("train"), SIDE, epoch=0)
    with pytest.raises(ssdreg.RunError, match="cannot be of an input of 100000x100000 pixels"):
        ssdreg.load_checkpoint(tmp_path / "net", data_shape=100_000)


def test_anchors_that_are_no_distance_apart(tmp_path):
    symbol = own_symbol("train").tojson()
    content = json.loads(symbol)
    for node in content["nodes"]:
        if node["op"] == "_contrib_MultiBoxPrior":
            node["attrs"]["steps"] = "(1e-300, 1e-300)"
    (tmp_path / "net-symbol.json").write_text(json.dumps(content))
    with pytest.raises(ssdreg.RunError, match="cannot be of an input of 16385x16385 pixels"):
        ssdreg.load_checkpoint(tmp_path / "net-symbol.json")


# JSON and XML

@pytest.mark.parametrize("name", ["config.json", "state.json"])
def test_json_that_is_nested_too_deep(tmp_path, tiny_run, name):
    for each in ("config.json", "state.json"):
        (tmp_path / each).write_bytes((tiny_run / each).read_bytes())
    (tmp_path / name).write_text("[" * 200_000)
    with pytest.raises(ssdreg.RunError, match=name):
        state.load_source(open_run(tmp_path))


BOMB = ('<!DOCTYPE a [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + index)} "{f"&{chr(97 + index)};" * 10}">' for index in range(9)) +
    "]><annotation><object><name>&j;</name></object></annotation>")


@pytest.mark.parametrize("text", [BOMB, BOMB.replace("<!DOCTYPE", '<?xml version="1.0"?><!DOCTYPE'),
                                  "<a>" * 1_000_000])
def test_annotations_that_grow(tmp_path, quick, text):
    add(tmp_path, "good", ("dog", 0, 1, 1, 9, 9))
    add(tmp_path, "bad", ("dog", 0, 1, 1, 9, 9))
    (tmp_path / "Annotations" / "bad.xml").write_text(text)
    assert found(tmp_path) == {("bad.xml", "unreadable annotation")}


def test_an_annotation_that_is_too_large(tmp_path):
    add(tmp_path, "good", ("dog", 0, 1, 1, 9, 9))
    add(tmp_path, "bad", ("dog", 0, 1, 1, 9, 9))
    with (tmp_path / "Annotations" / "bad.xml").open("wb") as file:
        file.truncate(2**30)
    assert found(tmp_path) == {("bad.xml", "unreadable annotation")}
