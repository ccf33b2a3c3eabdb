"""Training symbols rewritten for MXNet's kernels: the same numbers, in blocks of 16 channels."""

from __future__ import annotations

import numpy as np
import pytest
from ssdreg_runtime.system.processor import has_wide_bfloat16, has_wide_vectors

from ssdreg.detector.overrides import Overrides
from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import PRIOR
from ssdreg.mx import mx
from ssdreg.registry.device import CPU, Device
from ssdreg.testing.one_step import labels
from ssdreg.training.graphs import rewritten
from ssdreg.training.graphs.norms import JOINED
from ssdreg.training.graphs.shapes import BLOCK, Shaped
from ssdreg.training.learner import Lesson, prepare_lesson
from ssdreg.training.mxnet_learner import MXNetLearner
from ssdreg.training.network import build_network
from ssdreg.training.options import TrainOptions
from ssdreg.training.start import draw

SIDE, BATCH = 96, 4
wide_bfloat16 = pytest.mark.skipif(not has_wide_bfloat16(),
                                   reason="this processor has no AVX-512 for bfloat16")


def lesson(precision: str = "float32", head: str = "ssd", backbone: str = "resnet18",
           **options: object) -> Lesson:
    # the focal loss takes all anchors: mining turns rounding into other anchors
    network = build_network(backbone, 3, SIDE, head, Overrides(loss="focal"))
    recipe = TrainOptions(batch_size=BATCH, optimizer="sgd", **options)  # type: ignore[arg-type]
    return prepare_lesson(network, recipe, (Device(CPU),), precision, {
        "data": (BATCH, 3, SIDE, SIDE), "label": (BATCH, 4, 6)})


def batch(about: Lesson) -> mx.io.DataBatch:
    draw_from = np.random.default_rng(0)
    objects = labels(about.plan)[:1, :4]
    objects = np.concatenate((objects, -np.ones((1, 4 - objects.shape[1], 5), "float32")), 1)
    label = np.concatenate((objects, np.zeros((1, 4, 1), "float32")), 2).repeat(BATCH, 0)
    images = draw_from.normal(0, 50, about.shapes["data"]).astype("float32")
    return mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(label)], pad=0)


def first_step(symbol: mx.sym.Symbol, about: Lesson) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the first outputs, and all gradients in one vector."""
    data, params = batch(about), draw(about)
    executor = symbol.simple_bind(mx.cpu(), grad_req={
        name: "null" if name in about.shapes else "write" for name in symbol.list_arguments()},
        **about.shapes)
    executor.copy_params_from(dict(params.args), dict(params.auxs))
    executor.forward(is_train=True, data=data.data[0], label=data.label[0])
    executor.backward()
    return [output.asnumpy() for output in executor.outputs[:3]], np.concatenate([
        executor.grad_dict[name].asnumpy().ravel() for name in sorted(params.args)])


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine between two directions."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("head", ["ssd", "ssdlite"])
def test_float32_stays_the_same_but_for_rounding(head: str) -> None:
    about = lesson(head=head)
    outputs, gradients = first_step(about.symbol, about)
    fast_outputs, fast_gradients = first_step(
        rewritten(about.symbol, about.shapes, "float32"), about)
    for output, fast in zip(outputs, fast_outputs):
        np.testing.assert_allclose(fast, output, rtol=1e-3, atol=1e-4)
    assert likeness(gradients, fast_gradients) > 0.9999


def test_parameters_keep_their_names_and_shapes() -> None:
    about = lesson()
    for precision in ("float32", "bfloat16"):
        fast = rewritten(about.symbol, about.shapes, precision)
        for symbol in (about.symbol, fast):
            assert set(symbol.list_arguments()) == set(about.symbol.list_arguments())
            assert set(symbol.list_auxiliary_states()) == set(
                about.symbol.list_auxiliary_states())
        shapes, _, _ = fast.infer_shape(**about.shapes)
        before, _, _ = about.symbol.infer_shape(**about.shapes)
        assert dict(zip(fast.list_arguments(), shapes)) == dict(
            zip(about.symbol.list_arguments(), before))


def test_predictors_are_one_convolution_a_level_in_whole_blocks() -> None:
    about = lesson()
    shaped = Shaped.of(Net.of(rewritten(about.symbol, about.shapes, "float32")), about.shapes)
    joined = [index for index in shaped.net.find("Convolution")
              if shaped.net.name(index).startswith("predictors")]
    assert len(joined) == len(about.plan.levels)
    assert all(shaped.shapes[index][1] % BLOCK == 0 for index in joined)


def test_anchors_read_no_feature() -> None:
    about = lesson()
    net = Net.of(rewritten(about.symbol, about.shapes, "float32"))
    assert {net.op(net.nodes[index].sources[0]) for index in net.find(PRIOR)} == {"_zeros"}


def test_normalization_and_relu_are_one() -> None:
    about = lesson()
    net = Net.of(rewritten(about.symbol, about.shapes, "float32"))
    if not net.find(JOINED):
        pytest.skip("this processor has no AVX-512")
    assert len(net.find("Activation")) < len(Net.of(about.symbol).find("Activation"))


def test_relu6_becomes_a_minimum_and_a_maximum() -> None:
    data = mx.sym.Variable("data")
    clip = mx.sym.clip(data * 1.0, 0, 6, name="six")
    other = mx.sym.clip(data * 1.0, -1, 1, name="other")
    symbol = mx.sym.MakeLoss(clip + other)
    net = Net.of(rewritten(symbol, {"data": (1, 1, 2, 2)}, "float32"))
    assert [net.name(index) for index in net.find("clip")] == ["other"]
    values = mx.nd.array([[[[-1.0, 0.0], [6.0, 7.0]]]])
    gradients = []
    for one in (symbol, net.symbol()):
        executor = one.simple_bind(mx.cpu(), data=(1, 1, 2, 2))
        output = executor.forward(is_train=True, data=values)[0].asnumpy()
        executor.backward()
        gradients.append((output, executor.grad_dict["data"].asnumpy()))
    for before, after in zip(*gradients):
        np.testing.assert_array_equal(after, before)


def test_layouts_are_kept_apart_between_blocks_of_8_and_16() -> None:
    if not has_wide_vectors():
        pytest.skip("this processor has no AVX-512")
    data = mx.sym.Variable("data")
    narrow = mx.sym.Convolution(data, kernel=(1, 1), num_filter=24, name="narrow")
    map16 = mx.sym.BatchNorm(mx.sym.Convolution(narrow, kernel=(1, 1), num_filter=32), name="mixed")
    again = mx.sym.Convolution(map16, kernel=(1, 1), num_filter=32, name="wide")
    symbol = mx.sym.MakeLoss(mx.sym.Convolution(
        mx.sym.BatchNorm(again, name="even"), kernel=(1, 1), num_filter=16))
    net = Net.of(rewritten(symbol, {"data": (1, 16, 4, 4)}, "float32"))
    assert [net.name(net.nodes[index].sources[0]) for index in net.find("slice_axis")] == ["mixed"]


@wide_bfloat16
def test_bfloat16_goes_the_way_of_float32() -> None:
    about = lesson()
    outputs, gradients = first_step(about.symbol, about)
    fast = rewritten(about.symbol, about.shapes, "bfloat16")
    fast_outputs, fast_gradients = first_step(fast, about)
    assert all(output.dtype == np.float32 for output in fast_outputs)
    assert fast_gradients.dtype == np.float32
    assert np.abs(fast_outputs[0] - outputs[0]).max() < 0.2
    np.testing.assert_array_equal(fast_outputs[2], outputs[2])
    assert fast_outputs[1].sum() == pytest.approx(outputs[1].sum(), rel=0.02)
    assert likeness(gradients, fast_gradients) > 0.9


@wide_bfloat16
def test_bfloat16_computes_most_convolutions_and_no_loss() -> None:
    about = lesson()
    symbol = rewritten(about.symbol, about.shapes, "bfloat16")
    types, _, _ = symbol.infer_type(data="float32", label="float32")
    assert {np.dtype(kind) for kind in types} == {np.dtype("float32")}
    net = Net.of(symbol)
    convolutions = net.find("Convolution")
    low = [index for index in convolutions
           if net.op(net.nodes[index].sources[1]) == "amp_cast"]
    assert len(low) == len(convolutions) - 1  # the first reads the three channels of an image
    for index in net.find("_contrib_MultiBoxTarget", "MakeLoss", "smooth_l1"):
        assert all("bfloat16" not in net.name(source) for source in net.nodes[index].sources)


@wide_bfloat16
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_bfloat16_goes_on_to_the_bit(optimizer: str) -> None:
    about = lesson("bfloat16")
    data = batch(about)
    whole = MXNetLearner(about)
    whole.begin(draw(about))
    for _ in range(2):
        whole.step(data, 1e-3)
    params = whole.params()
    args, auxs = ({name: array.copy() for name, array in arrays.items()}
                  for arrays in (params.args, params.auxs))
    state = {name: array.copy() for name, array in whole.optimizer().items()}
    assert {str(np.dtype(array.dtype)) for array in (*args.values(), *state.values())} == {
        "float32"}
    again = MXNetLearner(about)
    again.restore(type(params)(args, auxs), state, 2)
    assert [again.step(data, 1e-3) for _ in range(2)] == [
        whole.step(data, 1e-3) for _ in range(2)]
