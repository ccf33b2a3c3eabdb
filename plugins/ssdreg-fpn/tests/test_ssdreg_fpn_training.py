"""The pyramid head trained on a few small pictures, and what the commands do with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ssdreg
from ssdreg.anchors.fit import fit_sizes
from ssdreg.cli.main import main
from ssdreg.data import read_voc, splits
from ssdreg.data.boxes import boxes
from ssdreg.data.synthetic import write_shapes
from ssdreg.detector.overrides import Overrides
from ssdreg.engines.choice import choose_engine
from ssdreg.mx import mx
from ssdreg.runs.log import read_log
from ssdreg.runs.params import read_params
from ssdreg.runs.run import create_run, open_run
from ssdreg.scaffold.demo import BACKBONE
from ssdreg.training.network import build_network
from ssdreg.training.options import TrainOptions
from ssdreg.training.trainer import Data, train_run

SIDE, IMAGES = 64, 12
EPOCHS = 50
RECIPE = ("--backbone", "resnet18", "--head", "fpn_small", "--data-shape", str(SIDE),
          "--batch-size", "6", "--lr", "2e-3", "--augment", "none", "--no-pretrained")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Keep packed data out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, IMAGES, 2, (SIDE, SIDE))
    return folder


def train(*arguments):
    return main(["train", *map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory, shapes):
    """A whole training, in seconds, of the small network of `ssdreg demo`.

    It is validated where it learnt, at the end.
    """
    source = splits.choose(shapes, "train", shapes, "train")
    learning, validation = splits.open_data(source)
    shared = (BACKBONE, len(learning.classes), SIDE, "fpn_small")
    sizes = fit_sizes(boxes(learning), ssdreg.plan(*shared))
    network = build_network(*shared, overrides=Overrides(sizes=sizes))
    run = create_run(tmp_path_factory.mktemp("runs") / "run", learning.classes, network.plan,
                     network.train, network.deploy)
    options = TrainOptions(epochs=EPOCHS, batch_size=6, lr=1e-3, warmup=5, keep_epochs=1,
                           validate_every=EPOCHS)
    # without augmentation 12 pictures are soon known by heart
    return train_run(run, Data(source=source, train=learning, validation=validation,
                           augmentation=None), options, choose_engine("mxnet"))


def test_it_learns(run):
    log = read_log(run.log_file)
    assert len(log) == EPOCHS
    assert log[-1].cls_loss < 0.5 * log[0].cls_loss
    assert log[-1].loc_loss < 0.2 * log[0].loc_loss
    assert log[-1].map > 0.9
    assert (run.plan.head, run.plan.loss) == ("fpn_small", "focal")


def test_eval_and_predict_find_what_is_there(run, shapes, capsys):
    assert main(["eval", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["map"] == pytest.approx(
        read_log(run.log_file)[-1].map, abs=1e-4)

    samples = read_voc(shapes, "train").samples
    assert main(["predict", str(run.path), *(str(sample.image) for sample in samples),
                 "--threshold", "0.4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [Path(picture["image"]) for picture in found] == [each.image for each in samples]
    right = [sees(sample, picture["objects"]) for sample, picture in zip(samples, found)]
    assert np.mean(right) >= 0.75


def sees(sample, objects):
    """Tell whether the objects are those of a picture, no more and no less, to a few pixels."""
    return len(objects) == len(sample.boxes) and all(
        any(each["class"] == box.label
            and np.allclose(each["box"], (box.x1, box.y1, box.x2, box.y2), atol=SIDE / 12)
            for each in objects) for box in sample.boxes)


def test_a_resumed_run_is_the_same_run(tmp_path, shapes):
    # a rate that does not depend on the number of epochs, so that one may be added
    recipe = (*RECIPE, "--data", shapes, "--lr-steps", "9")
    assert train(*recipe, "--out", tmp_path / "whole", "--epochs", 2) == 0
    assert train(*recipe, "--out", tmp_path / "parts", "--epochs", 1) == 0
    assert train("--resume", "--out", tmp_path / "parts", "--epochs", 2) == 0
    whole, parts = (read_params(tmp_path / each / "ssd-0002.params") for each in ("whole", "parts"))
    for one, other in ((whole.args, parts.args), (whole.auxs, parts.auxs)):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array.asnumpy(), other[name].asnumpy(), err_msg=name)
    loaded = ssdreg.load_checkpoint(tmp_path / "parts")
    assert loaded.plan.head == "fpn_small"
    assert loaded.verification.coverage > 0.99


def test_it_starts_from_a_run_with_parts_that_stay(tmp_path, run, shapes):
    assert train("--pretrained", run.path, "--data", shapes, "--out", tmp_path / "next",
                 "--batch-size", 6, "--epochs", 1, "--freeze-stages", 3, "--freeze", "fpn_cls",
                 "--head-lr", 2, "--augment", "none") == 0
    found = open_run(tmp_path / "next")
    assert found.plan == run.plan
    before, after = (each.load_params().args for each in (run, found))
    still = {name for name, array in before.items()
             if np.array_equal(array.asnumpy(), after[name].asnumpy())}
    assert {name for name in before if name.startswith("fpn_cls")} <= still
    assert not {name for name in before if name.startswith(("fpn_loc", "fpn_0"))} & still


def test_mxnet_loads_the_run(run):
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(run.path / "ssd"), EPOCHS)
    assert set(symbol.list_arguments()) - {"data", "label"} == set(arguments)
    assert set(symbol.list_auxiliary_states()) == set(auxiliary)
