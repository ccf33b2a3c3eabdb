"""`ssdreg.train` and `ssdreg.resume`: the same run as by the command, in silence."""

from __future__ import annotations

import json
import math
import signal

import numpy as np
import pytest
from support import voc
from support.runs import SIDE, SMALL, command, with_small

import ssdreg
from ssdreg.data import RECIPES, load
from ssdreg.runs.params import read_params
from ssdreg.training import state

NETWORK = {"backbone": SMALL, "data_shape": SIDE, "tap_strides": (8, 16)}


@pytest.fixture
def train(tmp_path, tiny_shapes):
    def start(name="run", **arguments):
        given = {"data": tiny_shapes, "epochs": 2, "batch_size": 8, **NETWORK, **arguments}
        return ssdreg.train(out=tmp_path / name, **given)
    return start


def log(run):
    """The log without times."""
    return [(each.epoch, each.steps, each.lr, each.cls_loss, each.loc_loss, each.map, each.map_07)
            for each in run.log()]


def assert_same(one, other):
    assert one.config_file.read_text() == other.config_file.read_text()
    assert log(one) == log(other)
    assert one.epochs() == other.epochs()
    for epoch in one.epochs():
        left, right = read_params(one.params_file(epoch)), read_params(other.params_file(epoch))
        for mine, its in ((left.args, right.args), (left.auxs, right.auxs)):
            assert mine.keys() == its.keys()
            assert all(np.array_equal(mine[name].asnumpy(), its[name].asnumpy()) for name in mine)


@pytest.mark.parametrize(("options", "arguments"), [
    ((), {}),
    (("--optimizer", "sgd", "--lr", "0.01", "--lr-steps", "1", "--freeze-stages", "1",
      "--augment", "ssd", "--sizes", "example", "--seed", "7", "--no-pretrained"),
     {"optimizer": "sgd", "lr": 0.01, "lr_steps": [1], "freeze_stages": 1, "augment": "ssd",
      "sizes": "example", "seed": 7, "pretrained": False})], ids=["usual", "chosen"])
def test_it_is_the_same_run_as_by_the_command(capsys, tmp_path, tiny_shapes, train, options,
                                              arguments):
    with with_small():
        done = command(capsys, "train", "--backbone", SMALL.name, "--data-shape", SIDE,
                       "--tap-strides", "8,16", "--data", tiny_shapes, "--out", tmp_path / "one",
                       "--epochs", 2, "--batch-size", 8, *options)
        assert done.status == 0, done.err
        result = train("two", backbone=SMALL.name, **arguments)
        one = ssdreg.resume(tmp_path / "one").run  # which has had its epochs
    assert_same(one, result.run)
    assert state.load(one).options == state.load(result.run).options
    assert state.load(one).augmentation == state.load(result.run).augmentation


def test_the_result(silence, train, tmp_path):
    result = train(validate_every=2)
    assert result.run.path == tmp_path / "run"
    assert [each.epoch for each in result.epochs] == [1, 2]
    assert result.best_epoch == 2
    assert result.map == result.epochs[1].map
    assert result.params_file.is_file()
    assert result.issues == ()


def test_nothing_to_validate_on(train, tiny_shapes):
    result = train(data=load(tiny_shapes, "train").rec, epochs=1)
    assert math.isnan(result.map)
    with pytest.raises(ssdreg.RunError, match="was trained without validation data: give --data"):
        ssdreg.evaluate(result.run.path)


def test_weights_change_the_recipe(train):
    """As with the command: fewer epochs, and the first stages stay, unless it is said."""
    file = train("zero", epochs=1).params_file
    recipe = state.load(train("one", pretrained=file, epochs=1).run).options
    assert (recipe.epochs, recipe.freeze_stages) == (1, 2)
    recipe = state.load(train("two", pretrained=file, freeze_stages=0, epochs=1).run).options
    assert recipe.freeze_stages == 0
    recipe = state.load(train("three", epochs=1).run).options
    assert recipe.freeze_stages == 0


def test_a_run_goes_on_with_other_data(tmp_path, tiny_run, tiny_shapes):
    result = ssdreg.train(data=tiny_shapes, out=tmp_path / "run", pretrained=tiny_run, epochs=1,
                          batch_size=8)
    assert result.run.plan.taps == ssdreg.plan(SMALL).taps
    with pytest.raises(ssdreg.SsdregError, match="the network of"):
        ssdreg.train(data=tiny_shapes, out=tmp_path / "two", pretrained=tiny_run, head="ssdlite")


def test_a_backbone_and_an_augmentation_as_objects(train):
    named = train("one", epochs=1, backbone="resnet18").run
    given = train("two", epochs=1, backbone=ssdreg.get_backbone("resnet18"),
                  head=ssdreg.get_head("ssd"), augment=RECIPES["light"]).run
    assert_same(named, given)


def test_it_is_resumed_where_it_was_stopped(silence, train, tmp_path):
    whole = train("whole").run

    def stop(event):
        # only to know the step at which the signal comes; what it does is real
        if (isinstance(event, ssdreg.Step) and not event.ended
                and (event.epoch, event.step) == (2, 1)):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(ssdreg.Interrupted):
        train("stopped", progress=stop)
    told = []
    result = ssdreg.resume(tmp_path / "stopped", progress=told.append)
    assert_same(whole, result.run)
    assert str(told[0]) == "going on in epoch 2 of 2, after step 1"
    # and further, where it is asked to
    assert [each.epoch for each in ssdreg.resume(tmp_path / "stopped", epochs=3).epochs] == [1, 2,
                                                                                            3]


def test_steps_and_epochs_are_told(train):
    told = []
    result = train(progress=told.append)
    steps = [each for each in told if isinstance(each, ssdreg.Step)]
    first, *within, last = steps
    assert (first.step, first.done, first.total, first.ended) == (0, 0, 32, False)
    assert [(each.epoch, each.step, each.done) for each in within] == [
        (1, 1, 8), (1, 2, 16), (2, 1, 24), (2, 2, 32)]
    assert {(each.epochs, each.steps) for each in within} == {(2, 2)}
    assert all(each.cls_loss > 0 and each.rate > 0 for each in within)
    assert last.ended
    ended = [each for each in told if isinstance(each, ssdreg.Epoch)]
    assert [(each.epoch, each.map) for each in ended] == [
        (each.epoch, pytest.approx(each.map, abs=1e-5)) for each in result.epochs]


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"backbone": "resnet51"}, "no backbone is called 'resnet51'"),
    ({"backbone": None}, "--backbone and --data are needed"),
    ({"head": "sdd"}, "no head is called 'sdd'"),
    ({"device": "tpu"}, "--device 'tpu' is no device"),
    ({"data_shape": 8}, "take a larger data_shape"),
    ({"epochs": 0}, "this recipe cannot be: 'epochs' must be > 0: 0"),
    ({"optimizer": "adamw"}, "this recipe cannot be: 'optimizer' must be in"),
    ({"freeze": "("}, "--freeze '(' is no regular expression"),
    ({"augment": "heavy"}, "--augment 'heavy' is no augmentation: choose one of ssd, light, none"),
    ({"pretrained": "nowhere.params"}, "nowhere.params is not there"),
    ({"backbone": "resnet18", "pretrained": True}, "no weights are declared for resnet18"),
    ({"data": "nowhere"}, "nowhere: there is no such folder"),
    ({"split": "minitrain"}, "there is no such split")])
def test_what_cannot_be_is_refused_before_anything_is_written(train, tmp_path, arguments,
                                                              sentence, silence):
    with pytest.raises(ssdreg.SsdregError) as caught:
        train(**arguments)
    assert sentence in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_overwritten(train, tmp_path):
    train(epochs=1)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    with pytest.raises(ssdreg.RunError, match="already holds a run"):
        train()
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == config


def test_negatives_take_part_unless_they_are_left_out(train, tmp_path):
    """Half of the images have no object; one has objects of which no box can be used."""
    root = tmp_path / "halves"
    for number in range(8):
        objects = (("dog", 0, 11, 5, 60, 45),) if number < 4 else ()
        voc.add(root, f"p{number}", *objects)
    voc.add(root, "lost", ("dog", 0, 20, 5, 20, 5))
    voc.add(root, "other", ("dog", 0, 31, 5, 80, 45), size=(120, 60))
    (root / "ImageSets/Main/train.txt").write_text(
        "".join(f"{name}\n" for name in (*(f"p{number}" for number in range(8)), "lost")))
    (root / "ImageSets/Main/val.txt").write_text("other\n")
    notes = []

    def told(event):
        if isinstance(event, ssdreg.Note):
            notes.append(event.text)

    arguments = {"data": root, "epochs": 1, "batch_size": 4, "pretrained": False,
                 "progress": told}
    assert train("with", **arguments).epochs[0].steps == 2
    without = train("without", skip_negatives=True, **arguments)
    assert without.epochs[0].steps == 1
    words = [note for note in notes if "images with 4 objects" in note]
    assert [note.rpartition("(dog), ")[2] for note in words] == [
        "4 of them without any, as background", "4 of them without any, left out"]
    # and a resumed run goes on with what it was begun with
    assert ssdreg.resume(without.run.path, epochs=2).epochs[1].steps == 2
