"""Each operator's translation, setting by setting: MXNet and ONNX Runtime make the same of it."""

from __future__ import annotations

import pytest
from support import exporting
from support.exporting import OPSETS, case

from ssdreg.mx import mx

sym = mx.sym
contrib, linalg = sym.contrib, sym.linalg
#: Relative to the greatest value.
TOLERANCE = 1e-5


def conv(x, channels=4, kernel=(1, 1), **settings):
    return sym.Convolution(x, num_filter=channels, kernel=kernel, **settings)


def channels(x, count):
    """Return a map of `count` channels, all different."""
    return sym.Concat(*(x * (1 + index / 7) + index for index in range(-(-count // 3))),
                      dim=1).slice_axis(axis=1, begin=0, end=count)


def rows(x):
    """Return (B, 27, 14): a picture's rows behind one another."""
    return sym.Reshape(x, shape=(0, -3, 0))


def positive(x):
    return sym.abs(x) + .1


def bounded(x):
    return sym.tanh(x) * .9


CASES = {
    # convolutions and dense layers
    "conv": lambda x: conv(x, kernel=(3, 2)),
    "conv, all set": lambda x: conv(x, 6, (3, 2), stride=(2, 1), pad=(2, 1), dilate=(1, 2),
                                    num_group=3, no_bias=True, layout="NCHW"),
    "conv without its defaults' names": lambda x: conv(x, kernel=(5, 3), pad=(1, 0)),
    "conv, depthwise": lambda x: conv(channels(x, 4), 8, (3, 3), num_group=4, pad=(1, 1)),
    "conv of rows": lambda x: conv(rows(x), kernel=(3,), stride=(2,), pad=(1,), dilate=(2,)),
    "conv of volumes": lambda x: conv(sym.expand_dims(x, axis=1), 2, (2, 3, 3), pad=(1, 0, 1)),
    "conv of the first kind": lambda x: sym.Convolution_v1(
        x, num_filter=4, kernel=(3, 2), stride=(2, 1), pad=(1, 1), num_group=1),
    "conv, a weight computed": lambda x: sym.Convolution(
        x, sym.Variable("weight", shape=(4, 3, 3, 3)) * 2 - .5, num_filter=4, kernel=(3, 3),
        no_bias=True),
    "deconv": lambda x: sym.Deconvolution(x, num_filter=4, kernel=(3, 2)),
    "deconv, all set": lambda x: sym.Deconvolution(
        x, num_filter=6, kernel=(4, 3), stride=(3, 2), pad=(1, 0), adj=(2, 1), num_group=3,
        no_bias=False),
    "deconv, dilated": lambda x: sym.Deconvolution(
        x, num_filter=4, kernel=(3, 3), dilate=(2, 2), pad=(2, 1)),
    "deconv to no size": lambda x: sym.Deconvolution(
        x, num_filter=4, kernel=(4, 4), stride=(2, 2), pad=(1, 1), target_shape=(0, 0)),
    "deconv of rows": lambda x: sym.Deconvolution(
        rows(x), num_filter=4, kernel=(3,), stride=(2,), adj=(1,)),
    "dense": lambda x: sym.FullyConnected(x, num_hidden=5),
    "dense, no bias": lambda x: sym.FullyConnected(x, num_hidden=5, no_bias=True),
    "dense of a matrix": lambda x: sym.FullyConnected(sym.Flatten(x), num_hidden=5),
    "dense of the last axis": lambda x: sym.FullyConnected(x, num_hidden=5, flatten=False),
    "dense of the last axis, no bias": lambda x: sym.FullyConnected(
        x, num_hidden=5, flatten=False, no_bias=True),
    # batch normalisation and its kin
    "batch norm": lambda x: sym.BatchNorm(x),
    "batch norm, all set": lambda x: sym.BatchNorm(x, fix_gamma=False, eps=.1,
                                                   use_global_stats=True),
    "batch norm of the last axis": lambda x: sym.BatchNorm(x, fix_gamma=False, axis=-1),
    "batch norm of a matrix": lambda x: sym.BatchNorm(sym.Flatten(x), fix_gamma=False),
    "batch norm of rows": lambda x: sym.BatchNorm(rows(x), fix_gamma=False, eps=1e-5),
    "batch norm of the first kind": lambda x: sym.BatchNorm_v1(x, fix_gamma=False),
    "batch norm over devices": lambda x: contrib.SyncBatchNorm(x, fix_gamma=False, key="a"),
    "batch norm with ReLU": lambda x: contrib.BatchNormWithReLU(x, fix_gamma=False),
    "batch norm behind a dense layer": lambda x: sym.BatchNorm(
        sym.FullyConnected(x, num_hidden=4), fix_gamma=False),
    "instance norm": lambda x: sym.InstanceNorm(x),
    "instance norm, eps": lambda x: sym.InstanceNorm(x, eps=.3),
    "layer norm": lambda x: sym.LayerNorm(x),
    "layer norm over channels": lambda x: sym.LayerNorm(x, axis=1, eps=.2),
    "group norm": lambda x: sym.GroupNorm(channels(x, 6), num_groups=2),
    "group norm, one group": lambda x: sym.GroupNorm(x, eps=.1),
    "L2 norm of all": lambda x: sym.L2Normalization(x),
    "L2 norm of channels": lambda x: sym.L2Normalization(x, mode="channel", eps=.1),
    "L2 norm of places": lambda x: sym.L2Normalization(x, mode="spatial"),
    "local response": lambda x: sym.LRN(channels(x, 8), nsize=5),
    "local response, all set": lambda x: sym.LRN(channels(x, 8), nsize=3, alpha=.5, beta=.6,
                                                 knorm=1.5),
    # pooling
    **{f"pool {kind}, {convention}, {where}": (
        lambda x, kind=kind, convention=convention, settings=settings: sym.Pooling(
            x - 2, pool_type=kind, pooling_convention=convention, **settings))
       for kind in ("max", "avg", "sum") for convention in ("valid", "full")
       for where, settings in {
           "plain": {"kernel": (2, 2), "stride": (2, 2)}, "alone": {"kernel": (3, 2)},
           "padded": {"kernel": (3, 4), "stride": (2, 3), "pad": (1, 2)}}.items()},
    "pool avg, padding not counted": lambda x: sym.Pooling(
        x, pool_type="avg", kernel=(3, 3), stride=(2, 2), pad=(1, 1), count_include_pad=False,
        pooling_convention="full"),
    "pool without a kind": lambda x: sym.Pooling(x, kernel=(2, 3)),
    **{f"pool {kind} of all": lambda x, kind=kind: sym.Pooling(
        x, pool_type=kind, global_pool=True, kernel=(2, 2), pad=(1, 1))
       for kind in ("max", "avg", "sum")},
    "pool of all, no kernel": lambda x: sym.Pooling(x, pool_type="avg", global_pool=True),
    "pool of rows": lambda x: sym.Pooling(rows(x), pool_type="avg", kernel=(4,), stride=(3,),
                                          pad=(1,), pooling_convention="full"),
    "pool of volumes": lambda x: sym.Pooling(sym.expand_dims(x, axis=1), kernel=(2, 2, 3),
                                             stride=(1, 2, 2)),
    **{f"pool of the first kind, {kind}, {convention}": (
        lambda x, kind=kind, convention=convention: sym.Pooling_v1(
            x, pool_type=kind, kernel=(2, 3), stride=(2, 2), pooling_convention=convention))
       for kind in ("max", "avg", "sum") for convention in ("valid", "full")},
    "pool of the first kind, padded": lambda x: sym.Pooling_v1(
        x, pool_type="avg", kernel=(3, 3), stride=(2, 2), pad=(1, 1), pooling_convention="full"),
    "pool to one": lambda x: contrib.AdaptiveAvgPooling2D(x),
    "pool to parts of one size": lambda x: contrib.AdaptiveAvgPooling2D(x, output_size=(3, 7)),
    "pool to parts that overlap": lambda x: contrib.AdaptiveAvgPooling2D(x, output_size=5),
    "pool to more": lambda x: contrib.AdaptiveAvgPooling2D(x, output_size=(11, 6)),
    # activations
    **{f"activation {kind}": lambda x, kind=kind: sym.Activation(x, act_type=kind)
       for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")},
    **{f"leaky {kind}": lambda x, kind=kind: sym.LeakyReLU(x, act_type=kind)
       for kind in ("leaky", "elu", "selu", "gelu")},
    "rrelu": lambda x: sym.LeakyReLU(x, act_type="rrelu")[0],
    "leaky with a slope": lambda x: sym.LeakyReLU(x, act_type="leaky", slope=.1),
    "elu with a slope": lambda x: sym.LeakyReLU(x, act_type="elu", slope=.7),
    "rrelu between bounds": lambda x: sym.LeakyReLU(x, act_type="rrelu", lower_bound=.1,
                                                    upper_bound=.5)[0],
    "prelu": lambda x: sym.LeakyReLU(x, act_type="prelu"),
    "prelu with one slope": lambda x: sym.LeakyReLU(x, sym.Variable("gamma", shape=(1,)),
                                                    act_type="prelu"),
    "prelu of a matrix": lambda x: sym.LeakyReLU(sym.Flatten(x), act_type="prelu"),
    "hard sigmoid": lambda x: sym.hard_sigmoid(x * 3),
    "hard sigmoid, all set": lambda x: sym.hard_sigmoid(x, alpha=.4, beta=.3),
    "clip": lambda x: sym.clip(x, a_min=-.5, a_max=1),
    "clip on one side": lambda x: sym.clip(x, a_min=0, a_max=float("inf")),
    "h-swish": lambda x: x * sym.clip(x + 3, a_min=0, a_max=6) / 6,
    # softmax
    "softmax": lambda x: sym.softmax(x),
    "softmax over channels": lambda x: sym.softmax(x, axis=1, temperature=.5),
    "log softmax": lambda x: sym.log_softmax(x, axis=-2, temperature=2),
    "softmin": lambda x: sym.softmin(x, axis=1),
    "softmax activation": lambda x: sym.SoftmaxActivation(x),
    "softmax activation over channels": lambda x: sym.SoftmaxActivation(x, mode="channel"),
    **{f"softmax output, {name}": lambda x, settings=settings: sym.SoftmaxOutput(
        x, name="out", **settings) for name, settings in {
            "plain": {}, "of channels": {"multi_output": True},
            "of the last axis": {"preserve_shape": True}}.items()},
    **{f"{name} output": lambda x, name=name: getattr(sym, f"{name}RegressionOutput")(x)
       for name in ("Logistic", "Linear", "MAE")},
    # one value
    **{name: lambda x, name=name: getattr(sym, name)(x) for name in (
        "relu", "sigmoid", "tanh", "exp", "abs", "negative", "floor", "ceil", "erf", "softsign",
        "square", "sign", "sin", "cos", "arctan", "sinh", "cosh", "zeros_like", "ones_like",
        "BlockGrad", "MakeLoss", "make_loss", "identity", "stop_gradient")},
    **{name: lambda x, name=name: getattr(sym, name)(positive(x)) for name in (
        "log", "sqrt", "rsqrt", "log1p", "reciprocal")},
    **{name: lambda x, name=name: getattr(sym, name)(bounded(x)) for name in (
        "tan", "arcsin", "arccos")},
    "dropout": lambda x: sym.Dropout(x, p=.9),
    "cast": lambda x: sym.Cast(x, dtype="float32"),
    "cast twice": lambda x: sym.amp_cast(sym.Cast(x, dtype="float64"), dtype="float32"),
    "cast many": lambda x: sym.add_n(*sym.amp_multicast(x, x * 2, num_outputs=2)),
    "divided by a root": lambda x: contrib.div_sqrt_dim(x),
    # two values
    **{f"elementwise {name}": lambda x, name=name: getattr(sym, f"elemwise_{name}")(
        x, positive(x) * 2) for name in ("add", "sub", "mul", "div")},
    **{f"broadcast {name}": lambda x, name=name: getattr(sym, f"broadcast_{name}")(
        positive(x), sym.mean(positive(x), axis=(2, 3), keepdims=True)) for name in (
        "add", "sub", "mul", "div", "power", "maximum", "minimum", "greater", "lesser")},
    "broadcast a parameter": lambda x: sym.broadcast_mul(sym.Variable("scale", shape=(1, 3, 1, 1)),
                                                         x),
    "sum of three": lambda x: sym.add_n(x, x * x, x + 1),
    "power": lambda x: positive(x) ** sym.sin(x),
    "maximum": lambda x: sym.maximum(x, -x) + sym.minimum(x, x * x),
    **{f"compare {name}": lambda x, name=name: getattr(sym, f"broadcast_{name}")(
        sym.floor(x), sym.floor(-x)) for name in (
        "equal", "not_equal", "greater_equal", "lesser_equal")},
    "where": lambda x: sym.where(x > 0, x, x * 3),
    "where by image": lambda x: sym.where(
        sym.mean(x, axis=(1, 2, 3)) > 0, x, x * 3),
    # a number
    "with numbers": lambda x: 2 - (x + 1) * 3 / 4 - 5,
    "divide by": lambda x: 1.5 / positive(x),
    "power of a number": lambda x: positive(x) ** 1.7 + .3 ** x,
    "limits": lambda x: sym.maximum(sym.minimum(x, .3), -.4),
    "comparisons with a number": lambda x: sum(
        ((sym.floor(x) > 0), (sym.floor(x) >= 0) * 2, (sym.floor(x) < 1) * 4,
         (sym.floor(x) <= 1) * 8, sym._internal._equal_scalar(sym.floor(x), scalar=1) * 16,
         sym._internal._not_equal_scalar(sym.floor(x), scalar=1) * 32), x),
    # shapes
    **{f"reshape {shape}": lambda x, shape=shape: sym.Reshape(x, shape=shape) for shape in (
        (0, -1), (-1, 14), (0, 0, -1), (0, -1, 7), (0, -3, 0), (-3, 0, 0), (0, -4, 1, -1, -2),
        (-2,), (0, 0, -4, 3, 3, 0), (-1, 3, 1, 9, 14))},
    "reshape, from behind": lambda x: sym.Reshape(x, shape=(-1, 0, 7, 2), reverse=True),
    "reshape like": lambda x: sym.reshape_like(sym.Flatten(x), x),
    "flatten": lambda x: sym.Flatten(x),
    "expand and squeeze": lambda x: sym.squeeze(sym.expand_dims(x, axis=-2) + 1, axis=3),
    "expand": lambda x: sym.expand_dims(x, axis=1),
    "transpose": lambda x: sym.transpose(x, axes=(0, 2, 3, 1)),
    "transpose all": lambda x: sym.transpose(sym.transpose(x)),
    "swap": lambda x: sym.SwapAxis(x, dim1=1, dim2=3),
    "swap from behind": lambda x: sym.swapaxes(x, dim1=-1, dim2=-2),
    "concat": lambda x: sym.Concat(x, x * 2),
    "concat along the last axis": lambda x: sym.Concat(x, x * 2, dim=-1),
    "concat of one": lambda x: sym.Concat(x),
    "stack": lambda x: sym.stack(x, x * 2, x - 1, axis=2),
    "stack at the end": lambda x: sym.stack(x, x * 2, axis=-1),
    "reverse": lambda x: sym.reverse(x, axis=(1, 3)),
    **{f"pad, {mode}": lambda x, mode=mode: sym.Pad(
        x, mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 3, 4)) for mode in (
        "constant", "edge", "reflect")},
    "pad with a value": lambda x: sym.Pad(x, mode="constant", constant_value=-2,
                                          pad_width=(0, 0, 0, 0, 0, 1, 1, 0)),
    "tile": lambda x: sym.tile(x, reps=(1, 2, 1, 3)),
    "tile the last axis": lambda x: sym.tile(x, reps=(2,)),
    "repeat": lambda x: sym.repeat(x, repeats=3, axis=1),
    "repeat the last axis": lambda x: sym.repeat(x, repeats=2, axis=-1),
    "broadcast to": lambda x: sym.broadcast_to(sym.mean(x, axis=1, keepdims=True),
                                               shape=(0, 4, 0, 0)),
    "broadcast axis": lambda x: sym.broadcast_axis(sym.sum(x, axis=(1, 3), keepdims=True),
                                                   axis=(1, 3), size=(2, 5)),
    "broadcast like": lambda x: sym.broadcast_like(sym.max(x, axis=2, keepdims=True), x),
    "broadcast like along an axis": lambda x: sym.broadcast_like(
        sym.max(x, axis=2, keepdims=True), x, lhs_axes=(2,), rhs_axes=(3,)),
    "a parameter for all images": lambda x: sym.broadcast_like(
        sym.Variable("token", shape=(1, 3, 1, 1)), x),
    "depth to space": lambda x: sym.depth_to_space(channels(x, 12), block_size=2),
    "space to depth": lambda x: sym.space_to_depth(
        sym.slice_axis(x, axis=2, begin=0, end=8), block_size=2),
    # cuts
    "split": lambda x: sym.Concat(*list(sym.SliceChannel(x, num_outputs=3))[::-1],
                                  dim=2),
    "split the last axis": lambda x: sym.SliceChannel(x, num_outputs=7, axis=-1)[3],
    "split and squeeze": lambda x: sym.SliceChannel(x, num_outputs=3, squeeze_axis=True)[1],
    "split in one": lambda x: sym.SliceChannel(x, num_outputs=1),
    "split at places": lambda x: sym.Concat(*list(sym.split_v2(x, (2, 5), axis=2))[::-1],
                                            dim=2),
    "split evenly": lambda x: sym.split_v2(x, 3, axis=1, squeeze_axis=True)[2],
    **{f"slice {begin} {end} {step}": (
        lambda x, begin=begin, end=end, step=step: sym.slice(x, begin=begin, end=end, step=step))
       for begin, end, step in (
           ((None, None, 1, 1), (None, None, None, None), ()),
           ((0, 0, -5, 2), (None, 2, -1, 11), (1, 1, 1, 3)),
           ((None, None, None, -2), (None, None, None, 1), (None, None, -1, -4)),
           ((None, 1), (None, 3), ()), ((0, None, 8, 13), (None, None, 2, None), (1, 1, -2, -3)),
           ((None, None), (None, None), (None, -1)))},
    "slice along an axis": lambda x: sym.slice_axis(x, axis=-1, begin=-6, end=-2),
    "slice to the end": lambda x: sym.slice_axis(x, axis=2, begin=3, end=None),
    "slice like": lambda x: sym.slice_like(x, sym.Variable("like", shape=(1, 2, 4, 14)),
                                           axes=(-2, 1)),
    "slice like, all axes": lambda x: sym.slice_like(x, sym.slice_axis(x, axis=2, begin=4, end=9)),
    "crop": lambda x: sym.Crop(x, h_w=(4, 5), offset=(2, 3), num_args=1),
    "crop the middle": lambda x: sym.Crop(x, h_w=(4, 5), center_crop=True, num_args=1),
    "crop like": lambda x: sym.Crop(x, conv(x, 2, (3, 3)), num_args=2),
    # sizes
    "upsampling": lambda x: sym.UpSampling(x, scale=3, sample_type="nearest"),
    **{f"upsampling, bilinear by {scale}": lambda x, scale=scale: sym.UpSampling(
        x, sym.Variable("weight"), scale=scale, sample_type="bilinear", num_filter=3, num_args=2)
       for scale in (2, 3)},
    **{f"resize {name}, corners {corners}": (
        lambda x, settings=settings, corners=corners: contrib.BilinearResize2D(
            x, align_corners=corners, **settings))
       for corners in (True, False) for name, settings in {
           "larger": {"height": 20, "width": 31}, "smaller": {"height": 4, "width": 5},
           "to one": {"height": 1, "width": 28}, "same": {"height": 9, "width": 14},
           "by factors": {"scale_height": 2, "scale_width": 1.5, "mode": "size"},
           "odd": {"scale_height": 2, "scale_width": 2, "mode": "odd_scale"},
           "to even": {"mode": "to_even_up"}, "to odd": {"mode": "to_odd_down"}}.items()},
    "resize like": lambda x: contrib.BilinearResize2D(conv(x, 2, (3, 3), stride=(2, 2)), x,
                                                      mode="like", align_corners=False),
    # reductions
    **{f"{name} over {settings}": (
        lambda x, name=name, settings=settings: getattr(sym, name)(x, **settings))
       for name in ("mean", "sum", "max", "min", "prod") for settings in (
           {"axis": (2, 3)}, {"axis": -1, "keepdims": True}, {"axis": 1},
           {"axis": (0, 2), "exclude": True})},
    "mean over nothing": lambda x: sym.mean(x, axis=(0, 1, 2, 3), exclude=True),
    "norm": lambda x: sym.norm(x, axis=(2, 3)),
    "norm 1": lambda x: sym.norm(x, ord=1, axis=1, keepdims=True),
    "argmax": lambda x: sym.argmax(x, axis=1),
    "argmin": lambda x: sym.argmin(x, axis=-1, keepdims=True),
    "cumsum": lambda x: sym.cumsum(x, axis=3),
    # products
    "batch dot": lambda x: sym.batch_dot(rows(x), rows(x * x), transpose_b=True),
    "batch dot, turned": lambda x: sym.batch_dot(rows(x), rows(x + 1), transpose_a=True),
    "gemm2": lambda x: linalg.gemm2(x, x + 1, transpose_b=True, alpha=.3),
    "dot": lambda x: sym.dot(sym.Flatten(x), sym.Variable("w", shape=(378, 5))),
    "dot, turned": lambda x: sym.dot(x, sym.Variable("w", shape=(5, 14)), transpose_b=True),
    # parameters alone
    "a weight normalised": lambda x: sym.Convolution(
        x, sym.Reshape(sym.BatchNorm(sym.Reshape(sym.Variable("weight", shape=(4, 3, 3, 3)),
                                                 shape=(1, 4, -1)), fix_gamma=True, name="bn"),
                       shape=(4, 3, 3, 3)), num_filter=4, kernel=(3, 3), no_bias=True),
    "arange": lambda x: sym.broadcast_add(x, sym.arange(14)),
}
"""Functions from the images' symbol, (B, 3, 9, 14), by what they try."""


@pytest.mark.parametrize("name", CASES)
def test_a_translation_is_mxnets(name):
    made = case(CASES[name])
    expected = {batch: made.run(exporting.images(batch)) for batch in (1, 3)}
    for opset in OPSETS:
        session = exporting.session(made.export(opset))
        for batch, wanted in expected.items():
            (found,) = session.run(None, {"data": exporting.images(batch)})
            assert exporting.apart(found, wanted) <= TOLERANCE, (opset, batch)


#: Those that OpenVINO reads differently from ONNX Runtime, or might.
FOR_OPENVINO = (
    "conv, all set", "conv of rows", "deconv, all set", "batch norm", "batch norm of a matrix",
    "layer norm over channels", "group norm", "L2 norm of channels", "local response, all set",
    "pool avg, full, padded", "pool sum, full, padded", "pool max, full, padded",
    "pool avg, padding not counted", "pool to parts that overlap", "prelu", "elu with a slope",
    "hard sigmoid, all set", "clip on one side", "h-swish", "softmax over channels",
    "comparisons with a number", "where by image", "reshape (0, -4, 1, -1, -2)", "reverse",
    "pad, reflect", "repeat", "broadcast like", "depth to space", "space to depth", "split",
    "slice (None, None, None, -2) (None, None, None, 1) (None, None, -1, -4)",
    "upsampling, bilinear by 3", "resize larger, corners True", "resize smaller, corners False",
    "resize to one, corners False", "mean over {'axis': (2, 3)}", "norm 1", "argmax", "cumsum",
    "batch dot")


@pytest.mark.parametrize("name", FOR_OPENVINO)
def test_openvino_reads_it_the_same(name):
    made = case(CASES[name])
    found = exporting.run_openvino(made.export(), exporting.images(3))
    assert exporting.apart(found, made.run(exporting.images(3))) <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_a_translation_in_float16(name):
    """A file of float16 has no constant of another type that numbers are computed with."""
    made = case(CASES[name])
    model = made.export(dtype="float16")
    assert exporting.float_type(model) == "FLOAT16"
    found = exporting.run(model, exporting.images(1).astype("float16"))
    assert exporting.apart(found, made.run(exporting.images(1))) <= 1e-2


def test_sums_of_squares_stay_in_range_in_float16():
    made = case(lambda x: sym.L2Normalization(x * 200, mode="channel"))
    found = exporting.run(made.export(dtype="float16"), exporting.images(1).astype("float16"))
    assert exporting.apart(found, made.run(exporting.images(1))) <= 1e-2


@pytest.mark.parametrize("name", ["reshape (-3, 0, 0)", "broadcast like", "resize larger, corners "
                                  "True", "where by image", "ones_like", "group norm"])
def test_a_fixed_batch(name):
    made = case(CASES[name])
    found = exporting.run(made.export(batch=2), exporting.images(2))
    assert exporting.apart(found, made.run(exporting.images(2))) <= TOLERANCE


@pytest.mark.parametrize(("adj", "size"), [(0, 28), (1, 27)])
def test_deconvolution_to_a_size(adj, size):
    """MXNet 1.9.1 cannot compute this on a processor; its source says what the padding is."""
    settings = {"num_filter": 2, "kernel": (4, 4), "stride": (2, 2), "name": "up"}
    made = case(lambda x: sym.Deconvolution(x, target_shape=(18, size), **settings))
    same = case(lambda x: sym.Deconvolution(x, pad=(1, 1 + adj), adj=(0, adj), **settings))
    found = exporting.run(made.export(), exporting.images(2))
    assert exporting.apart(found, same.run(exporting.images(2))) <= TOLERANCE
