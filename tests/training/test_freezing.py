"""What does not learn: by name, by stage, batch normalisation; and what learns faster."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest
from support.runs import DETECTOR, SIDE, TINY, command, refused

import ssdreg
from ssdreg.runs.run import open_run
from ssdreg.training.freezing import Fixed, backbone_parameters, fixed, with_fixed_norms
from ssdreg.training.options import TrainOptions


@pytest.fixture(scope="module")
def network():
    settings = {"num_classes": 2, "data_shape": SIDE, "tap_strides": (8, 16)}
    return ssdreg.build("resnet18", **settings), ssdreg.plan("resnet18", **settings)


def frozen(network, **options):
    return fixed(*network, TrainOptions(**options))


def test_nothing_is_frozen_unless_asked(network):
    assert frozen(network) == Fixed()


def test_a_stage_is_everything_up_to_its_end(network):
    symbol, _ = network
    one, three = frozen(network, freeze_stages=1), frozen(network, freeze_stages=3)
    # the stem: its convolution and the normalisations of data and stem
    assert set(one.parameters) == {"bn_data_gamma", "bn_data_beta", "conv0_weight", "bn0_gamma",
                                   "bn0_beta"}
    assert set(one.norms) == {"bn_data", "bn0"}
    stages = {name.split("_")[0] for name in three.parameters if name.startswith("stage")}
    assert stages == {"stage1", "stage2"}
    assert set(three.parameters) == {
        name for name in symbol.list_arguments()
        if name.startswith(("bn_data", "conv0", "bn0", "stage1_", "stage2_"))}


def test_all_normalisation_of_the_backbone(network):
    symbol, plan = network
    found = frozen(network, freeze_norm=True)
    backbone = backbone_parameters(symbol, plan)
    assert set(found.parameters) == {name for name in backbone
                                     if name.endswith(("_gamma", "_beta"))}
    assert len(found.norms) == len(found.parameters) / 2


def test_names_and_stages_together(network):
    found = frozen(network, freeze="stage3_.*_weight", freeze_stages=1)
    assert "conv0_weight" in found.parameters
    assert any(name.startswith("stage3_") for name in found.parameters)


def test_a_fixed_normalisation_does_not_look_at_its_batch(network):
    from ssdreg.mx import mx
    symbol, _ = network
    inside = symbol.get_internals()["bn0_output"]
    rng = np.random.RandomState(3)
    values = {"bn0_moving_mean": 0.5, "bn0_moving_var": 4.0}

    def run(net):
        bound = net.simple_bind(mx.cpu(), data=(2, 3, SIDE, SIDE))
        for name, array in {**bound.arg_dict, **bound.aux_dict}.items():
            array[:] = values.get(name, 1.0)
        bound.arg_dict["data"][:] = rng.uniform(-5, 5, (2, 3, SIDE, SIDE))
        before = bound.aux_dict["bn0_moving_mean"].asnumpy()
        out = bound.forward(is_train=True)[0].asnumpy()
        bound.backward([mx.nd.ones(out.shape)])  # this is when the moments move,
        mx.nd.waitall()  # without the engine knowing
        return out, np.abs(bound.aux_dict["bn0_moving_mean"].asnumpy() - before).max()

    out, moved = run(inside)
    assert out.std() == pytest.approx(1, abs=0.01)  # by its own deviation
    assert moved > 0
    out, moved = run(with_fixed_norms(inside, ["bn0", "bn_data"]))
    assert out.std() > 2  # by the running one
    assert moved == 0


def test_with_fixed_norms_changes_nothing_else(network):
    symbol, _ = network
    changed = with_fixed_norms(symbol, ["bn0"])
    before, after = (json.loads(each.tojson())["nodes"] for each in (symbol, changed))
    different = [a["name"] for a, b in zip(before, after) if a != b]
    assert different == ["bn0"]
    assert changed.attr_dict()["bn0"]["use_global_stats"] == "True"


@pytest.mark.usefixtures("small")
def test_training_leaves_frozen_stages_to_the_bit(capsys, tmp_path, tiny_shapes):
    out = tmp_path / "run"
    done = command(capsys, "train", *TINY, "--data", tiny_shapes, "--out", out, "--epochs", 1,
                   "--batch-size", 8, "--freeze-stages", 2, "--freeze-norm", "--head-lr", 5,
                   "--pretrained", start_run(capsys, tmp_path, tiny_shapes))
    assert done.status == 0, done.err
    run = open_run(out)
    before, after = open_run(tmp_path / "start").load_params(), run.load_params()
    stays = fixed(run.load_symbol("ssd"), run.plan, TrainOptions(freeze_stages=2,
                                                                 freeze_norm=True))
    for name in stays.parameters:
        assert (before.args[name].asnumpy() == after.args[name].asnumpy()).all(), name
    for norm in stays.norms:
        for moment in ("moving_mean", "moving_var"):
            name = f"{norm}_{moment}"
            assert (before.auxs[name].asnumpy() == after.auxs[name].asnumpy()).all(), name
    learnt = [name for name in before.args if name not in stays.parameters
              and name.endswith("weight")]
    assert all((before.args[name].asnumpy() != after.args[name].asnumpy()).any()
               for name in learnt)


def start_run(capsys, tmp_path, tiny_shapes):
    out = tmp_path / "start"
    assert command(capsys, "train", *TINY, "--data", tiny_shapes, "--out", out, "--epochs", 1,
                   "--batch-size", 8).status == 0
    return out


def test_the_heads_rate_is_a_multiple_of_the_backbones(network, tiny_run):
    from ssdreg.training.learner import head_rates
    symbol, plan = network
    rates = head_rates(symbol, plan, 5.0)
    assert rates.keys().isdisjoint(backbone_parameters(symbol, plan))
    assert rates.keys() | backbone_parameters(symbol, plan) == (
        set(symbol.list_arguments()) - {"data", "label"})
    # biases of predictors learn twice as fast as their weights, as the head itself says
    assert {name.rsplit("_", 1)[1]: rate for name, rate in rates.items() if "_pred_conv_" in name
            } == {"weight": 5.0, "bias": 10.0}


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--freeze-stages", 9], "--freeze-stages 9: resnet18 has 4 stages up to its last tap, at "
                              "strides 2, 4, 8, 16"),
    (["--freeze-stages", -1], "this recipe cannot be: 'freeze_stages' must be >= 0: -1"),
    (["--head-lr", 0], "this recipe cannot be: 'head_lr' must be > 0: 0.0"),
])
def test_what_cannot_be_frozen(capsys, tmp_path, tiny_shapes, arguments, sentence):
    done = command(capsys, "train", *DETECTOR, "--data", tiny_shapes, "--out", tmp_path / "run",
                   *arguments)
    assert refused(done, sentence)
    assert not list(tmp_path.iterdir())


def test_options_of_older_runs_still_load():
    old = {name: value for name, value in attrs.asdict(TrainOptions()).items()
           if name not in ("freeze_stages", "freeze_norm", "head_lr")}
    assert TrainOptions(**old) == TrainOptions()
