"""Layers: convolutions, dense layers and normalizations."""

from __future__ import annotations

import torch

from ssdreg_torch.export.code import Code, Site, call, extent, number, unwritten, writes
from ssdreg_torch.operators.convolutions import window
from ssdreg_torch.operators.normalizing import BATCH_NORMS, FIXED_SCALE

#: The ends of the names of layers for values of so many dimensions.
_BATCH_NORM = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}


@writes("Convolution", "Convolution_v1")
def convolution(site: Site) -> Code:
    """Write a convolution."""
    node, attrs = site.node, site.node.attrs
    kernel, stride = window(node)
    rank, groups = len(kernel), attrs.integer("num_group", 1)
    pad, dilate = attrs.extent("pad", rank, 0), attrs.extent("dilate", rank, 1)
    weight = site.layers.tensor(node, 1)
    sizes = [weight.shape[1] * groups, weight.shape[0], extent(kernel)]
    return _layer(site, f"nn.Conv{rank}d", sizes, [
        ("stride", stride, 1), ("padding", pad, 0), ("dilation", dilate, 1)], groups)


@writes("Deconvolution")
def deconvolution(site: Site) -> Code:
    """Write a transposed convolution; a target shape is its padding at the size of the input."""
    node, attrs = site.node, site.node.attrs
    kernel, stride = window(node)
    rank, groups = len(kernel), attrs.integer("num_group", 1)
    pad, dilate = attrs.extent("pad", rank, 0), attrs.extent("dilate", rank, 1)
    more = attrs.extent("adj", rank, 0)
    if any(attrs.sequence("target_shape")):
        raise unwritten(node, "its padding follows from a target shape")
    weight = site.layers.tensor(node, 1)
    sizes = [weight.shape[0], weight.shape[1] * groups, extent(kernel)]
    return _layer(site, f"nn.ConvTranspose{rank}d", sizes, [
        ("stride", stride, 1), ("padding", pad, 0), ("output_padding", more, 0),
        ("dilation", dilate, 1)], groups)


def _layer(site: Site, kind: str, sizes: list[object],
           extents: list[tuple[str, tuple[int, ...], int]], groups: int) -> Code:
    named: dict[str, object] = {name: extent(sides) for name, sides, default in extents
                                if set(sides) != {default}}
    if groups != 1:
        named["groups"] = groups
    tensors = {"weight": 1}
    if len(site.inputs) > 2:
        tensors["bias"] = 2
    else:
        named["bias"] = False
    layer = site.layers.layer(site.node, call(kind, *sizes, **named).text, tensors)
    return call(f"self.{layer}", site.inputs[0])


@writes("FullyConnected")
def fully_connected(site: Site) -> Code:
    """Write a dense layer, of all dimensions behind the first by default."""
    weight, data = site.layers.tensor(site.node, 1), site.inputs[0]
    has_bias = len(site.inputs) > 2
    made = call("nn.Linear", weight.shape[1], weight.shape[0],
                **({} if has_bias else {"bias": False}))
    layer = site.layers.layer(site.node, made.text,
                              {"weight": 1, **({"bias": 2} if has_bias else {})})
    if site.node.attrs.flag("flatten", True) and site.rank() != 2:
        data = Code(f"{data.atom}.flatten(1)")
    return call(f"self.{layer}", data)


@writes(*BATCH_NORMS)
def batch_norm(site: Site) -> Code:
    """Write a normalization by the batch's moments in training, else by running moments."""
    node, attrs = site.node, site.node.attrs
    if attrs.flag("output_mean_var"):
        raise unwritten(node, "its moments are outputs too (output_mean_var)")
    if attrs.integer("axis", 1) != 1:
        raise unwritten(node, f"it normalizes axis {attrs.integer('axis', 1)}, and not the "
                              f"channels, which are axis 1")
    gamma = site.layers.tensor(node, 1)
    # MXNet's momentum is the share of what was, and PyTorch's that of what is new
    momentum = round(1 - attrs.number("momentum", 0.9), 9)
    kind = _BATCH_NORM[site.rank()]
    named = {name: number(value) for name, value, default in (
        ("eps", attrs.number("eps", 1e-3), 1e-5), ("momentum", momentum, 0.1)) if value != default}
    layer = f"nn.BatchNorm{kind}"
    if attrs.flag("use_global_stats"):
        if kind != "2d":
            raise unwritten(node, "it uses running moments in training, and its values are no maps")
        layer = site.helper(f"FixedBatchNorm{kind}")
    declared = call(layer, gamma.numel(), **named)
    constants = {"num_batches_tracked": torch.zeros((), dtype=torch.int64)}
    if attrs.flag(*FIXED_SCALE):
        # MXNet takes it for 1 whatever is stored
        constants["weight"] = torch.ones_like(gamma)
        declared = call(site.helper("unscaled"), declared)
    name = site.layers.layer(node, declared.text,
                             {"weight": 1, "bias": 2, "running_mean": 3, "running_var": 4},
                             constants)
    code = call(f"self.{name}", site.inputs[0])
    return call("F.relu", code) if node.op.endswith("WithReLU") else code


@writes("InstanceNorm")
def instance_norm(site: Site) -> Code:
    """Write a normalization of each map by its own moments."""
    data, gamma, beta = site.inputs
    return call("F.instance_norm", data, weight=gamma, bias=beta,
                eps=number(site.node.attrs.number("eps", 1e-3)))


@writes("LayerNorm")
def layer_norm(site: Site) -> Code:
    """Write a normalization over the last axis."""
    attrs = site.node.attrs
    if attrs.integer("axis", -1) not in (-1, site.rank() - 1) or attrs.flag("output_mean_var"):
        raise unwritten(site.node, "it normalizes another axis than the last, or has its moments "
                                   "as outputs")
    size = site.layers.tensor(site.node, 1).numel()
    layer = site.layers.layer(site.node, call("nn.LayerNorm", size, eps=number(
        attrs.number("eps", 1e-5))).text, {"weight": 1, "bias": 2})
    return call(f"self.{layer}", site.inputs[0])


@writes("L2Normalization")
def l2(site: Site) -> Code:
    """Write ``x / sqrt(sum(x ** 2) + eps)``, over channels, places or all."""
    attrs = site.node.attrs
    mode, eps = attrs.text("mode", "instance"), attrs.number("eps", 1e-10)
    axes = {"channel": (1,), "spatial": tuple(range(2, site.rank())),
            "instance": tuple(range(1, site.rank()))}
    if mode not in axes:
        raise unwritten(site.node, f"its mode is {mode!r}")
    named: dict[str, object] = {} if mode == "channel" else {"axes": axes[mode]}
    if eps != 1e-10:
        named["eps"] = number(eps)
    return call(site.helper("l2_normalize"), site.inputs[0], **named)


@writes("LRN")
def lrn(site: Site) -> Code:
    """Write ``x / (knorm + alpha * mean(x ** 2)) ** beta``, over neighbouring channels."""
    attrs = site.node.attrs
    size = attrs.integer("nsize")
    if size % 2 == 0:
        raise unwritten(site.node, "it looks at an even number of channels")
    return call("F.local_response_norm", site.inputs[0], size,
                alpha=number(attrs.number("alpha", 1e-4)), beta=number(attrs.number("beta", 0.75)),
                k=number(attrs.number("knorm", 2.0)))
