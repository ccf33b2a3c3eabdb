"""Engines as plug-ins: declared, looked up, chosen, and what a run remembers of them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import attrs
import pytest
from support.runs import DETECTOR, command, refused

import ssdreg
from ssdreg.deploy import devices
from ssdreg.engines.choice import choose_engine
from ssdreg.errors import DependencyError, RunError, SsdregError, UnknownNameError
from ssdreg.registry.device import CPU, CUDA, Device, named, parse_devices
from ssdreg.registry.engine import Engine

MXNET = ssdreg.get_engine("mxnet")
#: What it trains in on this processor, the fastest first.
PRECISIONS = MXNET.precisions_on(Device(CPU))
FASTEST = PRECISIONS[0]
#: MXNet under another name, as the engine of a plug-in.
TWIN = attrs.evolve(MXNET, name="twin", aliases=("double",))


def registered(*engines):
    plugin = SimpleNamespace(ssdreg_engines=ssdreg.hookimpl(lambda: engines))
    return ssdreg.register(plugin, name="mine")


# Devices

@pytest.mark.parametrize(("text", "devices"), [
    ("cpu", (Device("cpu"),)), ("cuda", (Device("cuda"),)), ("mps", (Device("mps"),)),
    ("cuda:2", (Device("cuda", 2),)), ("gpu:0,3", (Device("cuda"), Device("cuda", 3)))])
def test_devices_are_read(text, devices):
    assert parse_devices(text) == devices
    assert parse_devices(named(devices)) == devices


@pytest.mark.parametrize("text", ["", "tpu", "cpu:0", "cuda:", "cuda:x", "cuda:1,1", "mps:1",
                                  "cuda:-1", "cuda:²"])
def test_what_is_no_device_is_refused(text):
    with pytest.raises(SsdregError, match="is no device: write cpu, cuda, cuda:0,1 or mps"):
        parse_devices(text)


# Choice

def test_mxnet_is_chosen_where_nothing_else_is():
    choice = choose_engine()
    assert (choice.engine, choice.devices) == (MXNET, (Device("cpu"),))
    assert choice.describe(choice.precision("auto")) == (
        f"computed by mxnet on cpu in {FASTEST}, the only engine installed")


def test_the_engine_of_a_plug_in_is_chosen_before_mxnet():
    with registered(TWIN):
        assert [engine.name for engine in ssdreg.list_engines()] == ["mxnet", "twin"]
        choice = choose_engine()
        assert choice.engine.name == "twin"
        assert choice.reason == "which is installed; --engine mxnet is another"
        assert choose_engine("MXNet").engine == MXNET
        assert choose_engine("double").engine.name == "twin"
    assert choose_engine().engine == MXNET


def test_the_engine_of_before_is_chosen_first():
    with registered(TWIN):
        assert choose_engine(before="mxnet").describe("float32").endswith("as before")
        assert choose_engine("twin", before="mxnet").engine.name == "twin"
    # one that is not there any more
    assert choose_engine(before="twin").engine == MXNET


def test_an_engine_that_cannot_is_passed_over_and_said():
    broken = attrs.evolve(TWIN, unmet=lambda devices: "needs the package torch")
    with registered(broken):
        choice = choose_engine()
        assert choice.engine == MXNET
        assert choice.reason == "since twin needs the package torch"
        with pytest.raises(DependencyError, match="the engine twin needs the package torch"):
            choose_engine("twin")
        with pytest.raises(DependencyError, match="the engine twin needs the package torch; the "
                                                  "engine mxnet cannot compute on cuda:0: it sees"):
            choose_engine(device="cuda")


def test_an_unknown_engine_and_precision_are_refused():
    with pytest.raises(UnknownNameError, match="no engine is called 'mxnte': did you mean mxnet"):
        choose_engine("mxnte")
    with pytest.raises(RunError, match="--precision float16: the engine mxnet trains in "
                                       f"{' or '.join(PRECISIONS)} on cpu here"):
        choose_engine().precision("float16")


def test_mxnet_trains_in_bfloat16_where_the_processor_multiplies_it(monkeypatch):
    for wide, there in ((True, ("bfloat16", "float32")), (False, ("float32",))):
        monkeypatch.setattr(devices, "has_wide_bfloat16", lambda wide=wide: wide)
        assert MXNET.precisions_on(Device(CPU)) == there
        assert MXNET.precisions_on(Device(CUDA)) == ("float32",)


@pytest.mark.parametrize(("changes", "message"), [
    ({"learner": "no reference"}, "learner must be a callable or 'module:function'"),
    ({"summary": ""}, "summary"), ({"name": "two words"}, "name must be of letters"),
    ({"export": 3}, "export must be a callable"), ({"join": 3}, "join must be a callable")])
def test_a_wrong_declaration_is_refused(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        attrs.evolve(MXNET, **changes)


def test_what_is_no_engine_is_an_issue_of_the_plug_in(capsys):
    with registered("torch"), pytest.warns(
            ssdreg.PluginWarning, match="yielded 'torch' from ssdreg_engines, which is no Engine"):
        assert choose_engine().engine == MXNET
    listed = json.loads(command(capsys, "plugins", "--json").out)
    assert [plugin["engines"] for plugin in listed if plugin["engines"]] == [["mxnet"]]


# Runs

def test_a_run_goes_on_with_its_engine_or_another(capsys, tiny_shapes, tmp_path):
    def train(*more):
        return command(capsys, "train", *DETECTOR, "--data", tiny_shapes, "--batch-size", 8, *more)

    def resume(*more):
        return command(capsys, "train", "--resume", "--out", tmp_path / "run", *more)
    with registered(TWIN):
        done = train("--out", tmp_path / "run", "--epochs", 1)
        assert f"computed by twin on cpu in {FASTEST}, which is installed" in done.out
        assert f"computed by twin on cpu in {FASTEST}, as before" in resume("--epochs", 2).out
        assert f"computed by mxnet on cpu in {FASTEST}, as asked for" in resume(
            "--epochs", 3, "--engine", "mxnet").out
    assert f"computed by mxnet on cpu in {FASTEST}, as before" in resume("--epochs", 4).out
    assert [epoch.epoch for epoch in ssdreg.resume(tmp_path / "run").epochs] == [
        1, 2, 3, 4]


def test_detectors_run_on_the_engine_that_is_named(capsys, tiny_run, tmp_path):
    with registered(TWIN):
        done = command(capsys, "eval", tiny_run, "--engine", "double", "--json")
        assert json.loads(done.out)["backend"] == "mxnet"  # by whatever name the backend has
    assert refused(command(capsys, "eval", tiny_run, "--engine", "twin"),
                   "there is no backend 'twin': choose one of auto, mxnet, openvino, onnxruntime")


def test_engines_are_shown_by_their_declaration():
    assert isinstance(MXNET, Engine)
    assert MXNET.summary in repr(MXNET)
