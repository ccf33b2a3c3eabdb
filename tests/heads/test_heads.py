"""Heads as they train and detect, on a small network and a picture that is not square."""

from __future__ import annotations

import json
import re

import attrs
import numpy as np
import pytest
from support import numpy_ops
from support.runs import SMALL, command, refused

import ssdreg
from ssdreg import ops
from ssdreg.data import splits
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.engines.choice import choose_engine
from ssdreg.heads import multibox, ssd
from ssdreg.mx import mx
from ssdreg.runs.run import create_run
from ssdreg.scaffold.demo import BACKBONE
from ssdreg.training.network import build_network
from ssdreg.training.options import TrainOptions
from ssdreg.training.trainer import Data, train_run

SHAPE = (64, 96)
CLASSES = 3
KINDS = [("ssd", "softmax"), ("ssd", "focal"), ("ssdlite", "softmax"), ("ssdlite", "focal")]
OUTPUTS = ["cls_prob_output", "loc_loss_output", "cls_label_output", "det_out_output"]
#: A small ResNet, with all strides.
RESNET = attrs.evolve(SMALL, tap_strides=(16, 32))


def make(head="ssd", loss="softmax", backbone=RESNET, shape=SHAPE):
    """Return (plan, training symbol, deploy symbol)."""
    settings = {"num_classes": CLASSES, "data_shape": shape, "head": head, "loss": loss}
    return (ssdreg.plan(backbone, **settings), ssdreg.build(backbone, **settings),
            ssdreg.build(backbone, mode="deploy", **settings))


def anchors_by_level(plan):
    steps = plan.steps or [None] * len(plan.levels)
    return [numpy_ops.prior(level.height, level.width, *numbers)[0]
            for level, *numbers in zip(plan.levels, plan.sizes, plan.ratios, steps)]


def pictures(batch, shape=SHAPE):
    return np.random.RandomState(1).uniform(-128, 127, (batch, 3, *shape)).astype("float32")


def labels(plan, batch, columns=5):
    """One object a level for every image, close to an anchor, so that each level learns."""
    rng = np.random.RandomState(2)
    levels = anchors_by_level(plan)
    label = -np.ones((batch, len(levels) + 2, columns), "float32")
    for image in range(batch):
        for row, anchors in enumerate(levels):
            box = anchors[rng.randint(len(anchors))] + rng.uniform(-0.02, 0.02, 4)
            label[image, row, 0] = (image + row) % CLASSES
            label[image, row, 1:5] = box
            label[image, row, 5:] = rng.randint(0, 2, columns - 5)
    return label


def module(symbol, plan, data, label=None):
    """Return a bound module with random parameters, the same for every symbol of a plan."""
    mx.random.seed(0)
    np.random.seed(0)
    labelled = label is not None
    made = mx.mod.Module(symbol, label_names=["label"] if labelled else None)
    made.bind([("data", data.shape)], [("label", label.shape)] if labelled else None,
              for_training=labelled)
    made.init_params(mx.init.Xavier())
    return made


def forward(made, data, label=None, is_train=False):
    batch = mx.io.DataBatch([mx.nd.array(data)],
                            None if label is None else [mx.nd.array(label)])
    made.forward(batch, is_train=is_train)
    return [output.asnumpy() for output in made.get_outputs()]


def values(made):
    # BatchNorm writes its running values while it runs backward, which the engine does not know:
    # read without waiting, they may be those of the step before
    mx.nd.waitall()
    arguments, auxiliary = made.get_params()
    return {name: value.asnumpy() for name, value in {**arguments, **auxiliary}.items()}


@pytest.mark.parametrize(("head", "loss"), KINDS)
def test_training_outputs_are_the_operators_on_the_predictions(head, loss):
    plan, train, _ = make(head, loss)
    data, label = pictures(2), labels(plan, 2)
    inside = train.get_internals()
    raw = [inside[f"multibox_{name}_output"] for name in ("cls_pred", "loc_pred", "anchors")]
    made = module(mx.sym.Group([*raw, train]), plan, data, label)
    cls_pred, loc_pred, anchors, cls_prob, loc_loss, cls_label, found = forward(made, data, label)

    # the levels lie behind one another; softmax mines negatives, focal takes all
    np.testing.assert_allclose(anchors[0], np.concatenate(anchors_by_level(plan)), atol=1e-6)
    loc_target, loc_mask, cls_target = numpy_ops.targets(
        anchors[0], label, cls_pred, plan.variances, 3.0 if loss == "softmax" else -1.0)
    np.testing.assert_array_equal(cls_label, cls_target)
    assert (cls_target > 0).sum() >= 2 * len(plan.levels)
    np.testing.assert_allclose(cls_prob, numpy_ops.softmax(cls_pred), rtol=1e-4, atol=1e-6)
    want, _ = numpy_ops.smooth_l1_loss(loc_pred, loc_target, loc_mask)
    np.testing.assert_allclose(loc_loss, want, rtol=1e-3, atol=1e-3)
    assert all(np.isfinite(output).all() for output in (cls_prob, loc_loss, cls_label, found))
    survivors = numpy_ops.detection(cls_prob, loc_pred, anchors[0], plan.variances,
                                    plan.nms_threshold, plan.nms_topk, plan.force_suppress)
    for rows, kept in zip(found, survivors):
        np.testing.assert_allclose(rows[rows[:, 0] >= 0], kept, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("head", "loss"), KINDS)
def test_deploy_detects_what_training_shows(head, loss):
    plan, train, deploy = make(head, loss)
    data, label = pictures(2), labels(plan, 2)
    *_, shown = forward(module(train, plan, data, label), data, label)
    made = module(deploy, plan, data)
    made.set_params(*module(train, plan, data, label).get_params())
    (found,) = forward(made, data)
    assert (found[:, 0, 0] >= 0).all()
    np.testing.assert_array_equal(found[..., 0] >= 0, shown[..., 0] >= 0)
    kept = found[..., 0] >= 0
    np.testing.assert_allclose(found[kept], shown[kept], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("head", "loss"), KINDS)
def test_a_sixth_label_column_changes_nothing(head, loss):
    plan, train, _ = make(head, loss)
    data, label = pictures(2), labels(plan, 2, columns=6)
    six = forward(module(train, plan, data, label), data, label, is_train=True)
    five = forward(module(train, plan, data, label[..., :5]), data, label[..., :5], is_train=True)
    assert set(label[..., 5].ravel()) == {-1, 0, 1}
    for output, other in zip(six, five):
        np.testing.assert_array_equal(output, other)


@pytest.mark.parametrize("head", ["ssd", "ssdlite"])
def test_a_batch_of_2_is_two_of_1(head):
    plan, _, deploy = make(head)
    data = pictures(2)
    (together,) = forward(module(deploy, plan, data), data)
    alone = module(deploy, plan, data[:1])
    for image in range(2):
        (found,) = forward(alone, data[image:image + 1])
        kept = found[0, :, 0] >= 0
        assert kept.any()
        np.testing.assert_array_equal(together[image, :, 0] >= 0, kept)
        np.testing.assert_allclose(together[image][kept], found[0][kept], rtol=1e-4, atol=1e-5)


def test_predictions_lie_cell_by_cell_as_the_anchors_do():
    plan, _, deploy = make()
    inside = deploy.get_internals()
    first = plan.taps[0]
    names = [f"{first}_loc_pred_conv", f"{first}_cls_pred_conv", "multibox_loc_pred",
             "multibox_cls_pred"]
    data = pictures(2)
    locs, scores, loc_pred, cls_pred = forward(
        module(mx.sym.Group([inside[f"{name}_output"] for name in names]), plan, data), data)
    level, (row, column, anchor) = plan.levels[0], (2, 4, 1)
    assert level.height != level.width
    index = (row * level.width + column) * level.anchors_per_cell + anchor
    np.testing.assert_array_equal(loc_pred[:, index * 4:index * 4 + 4],
                                  locs[:, anchor * 4:anchor * 4 + 4, row, column])
    classes = CLASSES + 1
    np.testing.assert_array_equal(
        cls_pred[:, :, index], scores[:, anchor * classes:(anchor + 1) * classes, row, column])


def fixed_gammas(symbol):
    """Return the scales of the BatchNorms that keep theirs at 1 (fix_gamma)."""
    nodes = json.loads(symbol.tojson())["nodes"]
    return {nodes[node["inputs"][1][0]]["name"] for node in nodes
            if node["op"] == "BatchNorm" and node["attrs"].get("fix_gamma", "True") == "True"}


@pytest.mark.parametrize(("backbone", "shape", "head", "loss"), [
    *((RESNET, SHAPE, *kind) for kind in KINDS), ("vgg16_reduced", SHAPE, *KINDS[0]),
    ("vgg16_reduced", SHAPE, *KINDS[3]), ("inceptionv3", (139, 139), *KINDS[0])])
def test_one_step_moves_every_parameter(backbone, shape, head, loss):
    # a batch of 4: over the one cell of the last level BatchNorm needs more than two images,
    # for it makes +1 and -1 of any two values
    plan, train, _ = make(head, loss, backbone, shape)
    data, label = pictures(4, shape), labels(plan, 4)
    made = module(train, plan, data, label)
    before = values(made)
    made.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": 1.0, "wd": 0.0})
    outputs = forward(made, data, label, is_train=True)
    made.backward()
    made.update()
    after = values(made)
    assert made.output_names == OUTPUTS
    assert all(np.isfinite(output).all() for output in outputs)
    assert all(np.isfinite(value).all() for value in after.values())
    still = {name for name in before if np.array_equal(before[name], after[name])}
    # no weight decay and no momentum: what moved, a gradient moved (or a running mean)
    assert still == fixed_gammas(train)


@pytest.mark.parametrize(("head", "loss"), KINDS)
def test_an_image_without_objects_teaches_what_background_is(head, loss):
    plan, train, _ = make(head, loss)
    data = pictures(2)
    nothing = -np.ones((2, 4, 5), "float32")
    made = module(train, plan, data, nothing)
    before = values(made)
    made.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": 1.0, "wd": 0.0})
    outputs = forward(made, data, nothing, is_train=True)
    made.backward()
    made.update()
    assert all(np.isfinite(output).all() for output in outputs)
    assert not outputs[1].any()
    running = set(train.list_auxiliary_states())
    moved = {name for name, value in values(made).items()
             if not np.array_equal(value, before[name])}
    assert not (outputs[2] > 0).any()
    assert (outputs[2] == 0).any()
    learned = moved - running
    assert any("_cls_" in name for name in learned)
    assert not any("_loc_" in name for name in learned)
    assert any("_loc_" in name for name in before)


def test_biases_of_predictions_start_at_0_and_learn_twice_as_fast():
    plan, train, _ = make(backbone="vgg16_reduced")
    biases = {name: attributes for name, attributes in train.attr_dict().items()
              if name.endswith("_pred_conv_bias")}
    assert len(biases) == 2 * len(plan.levels)
    assert {attributes["__lr_mult__"] for attributes in biases.values()} == {"2.0"}
    data = pictures(1)
    started = values(module(train, plan, data, labels(plan, 1)))
    assert not any(started[name].any() for name in biases)
    # VGG's finest tap is brought to length 20 per cell, and that is learnt
    assert (started["relu4_3_scale"] == 20).all()
    assert started["relu4_3_scale"].shape == (1, 512, 1, 1)


def test_l2_normalisation_brings_cells_to_the_length_of_their_scale():
    plan, train, _ = make(backbone="vgg16_reduced")
    data = pictures(1)
    made = module(train.get_internals()["relu4_3_scaled_output"], plan, data)
    (scaled,) = forward(made, data)
    assert scaled.shape[1:] == (plan.levels[0].channels, plan.levels[0].height,
                                plan.levels[0].width)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 20, rtol=1e-3)


def test_ssdlite_predicts_with_separable_convolutions():
    plan, train, _ = make("ssdlite")
    attributes = train.attr_dict()
    shapes = dict(zip(train.list_arguments(),
                      train.infer_shape(data=(1, 3, *SHAPE), label=(1, 1, 5))[0]))
    for level, layer in zip(plan.levels, plan.from_layers):
        if layer:
            # a 3x3 filter a channel, and 1x1 convolutions across them
            assert attributes[f"{layer}_cls_pred_conv_dw_conv"]["num_group"] == str(level.channels)
            assert shapes[f"{layer}_cls_pred_conv_dw_conv_weight"] == (level.channels, 1, 3, 3)
            assert shapes[f"{layer}_cls_pred_conv_weight"] == (
                level.anchors_per_cell * (CLASSES + 1), level.channels, 1, 1)


def test_the_focal_loss_starts_with_objects_that_are_rare():
    plan, focal, _ = make(loss="focal")
    _, softmax, _ = make(loss="softmax")
    assert focal.list_arguments() == softmax.list_arguments()
    data, label = pictures(2), labels(plan, 2)
    for symbol, objects in ((focal, 0.01), (softmax, CLASSES / (CLASSES + 1))):
        started = values(module(symbol, plan, data, label))
        names = [name for name in started if name.endswith("_cls_pred_conv_bias")]
        assert len(names) == len(plan.levels)
        for name in names:
            biases = started[name].reshape(1, -1, CLASSES + 1).transpose(0, 2, 1)
            share = numpy_ops.softmax(biases)[0]
            assert share[1:].sum(axis=0) == pytest.approx(objects, rel=1e-5)
            assert share[1:] == pytest.approx(objects / CLASSES, rel=1e-5)


# Heads that bring a step of their own

def declare(**steps):
    return ssdreg.Head(name="own", summary="SSD but for a step", paper="https://example.org",
                       **{"predict": "ssdreg.heads.ssd:predict", **steps})


def one_object_only(predictions, plan):
    """Suppress every box that overlaps a better one, whatever its class, and doubtful ones."""
    return ops.detection(
        mx.sym.softmax(predictions.cls_pred, axis=1), predictions.loc_pred, predictions.anchors,
        PostProcessing(variances=plan.variances, nms_threshold=0.2, nms_topk=-1,
                       force_suppress=True, threshold=0.3))


def with_a_second_loss(predictions, label, plan):
    """Train as SSD does, and learn to tell how large offsets are in the mean."""
    guess = mx.sym.Variable("guess", shape=(1,), init=mx.init.Zero())
    size = mx.sym.mean(mx.sym.BlockGrad(mx.sym.abs(predictions.loc_pred)))
    return mx.sym.Group([*multibox.train(predictions, label, plan),
                         mx.sym.MakeLoss(mx.sym.square(guess - size), name="guess_loss")])


def test_a_head_may_replace_post_processing_alone():
    plan, train, deploy = make()
    own_plan, own_train, own_deploy = make(declare(detect=one_object_only))
    assert attrs.evolve(own_plan, head="ssd") == plan
    assert own_train.tojson() == train.tojson()
    data = pictures(2)
    inside = own_deploy.get_internals()
    raw = [inside[f"multibox_{name}_output"] for name in ("cls_pred", "loc_pred", "anchors")]
    cls_pred, loc_pred, anchors, found = forward(
        module(mx.sym.Group([*raw, own_deploy]), plan, data), data)
    (others,) = forward(module(deploy, plan, data), data)
    survivors = numpy_ops.detection(numpy_ops.softmax(cls_pred), loc_pred, anchors[0],
                                    plan.variances, 0.2, -1, True, 0.3)
    for rows, kept, before in zip(found, survivors, others):
        rows = rows[rows[:, 0] >= 0]
        np.testing.assert_allclose(rows, kept, rtol=1e-4, atol=1e-4)
        assert 0 < len(rows) < (before[:, 0] >= 0).sum()


def test_a_head_may_replace_the_losses_alone_and_is_trained_by_them(tmp_path, tiny_shapes):
    head = declare(train=with_a_second_loss)
    _, _, deploy = make()
    _, own_train, own_deploy = make(head)
    assert own_deploy.tojson() == deploy.tojson()
    assert own_train.list_outputs() == [*OUTPUTS, "guess_loss_output"]

    source = splits.choose(tiny_shapes)
    learning, validation = splits.open_data(source)
    network = build_network(BACKBONE, len(learning.classes), 64, head)
    run = create_run(tmp_path / "run", learning.classes, network.plan, network.train,
                     network.deploy)
    train_run(run, Data(source=source, train=learning, validation=validation, augmentation=None),
          TrainOptions(epochs=1, batch_size=8), choose_engine("mxnet"))
    assert run.plan.head == "own"
    # nothing but the second loss moves it, and no weight decay moves a zero
    assert run.load_params().args["guess"].asscalar() > 0
    assert 0 <= run.log()[-1].map <= 1


@pytest.mark.parametrize(("steps", "mode", "message"), [
    ({"train": lambda predictions, label, plan: predictions.cls_pred}, "train",
     "the head 'own' cannot be trained: its train gives multibox_cls_pred_output, and not "
     "cls_prob_output, loc_loss_output, cls_label_output"),
    ({"detect": lambda predictions, plan: predictions.loc_pred}, "deploy",
     "the head 'own' cannot detect: its detect gives multibox_loc_pred_output, and not "
     "detection_output alone"),
    ({"losses": ["giou"]}, "train", "loss 'giou': there are softmax, focal here, and the head "
                                    "'own' needs a train of its own for another"),
])
def test_a_head_without_what_others_read_is_refused(steps, mode, message):
    with pytest.raises(ssdreg.PlanError, match=re.escape(message)):
        ssdreg.build("resnet18", CLASSES, SHAPE, declare(**steps), mode)


def unnamed(backbone, plan):
    """Predict as SSD does, behind a convolution without a name."""
    feature = mx.sym.Convolution(multibox.feature_levels(backbone, plan, ssd.extra)[0],
                                 num_filter=plan.levels[0].channels, kernel=(1, 1))
    return multibox.predict([feature + 1.0], plan, ssd.predictor)


@pytest.mark.parametrize("settings", [
    {"loss": "focal"},
    {"head": declare(predict=unnamed), "from_layers": [BACKBONE.tap(8).node]}])
def test_names_of_a_head_are_none_of_its_backbones(settings):
    symbol = ssdreg.build(BACKBONE, CLASSES, 96, **settings)
    names = [node["name"] for node in json.loads(symbol.tojson())["nodes"]]
    assert len(names) == len(set(names))
    assert any(name.startswith("head_") for name in names)
    # numbered as ever, whatever was built before
    assert ssdreg.build(BACKBONE, CLASSES, 96, **settings).tojson() == symbol.tojson()


def raises(*arguments):
    raise KeyError("levels of 1998")


@pytest.mark.parametrize(("steps", "mode", "message"), [
    ({"predict": raises}, "train", "its predict raised KeyError: 'levels of 1998'"),
    ({"train": raises}, "train", "its train raised KeyError: 'levels of 1998'"),
    ({"detect": raises}, "deploy", "its detect raised KeyError: 'levels of 1998'"),
    ({"predict": "no_such_module:predict"}, "train",
     "its predict raised ModuleNotFoundError: No module named 'no_such_module'"),
    ({"predict": lambda backbone, plan: backbone}, "train",
     "its predict gives Symbol, and not ssdreg.Predictions"),
    ({"train": lambda predictions, label, plan: predictions}, "train",
     "its train gives Predictions, and not an mx.sym.Symbol"),
    ({"detect": lambda predictions, plan: None}, "deploy",
     "its detect gives NoneType, and not an mx.sym.Symbol"),
])
def test_a_head_that_fails_is_named(steps, mode, message):
    with pytest.raises(ssdreg.PluginError, match=re.escape(message)) as caught:
        ssdreg.build("resnet18", CLASSES, SHAPE, declare(**steps), mode)
    assert str(caught.value).startswith("the head 'own' cannot be used: ")
    assert (caught.value.__cause__ is not None) == ("raised" in message)


def test_a_command_says_so_in_a_line(capsys):
    class Plugin:
        @ssdreg.hookimpl
        def ssdreg_heads(self):
            yield declare(predict=raises)
    with ssdreg.registry.host.register(Plugin()):
        assert refused(command(capsys, "build", "resnet18", "--head", "own"),
                       "the head 'own' cannot be used: its predict raised KeyError")


@pytest.mark.parametrize(("fields", "message"), [
    ({"losses": "focal"}, "losses must be a list or tuple of names, not the text 'focal'"),
    ({"losses": ()}, "losses"),
    ({"aliases": "fpn"}, "aliases must be a list or tuple of names, not the text 'fpn'"),
    ({"aliases": (1,)}, "aliases"),
    ({"defaults": {"channels": 3}}, "defaults"),
    ({"train": "nowhere"}, "Head 'own': train must be a callable or 'module:function'"),
])
def test_a_declaration_that_cannot_be_is_refused(fields, message):
    with pytest.raises((TypeError, ValueError), match=message):
        declare(**fields)
