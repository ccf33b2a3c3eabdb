"""Small networks, one for each way of building a backbone, with the ends of their stages."""

from __future__ import annotations

from ssdreg.mx import mx

sym = mx.sym


def conv(x, name, channels, kernel=3, stride=1, groups=1, dilate=1):
    return sym.Convolution(
        x, num_filter=channels, kernel=(kernel, kernel), stride=(stride, stride),
        pad=(kernel // 2 * dilate,) * 2, dilate=(dilate, dilate), num_group=groups, no_bias=True,
        name=name)


def conv_relu(x, name, channels, **settings):
    x = sym.BatchNorm(conv(x, name, channels, **settings), name=f"{name}_bn")
    return sym.Activation(x, act_type="relu", name=f"{name}_relu")


def classifier(x):
    x = sym.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1), name="pool")
    return sym.FullyConnected(sym.Flatten(x, name="flat"), num_hidden=10, name="fc")


def relu(x, name):
    return sym.Activation(x, act_type="relu", name=name)


def h_swish(x, name):
    """Multiply by a gate of the value itself, then divide: three nodes behind one another."""
    gate = sym.clip(x + 3.0, a_min=0.0, a_max=6.0, name=f"{name}_clip")
    return sym._internal._div_scalar(
        sym.elemwise_mul(x, gate, name=f"{name}_mul"), scalar=6.0, name=name)


def residual(activation=relu):
    """A post-activation residual net: the activation behind the sum belongs to the unit."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    for stage, channels in ((2, 16), (3, 32)):
        for unit in (1, 2):
            name, stride = f"s{stage}u{unit}", 2 if unit == 1 else 1
            y = conv(conv_relu(x, f"{name}_a", channels, stride=stride), f"{name}_b", channels)
            short = x if unit > 1 else conv(x, f"{name}_sc", channels, kernel=1, stride=stride)
            x = activation(sym.elemwise_add(y, short, name=f"{name}_sum"), f"{name}_out")
    return classifier(x)


def dense():
    """DenseNet: blocks of concatenations; a transition of norm, 1x1 and pooling in between."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    for block in (1, 2):
        for layer in (1, 2):
            y = conv_relu(x, f"b{block}l{layer}", 4)
            x = sym.Concat(x, y, dim=1, name=f"b{block}l{layer}_cat")
        if block == 1:
            x = conv_relu(x, "transition", 8, kernel=1)
            x = sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg", name="halve")
    return classifier(x)


def inverted():
    """MobileNetV2: a 1x1 expansion at the old resolution opens each block."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    for block, (channels, stride) in enumerate(((16, 2), (16, 1), (24, 2)), start=1):
        inside = 48
        y = conv_relu(x, f"b{block}_expand", inside, kernel=1)
        y = conv_relu(y, f"b{block}_dw", inside, stride=stride, groups=inside)
        y = sym.BatchNorm(conv(y, f"b{block}_project", channels, kernel=1), name=f"b{block}_out")
        x = sym.elemwise_add(y, x, name=f"b{block}_sum") if stride == 1 else y
    return classifier(x)


def separable():
    """MobileNet v1: depthwise and pointwise convolutions in turn, no merge at all."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    for pair, (channels, stride) in enumerate(((16, 1), (32, 2), (32, 1), (64, 2)), start=1):
        inside = {1: 8, 2: 16, 3: 32, 4: 32}[pair]
        x = conv_relu(x, f"dw{pair}", inside, stride=stride, groups=inside)
        x = conv_relu(x, f"pw{pair}", channels, kernel=1)
    return classifier(x)


def gated():
    """Squeeze and excitation on the trunk, as in the EfficientNet blocks without a shortcut."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    for block in (1, 2):
        x = conv_relu(x, f"dw{block}", 8, stride=2, groups=8)
        squeezed = sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg",
                               name=f"se{block}_pool")
        squeezed = sym.Activation(conv(squeezed, f"se{block}_conv", 8, kernel=1),
                                  act_type="sigmoid", name=f"se{block}_sigmoid")
        x = sym.broadcast_mul(x, squeezed, name=f"se{block}")
        x = sym.BatchNorm(conv(x, f"pw{block}", 8, kernel=1), name=f"out{block}")
    return classifier(x)


def dilated():
    """A last stage that looks further instead of halving the resolution."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    x = conv_relu(x, "c2", 16, stride=2)
    x = conv_relu(x, "c3", 16, dilate=2)
    return classifier(x)


def two_branch_stem():
    """A convolution and a pooling side by side on the input, then a stage as usual."""
    data = sym.Variable("data")
    left = conv_relu(data, "left", 8, stride=2)
    right = sym.Pooling(data, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max",
                        name="right")
    x = sym.Concat(left, right, dim=1, name="stem")
    return classifier(conv_relu(x, "c2", 16, stride=2))


def padded():
    """Explicit padding in front of an unpadded convolution, as networks from TensorFlow have."""
    x = conv_relu(sym.Variable("data"), "stem", 8, stride=2)
    x = sym.Pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1), name="pad")
    x = sym.Convolution(x, num_filter=16, kernel=(3, 3), stride=(2, 2), name="c2")
    return classifier(relu(x, "c2_relu"))


#: A network's maker and the ends of its stages: (stride, node, channels), the finest first.
NETS = {
    "residual": (residual, ((2, "stem_relu", 8), (4, "s2u2_out", 16), (8, "s3u2_out", 32))),
    "residual with h-swish": (
        lambda: residual(h_swish),
        ((2, "stem_relu", 8), (4, "s2u2_out", 16), (8, "s3u2_out", 32))),
    "dense": (dense, ((2, "b1l2_cat", 16), (4, "b2l2_cat", 16))),
    "inverted": (inverted, ((2, "stem_relu", 8), (4, "b2_sum", 16), (8, "b3_out", 24))),
    "separable": (separable, ((2, "pw1_relu", 16), (4, "pw3_relu", 32), (8, "pw4_relu", 64))),
    "gated": (gated, ((2, "stem_relu", 8), (4, "out1", 8), (8, "out2", 8))),
    "dilated": (dilated, ((2, "stem_relu", 8), (4, "c3_relu", 16))),
    "two-branch stem": (two_branch_stem, ((2, "stem", 11), (4, "c2_relu", 16))),
    "padded": (padded, ((2, "stem_relu", 8), (4, "c2_relu", 16))),
}
