"""``ssdreg audit`` on configurations as MXNet's SSD example has them."""

from __future__ import annotations

import json

import pytest
from support import paths
from support.configurations import FACTORY, RESNET50
from support.runs import command, refused

import ssdreg
from ssdreg.auditing import RIGHT, UNKNOWN, WRONG
from ssdreg.auditing.configurations import read_configurations
from ssdreg.detector.families import parameter_count

REFERENCE = paths.SHARED / "reference"


@pytest.fixture
def factory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "symbol_factory.py"
    file.write_text(FACTORY)
    return file


def audited(capsys, *arguments):
    done = command(capsys, "audit", *arguments, "--json")
    assert done.err == ""
    return done.status, {each["preset"]: each for each in json.loads(done.out)}


def size(backbone, plan, data_shape=300):
    """Count the parameters of the example's detector on a backbone, whatever its taps are."""
    made = ssdreg.plan(backbone, 20, data_shape, from_layers=plan.from_layers)
    return parameter_count(ssdreg.assemble(ssdreg.get_backbone(backbone).symbol(), made, "deploy"),
                           made.data_shape)


# The example's file

def test_the_historic_mistake_is_found_and_nothing_else(capsys, factory):
    status, found = audited(capsys, factory)
    assert status == 1
    assert {name: each["verdict"] for name, each in found.items()} == {
        "vgg16_reduced at 300": RIGHT, "vgg16_reduced at 512": RIGHT, "inceptionv3": RIGHT,
        "resnet50": RIGHT, "resnet101": WRONG, "resnet152": WRONG, "someones_own": UNKNOWN,
        "in_a_loop": UNKNOWN, "resnet18": UNKNOWN}
    assert not (factory.parent / "executed").exists()


def test_its_figures_are_those_of_the_detectors(capsys, factory):
    _, found = audited(capsys, factory)
    wrong, own = found["resnet101"], ssdreg.plan("resnet101")
    assert wrong["published"] == size("resnet101", RESNET50)
    assert wrong["corrected"] == size("resnet101", own)
    assert wrong["published"] < found["resnet50"]["published"] < wrong["corrected"]
    assert [layer["name"] for layer in wrong["right"]] == list(own.taps)
    assert found["resnet152"]["share"] < wrong["share"] < 0.3


@pytest.mark.reference
@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference files are not beside the project")
@pytest.mark.parametrize("network", ["vgg16_reduced-300", "vgg16_reduced-512", "resnet50-300",
                                     "resnet101-512", "inceptionv3-512"])
def test_corrected_sizes_are_those_of_the_reference(capsys, factory, network):
    name, _, side = network.rpartition("-")
    reference = json.loads((REFERENCE / f"example-ssd-{network}.json").read_text())
    _, found = audited(capsys, factory, "--data-shape", side, "--num-classes",
                       reference["num_classes"])
    assert found[name]["corrected"] == reference["parameters"]


def test_what_cannot_be_told_is_reported_with_its_reason(capsys, factory):
    _, found = audited(capsys, factory)
    reasons = {name: each["reasons"][0] for name, each in found.items() if each["reasons"]}
    assert "no registered backbone is called 'someones_own'" in reasons["someones_own"]
    assert [layer["name"] for layer in found["someones_own"]["declared"]] == ["here", "there"]
    assert "its from_layers are computed, on line" in reasons["in_a_loop"]
    assert "get_config refuses this input size, on line" in reasons["resnet18"]


def test_a_given_input_size_is_the_only_one(capsys, factory):
    _, found = audited(capsys, factory, "--data-shape", 384)
    assert "vgg16_reduced" in found
    assert found["resnet18"]["verdict"] == RIGHT
    assert found["resnet18"]["published"] is None
    assert "its sizes are computed, on line" in found["resnet18"]["reasons"][0]


def test_the_table_names_every_network(capsys, factory):
    done = command(capsys, "audit", factory)
    names = [line.split()[0] for line in done.out.split("\n\n")[0].splitlines()[1:]
             if not line.startswith(" ")]
    assert names == ["vgg16_reduced", "vgg16_reduced", "inceptionv3", "resnet50", "resnet101",
                     "resnet152", "someones_own", "in_a_loop", "resnet18"]
    assert "resnet101: a tap is not the end of its stage\n- " in done.out


@pytest.mark.parametrize(("lines", "issue"), [
    (["from_layers = ['a']", *["from_layers = from_layers + from_layers"] * 30],
     "it makes a list of more than 2,000 entries, on line 14 of symbol_factory.py; write its "
     "configurations out, or give them as a dictionary"),
    (["n = 3", *["n = n * n"] * 30], "it makes a number of more than 1,024 bits, on line 13 of"),
    (["while True: pass"], "it takes more than 20,000 steps, on line 3 of"),
    (["with open('x'): pass"], "a with statement is not read, on line 3 of"),
    (["if unknown(): pass"], "what decides between its configurations is computed, on line 3 of"),
])
def test_a_network_that_is_not_read_says_where_and_what_to_do(capsys, factory, lines, issue):
    factory.write_text("def get_config(network, data_shape):\n    assert network == 'resnet50'\n" +
                       "".join(f"    {line}\n" for line in lines) + "    return locals()\n")
    status, found = audited(capsys, factory)
    assert (status, found["resnet50"]["verdict"]) == (1, UNKNOWN)
    assert issue in found["resnet50"]["reasons"][0]


def test_taps_that_another_name_adds_are_judged(capsys, factory):
    """What the example's list was given by another name is tapped too."""
    layers = list(RESNET50.from_layers)
    factory.write_text(f"""
def get_config(network, data_shape, from_layers=[]):
    if network == 'resnet50':
        same = from_layers
        same += {layers}
        return locals()
""")
    _, found = audited(capsys, factory)
    assert found["resnet50"]["verdict"] == RIGHT
    assert [layer["name"] for layer in found["resnet50"]["declared"]] == list(RESNET50.taps)


# Dictionaries

CONFIGURATION = {"network": "ResNet-101", "from_layers": list(RESNET50.from_layers)}


@pytest.mark.parametrize("write", [json.dumps, repr])
@pytest.mark.parametrize("value", [
    CONFIGURATION, [CONFIGURATION], {"ResNet-101": {"from_layers": CONFIGURATION["from_layers"]}}])
def test_a_dictionary_with_the_same_fields(capsys, tmp_path, write, value):
    file = tmp_path / ("config.json" if write is json.dumps else "config.txt")
    file.write_text(write(value))
    status, found = audited(capsys, file)
    assert (status, found["ResNet-101"]["verdict"]) == (1, WRONG)
    assert found["ResNet-101"]["published"] == size("resnet101", RESNET50)


def test_a_dictionary_may_have_its_own_input_size(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**CONFIGURATION, "data_shape": 512}))
    assert read_configurations(file)[0].data_shape == 512
    assert read_configurations(file, 256)[0].data_shape == 256


def test_fields_that_contradict_each_other_are_named(capsys, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**CONFIGURATION, "network": "resnet50", "strides": [1, 2]}))
    status, found = audited(capsys, file)
    assert (status, found["resnet50"]["published"]) == (0, None)
    assert "cannot be counted: strides has 2 entries" in found["resnet50"]["reasons"][0]


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("a.py", "def get_config(network", "it is neither Python 3 with the example's get_config"),
    ("a.py", "print('hello')", "it is neither Python 3 with the example's get_config"),
    ("a.py", "def get_config(network, data_shape):\n    return {}", "no name of a network"),
    ("a.json", "[]", "holds no configurations"),
    ("a.json", "{}", "holds no configurations"),
    ("a.json", "[3]", "'3' is no configuration"),
    ("a.json", '{"resnet50": 3}', "'3' is no configuration"),
    ("a.json", '{"network": "x", "from_layers": [], "data_shape": "big"}',
     "the data_shape of 'x' must be a side in pixels, not 'big'"),
    ("a.txt", "\0\1\2", "it is neither Python 3"),
    ("a.txt", "(" * 500, "it is neither Python 3"),
    ("a.txt", "-" * 100_000 + "1", "it is neither Python 3"),
    ("a.py", "not " * 50_000 + "x", "it is neither Python 3"),
    ("a.txt", "[" * 100 + "]" * 100, "is no configuration: it is nested more than 40 levels deep"),
    ("a.json", "[" * 900 + "]" * 900, "it is nested more than 40 levels deep"),
    ("a.py", "#" * 300_000, "has 300,000 bytes: no file of configurations has more than"),
    ("a.txt", "{'network': 'x', 'from_layers': [0x" + "f" * 5_000 + "]}",
     "it has a number of 20,000 bits"),
    ("a.json", json.dumps({"network": "x", "from_layers": ["a"] * 5_000}),
     "it has a list of 5,000 entries"),
    ("a.json", json.dumps({"network": "x", "from_layers": [], "data_shape": 10**9}),
     "must be a side in pixels, not 1000000000; the longest is 16384"),
    ("a.py", "@cached\ndef get_config(net, side):\n    return {}",
     "a.py, line 1: get_config is decorated"),
    ("a.py", "def get_config(net, side):\n    return {}\nget_config = wrapped(get_config)",
     "a.py, line 3: get_config is not simply defined"),
    ("a.py", "from x import *\ndef get_config(net, side):\n    return {}",
     "a.py, line 1: import * may give any name another meaning"),
    ("a.py", "def get_config(net, side):\n    yield {}", "a.py, line 2: a yield is not read; write "
     "its configurations out, or give them as a dictionary"),
    ("a.py", "def get_config(net, side):\n    return net in " + repr([f"n{i}" for i in range(101)]),
     "get_config asks for more than 100 networks"),
])
def test_a_file_without_configurations_is_one_sentence(capsys, tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    assert refused(command(capsys, "audit", tmp_path / name), sentence)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--layers", "a"], "is no symbol: --layers are for symbols"),
    (["--data-shape", "300x200"], "give --data-shape as a side"),
])
def test_arguments_that_do_not_fit_configurations(capsys, factory, arguments, sentence):
    assert refused(command(capsys, "audit", factory, *arguments), sentence)


@pytest.mark.parametrize("layers", [[], ["", ""], [1, 2], "relu4_3", [["a"], ["b"]]])
def test_layers_that_are_no_names_are_unknown(capsys, tmp_path, layers):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"network": "resnet50", "from_layers": layers}))
    status, found = audited(capsys, file)
    assert (status, found["resnet50"]["verdict"]) == (1, UNKNOWN)
