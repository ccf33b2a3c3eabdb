"""Where a training starts from, and what it takes from backbone and data when nothing is said."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from support.runs import SIDE, SMALL, TINY, command, refused

import ssdreg
from ssdreg import Preprocessing, Weights, hookimpl
from ssdreg.anchors.fit import fit_sizes
from ssdreg.data import pack, read_voc
from ssdreg.data.boxes import boxes
from ssdreg.detector.anchor_schemes import named_sizes
from ssdreg.registry import host as plugins
from ssdreg.registry import names
from ssdreg.runs.params import Params, write_params
from ssdreg.runs.run import open_run

pytestmark = pytest.mark.usefixtures("small")

#: The stem is frozen, so that a run shows what it started from.
ONE_EPOCH = ("--epochs", 1, "--batch-size", 8, "--freeze-stages", 1)
STEM = "conv0_weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Parameters for the small network, on disk: two sets, told apart by their stems."""
    from ssdreg.mx import mx
    symbol = SMALL.symbol()
    shapes, _, moments = symbol.infer_shape(data=(1, 3, 64, 64))
    folder, rng = tmp_path_factory.mktemp("weights"), np.random.RandomState(5)
    files = {}
    for name, level in (("first", 0.25), ("second", 0.5)):
        args = {each: mx.nd.array(rng.normal(0, 0.05, shape))
                for each, shape in zip(symbol.list_arguments(), shapes)
                if each not in ("data", "softmax_label")}
        args[STEM][:] = level
        auxs = {each: mx.nd.ones(shape)
                for each, shape in zip(symbol.list_auxiliary_states(), moments)}
        files[name] = folder / f"{name}.params"
        write_params(files[name], Params(args, auxs))
    return files


@pytest.fixture
def declared(saved):
    """Weights as a plug-in declares them: the first are the default."""
    weights = [Weights(backbone=SMALL.name, name=name, locate=lambda weights: saved[weights.name])
               for name in saved]
    with plugins.register(SimpleNamespace(ssdreg_weights=hookimpl(lambda: weights)), "some"):
        yield


@pytest.fixture
def train(capsys, tmp_path, tiny_shapes):
    def start(*arguments):
        done = command(capsys, "train", *TINY, "--data", tiny_shapes, "--out",
                       tmp_path / "run", *ONE_EPOCH, *arguments)
        assert done.status == 0, done.err
        run = open_run(tmp_path / "run")
        return done, run, float(run.load_params().args[STEM].asnumpy().flat[0])
    return start


def test_weights_on_disk_are_the_start_unless_told_otherwise(declared, train):
    done, _, stem = train()
    assert f"starts from the weights {SMALL.name}/first: " in done.out
    assert stem == 0.25


@pytest.mark.parametrize(("arguments", "stem"), [
    (["--pretrained"], 0.25), (["--pretrained", "first"], 0.25), (["--pretrained", "second"], 0.5)])
def test_declared_weights_by_name(declared, train, arguments, stem):
    assert train(*arguments)[2] == stem


def test_a_file_goes_before_what_is_declared(declared, train, saved):
    done, _, stem = train("--pretrained", saved["second"])
    assert f"starts from {saved['second']}: " in done.out
    assert stem == 0.5


def test_from_nothing(declared, train):
    done, _, stem = train("--no-pretrained")
    assert "starts from" not in done.out
    assert stem not in (0.25, 0.5)


# From nothing although there is something better: that is said.

def test_a_sibling_that_has_weights_is_named(train):
    weights = [Weights(backbone=name, locate=lambda weights: None)
               for name in ("resnet18_v1b", "resnet101_v1b", "densenet121")]
    backbones = [attrs.evolve(ssdreg.get_backbone("resnet18"), name=each.backbone, aliases=(),
                              family=each.backbone) for each in weights]
    plugin = SimpleNamespace(ssdreg_weights=hookimpl(lambda: weights),
                             ssdreg_backbones=hookimpl(lambda: backbones))
    with plugins.register(plugin, "some"):
        done, _, _ = train("--backbone", "resnet18")
    assert ("starts from nothing: there are no weights of resnet18, but of resnet18_v1b and "
            "resnet101_v1b; --backbone resnet18_v1b --pretrained is better and sooner done"
            ) in done.out.splitlines()


def test_weights_that_are_not_on_disk_are_named(train):
    weights = [Weights(backbone=SMALL.name, locate=lambda weights: None)]
    with plugins.register(SimpleNamespace(ssdreg_weights=hookimpl(lambda: weights)), "some"):
        done, _, _ = train()
    assert (f"starts from nothing: the weights of {SMALL.name} are not on disk; --pretrained "
            "fetches them, which is better and sooner done") in done.out.splitlines()


def test_plug_ins_are_named_where_nobody_has_weights(train):
    done, _, _ = train()
    assert f"starts from nothing: there are no weights of {SMALL.name}; plug-ins bring " in done.out


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--pretrained", "third"], "third is not there: give a .params file or the folder of a run"),
    (["--pretrained", "x", "--no-pretrained"], ""),
])
def test_a_start_that_cannot_be(declared, capsys, tmp_path, tiny_shapes, arguments, sentence):
    done = command(capsys, "train", *TINY, "--data", tiny_shapes, "--out", tmp_path / "run",
                   *arguments)
    assert done.status == 2
    assert not sentence or refused(done, sentence)
    assert not list(tmp_path.iterdir())


def test_pretrained_alone_says_when_nothing_is_declared(capsys, tmp_path, tiny_shapes):
    done = command(capsys, "train", *TINY, "--data", tiny_shapes, "--out", tmp_path / "run",
                   "--pretrained")
    assert refused(done, f"no weights are declared for {SMALL.name}")


def test_anchors_fit_the_data_unless_told_otherwise(train, tiny_shapes):
    _, run, _ = train()
    packed = pack(read_voc(tiny_shapes, "train"))
    draft = ssdreg.plan(SMALL, run.plan.num_classes, SIDE, tap_strides=(8, 16))
    assert run.plan.sizes == fit_sizes(boxes(packed), draft)
    assert run.plan.sizes != draft.sizes


def test_anchors_of_a_scheme(train):
    _, run, _ = train("--sizes", "example")
    assert run.plan.sizes == named_sizes("example", len(run.plan.levels))


def test_normalisation_is_the_backbones_and_travels_with_the_run(monkeypatch, tiny_shapes, train,
                                                                 capsys):
    """What the network saw in training is what it sees in prediction."""
    from PIL import Image

    from ssdreg.deploy.executor import prepare
    mine = Preprocessing(mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0))
    backbone = attrs.evolve(SMALL, preprocessing=mine)
    monkeypatch.setitem(names.registry().backbones, SMALL.name, backbone)
    _, run, _ = train()
    assert run.plan.preprocessing == mine
    assert json.loads(run.config_file.read_text())["plan"]["preprocessing"]["mean"] == [10, 20, 30]
    monkeypatch.undo()  # the run is its own: the backbone's declaration may change or be gone
    again = open_run(run.path)
    image = Image.new("RGB", (SIDE, SIDE), (12, 24, 38))
    seen = prepare(image, again.plan.data_shape, again.plan.preprocessing)
    assert (seen == 1).all()
    assert command(capsys, "eval", run.path).status == 0


def go_on(capsys, tmp_path, data, *arguments):
    return command(capsys, "train", "--data", data, "--out", tmp_path / "next", "--epochs", 1,
                   "--batch-size", 8, *arguments)


def test_a_run_goes_on_as_the_network_it_is(capsys, tmp_path, tiny_run, tiny_shapes):
    done = go_on(capsys, tmp_path, tiny_shapes, "--pretrained", tiny_run, "--freeze-stages", 1)
    assert done.status == 0, done.err
    before, after = open_run(tiny_run), open_run(tmp_path / "next")
    assert after.plan == before.plan
    for symbol in ("ssd", "deploy"):
        assert after.load_symbol(symbol).tojson() == before.load_symbol(symbol).tojson()
    assert (after.load_params().args[STEM].asnumpy()
            == before.load_params().args[STEM].asnumpy()).all()
    assert "0 of it not needed" in done.out


def test_a_run_goes_on_with_other_classes(capsys, tmp_path, resnet18_run, tiny_shapes):
    """The same numbers, but for the class predictors, which start anew."""
    data = shutil.copytree(tiny_shapes, tmp_path / "data")
    for file in (data / "Annotations").iterdir():
        file.write_text(re.sub("<name>[a-z]+</name>", "<name>shape</name>", file.read_text()))
    done = go_on(capsys, tmp_path, data, "--pretrained", resnet18_run)
    assert done.status == 0, done.err
    before, after = open_run(resnet18_run), open_run(tmp_path / "next")
    assert after.classes == ("shape",)
    assert after.plan == attrs.evolve(before.plan, num_classes=1)
    assert "start anew, of another shape there" in done.out


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--sizes", "paper"], "--sizes goes with --backbone: without one, the network of"),
    (["--data-shape", "128"], "--data-shape goes with --backbone"),
])
def test_a_run_that_goes_on_keeps_its_network(capsys, tmp_path, tiny_run, tiny_shapes, arguments,
                                              sentence):
    done = go_on(capsys, tmp_path, tiny_shapes, "--pretrained", tiny_run, *arguments)
    assert refused(done, sentence)
