"""The pyramid head: its plan, its maps, the predictors its levels share, its loss."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from ssdreg_fpn import CELLS, RATIOS, sigmoid
from ssdreg_fpn.predictors import PRIOR

import ssdreg
from ssdreg.anchors.fit import fit_sizes
from ssdreg.detector.families import parameter_count
from ssdreg.errors import PlanError
from ssdreg.mx import mx

#: Sides that no stride divides, and not square: maps of 13x19, 7x10, 4x5 cells and behind them.
SHAPE = (100, 147)
CLASSES, BATCH = 3, 2
SMALL = {"num_classes": CLASSES, "data_shape": SHAPE, "head": "fpn_small"}
CHANNELS = {"fpn": 256, "fpn_small": 64}
DEPTH = {"fpn": 4, "fpn_small": 2}


@pytest.fixture(scope="module")
def plan():
    return ssdreg.plan("resnet18", **SMALL)


@pytest.fixture(scope="module")
def train():
    return ssdreg.build("resnet18", **SMALL)


@pytest.fixture(scope="module")
def deploy():
    return ssdreg.build("resnet18", mode="deploy", **SMALL)


def pictures(batch=BATCH, shape=SHAPE):
    return np.random.RandomState(1).uniform(-128, 127, (batch, 3, *shape)).astype("float32")


def sides(plan):
    return [(level.height, level.width) for level in plan.levels]


def labels(plan, batch):
    """Return one object for each level and image, where that level has an anchor."""
    label = -np.ones((batch, len(plan.levels), 5), "float32")
    for index, level in enumerate(plan.levels):
        high = plan.sizes[index][0]
        wide = high * level.height / level.width
        y, x = (level.height // 2 + 0.5) / level.height, (level.width // 2 + 0.5) / level.width
        box = np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2])
        label[:, index] = [index % CLASSES, *np.clip(box, 0, 1)]
    return label


def bound(symbol, **inputs):
    """Bind a symbol to inputs and to parameters that are the same for the same names."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="write",
                                  **{name: value.shape for name, value in inputs.items()})
    attributes = symbol.attr_dict()
    start = mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        if name in inputs:
            array[:] = inputs[name]
            continue
        mx.random.seed(len(name) * 1000 + sum(map(ord, name)))
        start(mx.init.InitDesc(name, attributes.get(name, {})), array)
    return executor


def forward(symbol, is_train=False, **inputs):
    return [output.asnumpy() for output in bound(symbol, **inputs).forward(is_train=is_train)]


# The plan

@pytest.mark.parametrize("name", CHANNELS)
def test_the_heads_are_registered(name):
    head = ssdreg.get_head(name)
    assert head in ssdreg.list_heads()
    assert head.losses == ("focal",)
    assert ssdreg.get_head("RetinaNet").name == "fpn"


def test_the_levels_are_p3_to_p7_on_the_ends_of_the_stages():
    made = ssdreg.plan("resnet50", 80, 512, "retinanet")
    backbone = ssdreg.get_backbone("resnet50")
    assert made.head == "fpn"
    assert made.from_layers == (*(backbone.tap(stride).node for stride in (8, 16, 32)), "", "")
    assert sides(made) == [(512 // stride,) * 2 for stride in (8, 16, 32, 64, 128)]
    assert {level.channels for level in made.levels} == {256}
    assert made.loss == "focal"
    # anchors of 32 to 512 pixels, as in the paper, and two more of the same octave each
    for level, sizes in zip(made.levels, made.sizes):
        stride = 512 / level.height
        assert [size * 512 for size in sizes] == pytest.approx(
            [4 * stride * 2 ** (third / 3) for third in range(3)])
    assert set(made.ratios) == {RATIOS}
    assert {level.anchors_per_cell for level in made.levels} == {len(CELLS) + len(RATIOS) - 1}


def test_a_small_input_has_fewer_levels_and_sizes_of_the_image():
    made = ssdreg.plan("resnet18", 3, 64, "fpn")
    assert sides(made) == [(8, 8), (4, 4), (2, 2), (1, 1)]
    assert [sizes[0] for sizes in made.sizes] == [0.5, 1, 1, 1]


@pytest.mark.parametrize(("backbone", "strides"), [
    ("vgg16_reduced", (8, 16)), ("inceptionv3", (8, 16, 32)), ("resnet18", (8, 16, 32))])
def test_every_tap_from_stride_8_on_feeds_it(backbone, strides):
    made = ssdreg.plan(backbone, 3, 300, "fpn")
    source = ssdreg.get_backbone(backbone)
    assert made.taps == tuple(source.tap(stride).node for stride in strides)
    # what the backbone publishes for an SSD of 300 pixels is put aside
    assert made.steps == ()
    assert set(made.normalizations) == {-1}
    assert len(made.levels) == len(strides) + 2


def test_what_is_asked_for_goes_before():
    made = ssdreg.plan("resnet18", 3, 128, "fpn", tap_strides=(16, 32), sizes="example",
                       projections=[32] * 2 + [-1] * 2, num_filters=[-1] * 2 + [32] * 2)
    assert len(made.taps) == 2
    assert {level.channels for level in made.levels} == {32}
    assert made.sizes == ssdreg.plan("resnet18", 3, 128, tap_strides=(16, 32)).sizes
    assert made.sizes != ssdreg.plan("resnet18", 3, 128, "fpn", tap_strides=(16, 32),
                                     sizes="head").sizes


@pytest.mark.parametrize(("settings", "message"), [
    ({"loss": "softmax"}, "loss must be focal, not 'softmax', for the head 'fpn'"),
    ({"ratios": ((1,), *[(1, 2)] * 4)}, "level 1 has 4 anchors a cell and level 0 has 3: the "
                                        "levels of the head 'fpn' share their predictors"),
    ({"projections": (64, 256, 256, -1, -1)}, "level 1 has 256 channels and level 0 has 64"),
    ({"data_shape": 16}, "take a larger data_shape"),
])
def test_what_levels_that_share_predictors_cannot_have_is_refused(settings, message):
    with pytest.raises(PlanError) as caught:
        ssdreg.plan("resnet18", **{"num_classes": 3, "head": "fpn", **settings})
    assert message in str(caught.value)


def test_sizes_fitted_to_boxes_keep_its_levels(plan):
    rng = np.random.RandomState(0)
    corners = rng.uniform(0, 0.5, (50, 2))
    boxes = np.hstack([corners, corners + rng.uniform(0.1, 0.4, (50, 2))])
    sizes = fit_sizes(boxes, plan)
    fitted = ssdreg.plan("resnet18", **SMALL, sizes=sizes)
    assert fitted.sizes == sizes != plan.sizes
    assert fitted.levels == plan.levels


# The maps

def test_a_coarse_map_is_added_to_the_finer_one_enlarged(plan, deploy):
    inside = deploy.get_internals()
    names = [*(f"fpn_{index}_lateral_bn" for index in range(3)),
             *(f"fpn_{index}_merged" for index in range(2))]
    *laterals, finest, middle = forward(
        mx.sym.Group([inside[f"{name}_output"] for name in names]), data=pictures())
    assert [lateral.shape[2:] for lateral in laterals] == sides(plan)[:3]
    assert [size % 2 for size in sides(plan)[0]] == [1, 1]  # sizes that doubling does not meet
    for index, (coarse, merged) in enumerate([(middle, finest), (laterals[2], middle)]):
        want = laterals[index] + enlarged(coarse, sides(plan)[index])
        np.testing.assert_allclose(merged, want, rtol=0, atol=1e-5 * np.abs(want).max())


def enlarged(maps, size):
    """Interpolate between the centres of cells; beyond the outer ones nothing changes."""
    for axis, length in zip((2, 3), size):
        before = maps.shape[axis]
        places = np.clip((np.arange(length) + 0.5) * before / length - 0.5, 0, before - 1)
        low = np.floor(places).astype(int)
        share = np.expand_dims(places - low, tuple({0, 1, 2, 3} - {axis}))
        high = np.minimum(low + 1, before - 1)
        maps = maps.take(low, axis) * (1 - share) + maps.take(high, axis) * share
    return maps


@pytest.mark.parametrize(("backbone", "shape"), [
    ("resnet18", (300, 300)), ("resnet18", (128, 320)), ("inceptionv3", (151, 203)),
    ("vgg16_reduced", (75, 117))])
def test_maps_of_any_size_meet(backbone, shape):
    settings = {"num_classes": CLASSES, "data_shape": shape, "head": "fpn_small"}
    made = ssdreg.plan(backbone, **settings)
    inside = ssdreg.build(backbone, mode="deploy", **settings).get_internals()
    _, found, _ = inside.infer_shape(data=(BATCH, 3, *shape))
    shapes = dict(zip(inside.list_outputs(), found))
    assert shapes["detection_output"] == (BATCH, made.anchors, 6)
    for index, level in enumerate(made.levels):
        name = f"fpn_{index}_" + ("smooth" if level.node else "down")
        assert shapes[f"{name}_bn_output"] == (BATCH, 64, level.height, level.width)


# The predictors

@pytest.mark.parametrize("head", CHANNELS)
def test_the_levels_share_one_set_of_predictors(head):
    settings = {"num_classes": CLASSES, "data_shape": 128, "head": head}
    made, symbol = ssdreg.plan("resnet18", **settings), ssdreg.build("resnet18", **settings)
    subnets = [name for name in symbol.list_arguments() if name.startswith(("fpn_cls", "fpn_loc"))]
    assert len(subnets) == 2 * 2 * (DEPTH[head] + 1)
    convolutions = [node for node in json.loads(symbol.tojson())["nodes"]
                    if node["op"] == "Convolution" and "_cls_pred" in node["name"]]
    assert len(convolutions) == len(made.levels)
    assert len({tuple(map(tuple, node["inputs"][1:])) for node in convolutions}) == 1

    k, cells = CHANNELS[head], made.levels[0].anchors_per_cell
    inner = DEPTH[head] * (9 * k * k + k)
    predictors = 2 * inner + 9 * k * cells * (CLASSES + 4) + cells * (CLASSES + 4)
    taps = [ssdreg.get_backbone("resnet18").tap(stride).channels for stride in (8, 16, 32)]
    # a convolution without bias, and the four arrays of a normalisation
    pyramid = sum(k * tap + 4 * k for tap in taps) + len(made.levels) * (9 * k * k + 4 * k)
    up_to_taps = symbol.get_internals()[f"{made.taps[-1]}_output"]
    assert parameter_count(symbol, made.data_shape) == (
        parameter_count(up_to_taps, made.data_shape) + pyramid + predictors)


def test_predictions_lie_cell_by_cell_as_the_anchors_do(plan, deploy):
    inside = deploy.get_internals()
    names = ["fpn_1_fpn_cls_pred", "fpn_1_fpn_loc_pred", "multibox_cls_pred", "multibox_loc_pred"]
    scores, offsets, cls_pred, loc_pred = forward(
        mx.sym.Group([inside[f"{name}_output"] for name in names]), data=pictures())
    level, (row, column, anchor) = plan.levels[1], (2, 4, 3)
    index = plan.levels[0].anchors + (
        row * level.width + column) * level.anchors_per_cell + anchor
    np.testing.assert_array_equal(loc_pred[:, index * 4:index * 4 + 4],
                                  offsets[:, anchor * 4:anchor * 4 + 4, row, column])
    np.testing.assert_array_equal(
        cls_pred[:, :, index], scores[:, anchor * CLASSES:(anchor + 1) * CLASSES, row, column])


def test_objects_are_as_improbable_at_first_as_the_prior_says(plan, train):
    data, label = pictures(), labels(plan, BATCH)
    cls_prob, *_ = forward(train, is_train=True, data=data, label=label)
    assert np.median(cls_prob[:, 1:]) == pytest.approx(PRIOR, rel=0.3)
    np.testing.assert_allclose(cls_prob[:, 0], 1 - cls_prob[:, 1:].max(axis=1), atol=1e-6)


# The loss

def focal(logits, targets):
    """Return the loss of each anchor, class by class, in NumPy."""
    loss = np.zeros(targets.shape)
    for image, anchor in itertools.product(*map(range, targets.shape)):
        target = targets[image, anchor]
        for kind in range(logits.shape[1]):
            p = 1 / (1 + math.exp(-logits[image, kind, anchor]))
            if target >= 0:
                loss[image, anchor] -= (0.25 * (1 - p) ** 2 * math.log(p) if target == kind + 1
                                        else 0.75 * p ** 2 * math.log(1 - p))
    return loss / max(1, (targets > 0).sum())


def run_loss(plan, logits, targets):
    """Return the loss and its gradient in the logits."""
    symbol = sigmoid.focal_loss(mx.sym.Variable("x"), mx.sym.Variable("t"), plan)
    values = {"x": mx.nd.array(logits), "t": mx.nd.array(targets)}
    gradients = {name: mx.nd.zeros(value.shape) for name, value in values.items()}
    executor = symbol.bind(mx.cpu(), values, args_grad=gradients)
    (loss,) = executor.forward(is_train=True)
    executor.backward([mx.nd.ones(loss.shape)])
    assert not gradients["t"].asnumpy().any()
    return loss.asnumpy(), gradients["x"].asnumpy()


@pytest.mark.parametrize("most", [CLASSES, 0])
def test_the_loss_is_the_papers(plan, most):
    rng = np.random.RandomState(0)
    logits, targets = rng.normal(0, 2, (2, CLASSES, 7)), rng.randint(-1, most + 1, (2, 7))
    loss, gradient = run_loss(plan, logits, targets)
    np.testing.assert_allclose(loss, focal(logits, targets), rtol=1e-4)
    assert (loss[targets == -1] == 0).all()
    numeric = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        there, back = logits.copy(), logits.copy()
        there[place] += 1e-5
        back[place] -= 1e-5
        numeric[place] = (focal(there, targets) - focal(back, targets)).sum() / 2e-5
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-6)


def test_the_loss_pulls_back_a_score_that_is_wholly_wrong(plan):
    # the probability of the truth is exp(-100) in all of them, which is 0 in float32
    logits = np.array([[[-100.0, 100.0], [-100.0, -100.0], [-100.0, -100.0]]])
    loss, gradient = run_loss(plan, logits, np.array([[1, 0]]))
    np.testing.assert_allclose(loss, [[25, 75]], rtol=1e-5)
    np.testing.assert_allclose(gradient[0, 0], [-0.25, 0.75], rtol=1e-5)


# The whole

def test_one_step_reaches_every_parameter(plan, train):
    data, label = pictures(4), labels(plan, 4)
    executor = bound(train, data=data, label=label)
    outputs = executor.forward(is_train=True)
    executor.backward([mx.nd.ones(output.shape) for output in outputs])
    assert train.list_outputs() == ["cls_prob_output", "loc_loss_output", "cls_label_output",
                                    "det_out_output"]
    found = {name: array.asnumpy() for name, array in executor.grad_dict.items()}
    assert all(np.isfinite(gradient).all() for gradient in found.values())
    # the scale of the first normalisation is fixed by the backbone
    assert {name for name, gradient in found.items() if not gradient.any()} == {
        "label", "bn_data_gamma"}
    cls_label = outputs[2].asnumpy()
    places = np.cumsum([level.anchors for level in plan.levels])[:-1]
    assert all((part > 0).any() for part in np.split(cls_label, places, axis=1))
    assert (cls_label >= 0).all()  # nothing is mined: every anchor counts


def test_deploy_detects_what_training_shows(plan, train, deploy):
    data = pictures(3)
    *_, shown = forward(train, data=data, label=labels(plan, 3))
    (found,) = forward(deploy, data=data)
    kept = found[..., 0] >= 0
    assert kept.any(axis=1).all()
    np.testing.assert_array_equal(kept, shown[..., 0] >= 0)
    np.testing.assert_allclose(found[kept], shown[kept], rtol=1e-4, atol=1e-5)
    assert set(np.unique(found[kept][:, 0])) <= set(range(CLASSES))
    assert (found[kept][:, 1:] >= 0).all()
    assert (found[kept][:, 1:] <= 1).all()
    for image in range(3):  # a batch is its images
        (alone,) = forward(deploy, data=data[image:image + 1])
        np.testing.assert_array_equal(alone[0, :, 0] >= 0, kept[image])
        np.testing.assert_allclose(alone[0][kept[image]], found[image][kept[image]],
                                   rtol=1e-3, atol=1e-4)


def test_the_same_call_gives_the_same_symbol(train):
    ssdreg.build("resnet34", **SMALL)
    assert ssdreg.build("resnet18", **SMALL).tojson() == train.tojson()
