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
from ssdreg.training.graphs.depthwise import in_columns
from ssdreg.training.graphs.norms import JOINED
from ssdreg.training.graphs.shapes import BLOCK, Shaped
from ssdreg.training.graphs.stems import without_cuts
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


def gradients_of(symbol: mx.sym.Symbol, shapes: dict[str, tuple[int, ...]]) -> list[np.ndarray]:
    """Return a symbol's output and its gradients, of values that are drawn."""
    draw_from = np.random.default_rng(0)
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", **shapes)
    for name in sorted(executor.arg_dict):
        executor.arg_dict[name][:] = draw_from.normal(size=executor.arg_dict[name].shape)
    output = executor.forward(is_train=True)[0]
    executor.backward(mx.nd.array(draw_from.normal(size=output.shape)))
    return [output.asnumpy(), *(executor.grad_dict[name].asnumpy()
                                for name in sorted(executor.arg_dict))]


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


def test_normalization_and_relu_stay_two_before_blocks_of_8() -> None:
    # MXNet has no backward pass of both for a gradient in blocks of 8
    data = mx.sym.Variable("data")
    norm = mx.sym.BatchNorm(mx.sym.Convolution(data, kernel=(1, 1), num_filter=64))
    narrow = mx.sym.Convolution(mx.sym.Activation(norm, act_type="relu"), kernel=(1, 1),
                                num_filter=24)
    symbol, shapes = mx.sym.MakeLoss(narrow), {"data": (2, 64, 8, 8)}
    fast = rewritten(symbol, shapes, "float32")
    assert Net.of(fast).find(JOINED) == ()
    for before, after in zip(gradients_of(symbol, shapes), gradients_of(fast, shapes)):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


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


def convolution(kernel: int, stride: int, pad: int, cut: int, groups: int) -> mx.sym.Symbol:
    """Build one of 32 outputs, whose first rows and columns may be cut off."""
    whole = mx.sym.Convolution(
        mx.sym.Variable("data"), name="whole", kernel=(kernel, kernel), stride=(stride, stride),
        pad=(pad, pad), num_filter=32, num_group=groups, no_bias=stride == 1)
    return mx.sym.slice(whole, begin=(None, None, cut, cut), end=(None,) * 4) if cut else whole


@pytest.mark.parametrize(("kernel", "stride", "pad", "cut", "size", "parts"), [
    (5, 1, 2, 0, (12, 9), 3),
    (5, 2, 2, 0, (12, 10), 3),
    (5, 2, 2, 0, (11, 9), 3),
    # uneven padding as TensorFlow's: less in front than behind
    (5, 2, 3, 1, (11, 9), 2),
    (5, 2, 3, 1, (12, 10), 2),
    (3, 2, 2, 1, (12, 10), 2),
    # fast as it is
    (3, 1, 1, 0, (12, 9), 1),
    (3, 2, 1, 0, (12, 9), 1),
    # not to be had from neighbours' outputs
    (7, 1, 3, 0, (12, 9), 1),
    (5, 1, 0, 0, (12, 9), 1),
])
def test_depthwise_convolutions_are_sums_of_three_columns_each(
        kernel: int, stride: int, pad: int, cut: int, size: tuple[int, int], parts: int) -> None:
    symbol, shapes = convolution(kernel, stride, pad, cut, groups=32), {"data": (2, 32, *size)}
    net = in_columns(Shaped.of(Net.of(symbol), shapes))
    net = net.ordered(*net.heads)
    kernels = [net.attrs(index).pair("kernel", 1) for index in net.find("Convolution")]
    # those of a single row move a map
    weighted = [columns for rows, columns in kernels if rows > 1]
    assert len(weighted) == parts
    assert parts == 1 or set(weighted) == {3}
    for before, after in zip(gradients_of(symbol, shapes), gradients_of(net.symbol(), shapes)):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kernel", "pad", "cut", "channels", "is_changed"), [
    (3, 2, 1, 3, True), (5, 3, 1, 1, True), (3, 1, 0, 3, False), (3, 2, 1, 16, False)])
def test_nothing_is_cut_off_behind_the_convolution_of_an_image(
        kernel: int, pad: int, cut: int, channels: int, is_changed: bool) -> None:
    symbol, shapes = convolution(kernel, 2, pad, cut, groups=1), {"data": (2, channels, 12, 10)}
    net = without_cuts(Shaped.of(Net.of(symbol), shapes))
    assert (net.ordered(*net.heads).find("slice") == ()) == (is_changed or not cut)
    for before, after in zip(gradients_of(symbol, shapes), gradients_of(net.symbol(), shapes)):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


@wide_bfloat16
def test_relu6_between_convolutions_stays_in_bfloat16() -> None:
    def clipped(data: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
        values = mx.sym.Convolution(data, kernel=(1, 1), num_filter=channels, no_bias=True)
        return mx.sym.Convolution(mx.sym.clip(values, 0, 6), kernel=(1, 1), num_filter=channels,
                                  no_bias=True)
    shapes = {"data": (1, 16, 4, 8)}
    for channels, is_exact in ((16, True), (24, False)):
        symbol = rewritten(mx.sym.MakeLoss(clipped(mx.sym.Variable("data"), channels)), shapes,
                           "bfloat16")
        assert (Net.of(symbol).find("_minimum_scalar") == ()) == is_exact
    # by weights of one input each, the map is seen as it is
    symbol = rewritten(mx.sym.MakeLoss(clipped(mx.sym.Variable("data"), 16)), shapes, "bfloat16")
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", **shapes)
    for name in symbol.list_arguments()[1:]:
        executor.arg_dict[name][:] = mx.nd.array(np.eye(16).reshape(16, 16, 1, 1))
    values = np.linspace(-20, 300, 512).reshape(1, 16, 4, 8).astype("float32")
    values = (values.view("uint32") & 0xFFFF0000).view("float32")  # as bfloat16 has them
    output = executor.forward(is_train=True, data=mx.nd.array(values))[0].asnumpy()
    np.testing.assert_array_equal(output, values.clip(0, 6))
    executor.backward()
    np.testing.assert_array_equal(executor.grad_dict["data"].asnumpy(),
                                  ((values > 0) & (values <= 6)).astype("float32"))


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
