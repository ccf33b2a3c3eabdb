"""Normalizations: by the batch's moments or running ones, and by moments of the input."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.nodes import Node
from ssdreg_torch.across import processes, rows
from ssdreg_torch.functions import l2_normalize
from ssdreg_torch.precision import wide
from ssdreg_torch.translation import Compute, Operation, translates, unsupported

BATCH_NORMS = ("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU")
#: Which of their inputs is the scale, and which are the running moments.
SCALE, MOMENTS = (1,), (3, 4)
#: The setting that keeps the scale at 1, and its default.
FIXED_SCALE = ("fix_gamma", True)


@translates(*BATCH_NORMS)
def batch_norm(node: Node) -> Operation:
    """Return a normalization by the batch's moments in training, else by running moments.

    Training writes the running moments: ``momentum`` of them and the rest of the batch's mean and
    variance, which MXNet takes over n values and not over n - 1, as PyTorch's own layer does. The
    batch is that of all processes where the node says so.
    """
    attrs = node.attrs
    if attrs.flag("output_mean_var"):
        raise unsupported(node, "its moments are outputs too (output_mean_var)")
    axis, eps = attrs.integer("axis", 1), attrs.number("eps", 1e-3)
    momentum, rectified = attrs.number("momentum", 0.9), node.op.endswith("WithReLU")

    def infer(data: Tensor, *params: Tensor) -> Tensor:
        gamma, beta, mean, variance = params
        return finish(torch.batch_norm(begin(data), gamma, beta, mean, variance, False, 0.0, eps,
                                       False))

    def train(data: Tensor, *params: Tensor) -> Tensor:
        gamma, beta, running_mean, running_variance = params
        normalized, mean, variance = (synchronized if processes(attrs) > 1 else by_own)(
            begin(data), gamma, beta)
        with torch.no_grad():
            running_mean.mul_(momentum).add_(mean, alpha=1 - momentum)
            running_variance.mul_(momentum).add_(variance, alpha=1 - momentum)
        return finish(normalized)

    def by_own(data: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # with a momentum of 1 they become the batch's own
        mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
        normalized = torch.batch_norm(data, gamma, beta, mean, variance, True, 1.0, eps, False)
        count = data.numel() // gamma.numel()
        return normalized, mean, (variance * ((count - 1) / count) if count > 1
                                  else torch.zeros_like(variance))

    def synchronized(data: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = wide(data)
        axes = [axis for axis in range(data.ndim) if axis != 1]
        variance, mean = torch.var_mean(values, axes, correction=0)
        # all have as many values, so that the means of their moments are those of all
        means, variances = rows(torch.stack((mean, variance)), attrs).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        column = (-1, *(1 for _ in axes[1:]))
        scale = (gamma * torch.rsqrt(variance + eps)).reshape(column)
        normalized = torch.addcmul(beta.reshape(column), values - mean.reshape(column), scale)
        return normalized.to(data.dtype), mean, variance

    def begin(data: Tensor) -> Tensor:
        return data if axis == 1 else data.movedim(axis, 1)

    def finish(normalized: Tensor) -> Tensor:
        placed = normalized if axis == 1 else normalized.movedim(1, axis)
        return torch.relu(placed) if rectified else placed

    return Operation(infer if attrs.flag("use_global_stats") else train, infer)


@translates("InstanceNorm")
def instance_norm(node: Node) -> Compute:
    """Return a normalization of each map by its own moments."""
    eps = node.attrs.number("eps", 1e-3)
    return lambda data, gamma, beta: functional.instance_norm(
        data, weight=gamma, bias=beta, eps=eps)


@translates("LayerNorm")
def layer_norm(node: Node) -> Compute:
    """Return a normalization over one axis."""
    axis, eps = node.attrs.integer("axis", -1), node.attrs.number("eps", 1e-5)
    _one_output(node)

    def compute(data: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        last = data.movedim(axis, -1)
        return functional.layer_norm(last, last.shape[-1:], gamma, beta, eps).movedim(-1, axis)
    return compute


@translates("GroupNorm")
def group_norm(node: Node) -> Compute:
    """Return a normalization over groups of channels, with MXNet's one scale and offset a group."""
    groups, eps = node.attrs.integer("num_groups", 1), node.attrs.number("eps", 1e-5)
    _one_output(node)

    def compute(data: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        joined = data.reshape(data.shape[0], groups, -1)
        normalized = functional.instance_norm(joined, weight=gamma, bias=beta, eps=eps)
        return normalized.reshape(data.shape)
    return compute


def _one_output(node: Node) -> None:
    if node.attrs.flag("output_mean_var"):
        raise unsupported(node, "its moments are outputs too (output_mean_var)")


@translates("L2Normalization")
def l2(node: Node) -> Compute:
    """Return ``x / sqrt(sum(x ** 2) + eps)``, over channels, places or all."""
    mode, eps = node.attrs.text("mode", "instance"), node.attrs.number("eps", 1e-10)
    begins = {"channel": (1, 2), "spatial": (2, None), "instance": (1, None)}
    if mode not in begins:
        raise unsupported(node, f"its mode is {mode!r}")
    first, last = begins[mode]

    return lambda data: l2_normalize(data, tuple(range(data.ndim))[first:last], eps)


@translates("LRN")
def lrn(node: Node) -> Compute:
    """Return ``x / (knorm + alpha * mean(x ** 2)) ** beta``, over neighbouring channels."""
    attrs = node.attrs
    size, alpha = attrs.integer("nsize"), attrs.number("alpha", 1e-4)
    beta, constant = attrs.number("beta", 0.75), attrs.number("knorm", 2.0)

    def compute(data: Tensor) -> Tensor:
        rows = data.square().reshape(data.shape[0], 1, data.shape[1], math.prod(data.shape[2:]))
        mean = functional.avg_pool2d(rows, (size, 1), 1, (size // 2, 0))
        return data / (constant + alpha * mean.reshape(data.shape)) ** beta
    return compute
