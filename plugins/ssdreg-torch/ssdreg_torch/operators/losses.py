"""Softmax in its forms, and the operators whose gradient MXNet makes up: losses.

MXNet's losses return their input or its softmax, and their gradient is that of a loss, whatever
comes back to them. Here such an operator has two parts: an output that passes no gradient on, and
a loss that has the gradient; the losses of a symbol are summed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import Node
from ssdreg_torch.across import processes, sharers, total
from ssdreg_torch.precision import wide
from ssdreg_torch.translation import Compute, Operation, translates, unsupported


@translates("softmax", "log_softmax", "softmin")
def softmax(node: Node) -> Compute:
    """Return a softmax over one axis, of the negative values, or its logarithm."""
    attrs = node.attrs
    if len(node.inputs) > 1 or attrs.flag("use_length"):
        raise unsupported(node, "it looks at the first values of an axis only (use_length)")
    divisor = attrs.number("temperature", 1.0) * (-1.0 if node.op == "softmin" else 1.0)
    function = torch.log_softmax if node.op == "log_softmax" else torch.softmax
    axis = attrs.integer("axis", -1)
    return lambda data: function(data if divisor == 1 else data / divisor, axis)


@translates("SoftmaxActivation")
def softmax_activation(node: Node) -> Compute:
    """Return a softmax over the channels, or of all values of an image."""
    if node.attrs.text("mode", "instance") == "channel":
        return lambda data: torch.softmax(data, 1)
    return lambda data: torch.softmax(data.flatten(1), 1).reshape(data.shape)


@translates("SoftmaxOutput", "Softmax")
def softmax_output(node: Node) -> Operation:
    """Return a softmax with the gradient of the cross-entropy to a label.

    Its loss is ``grad_scale`` times the sum of the cross-entropies of all labels but
    ``ignore_label``, over their number (``normalization`` valid), the batch, or 1, and over the
    places of an image where they have some.
    """
    attrs = node.attrs
    if attrs.flag("out_grad"):
        raise unsupported(node, "its gradient is multiplied by the one that comes back to it")
    multi, preserve = attrs.flag("multi_output"), attrs.flag("preserve_shape")

    def output(data: Tensor, label: Tensor | None = None) -> Tensor:
        data = wide(data.detach())
        if multi:
            return torch.softmax(data, 1)
        if preserve:
            return torch.softmax(data, -1)
        return torch.softmax(data.flatten(1), 1).reshape(data.shape)

    def loss(data: Tensor, label: Tensor) -> Tensor:
        # (rows, classes), a label each
        scores = wide(data)
        if multi:
            scores = scores.flatten(2).transpose(1, 2).flatten(0, 1)
        else:
            scores = scores.flatten(0, -2) if preserve else scores.flatten(1)
        return _cross_entropy(scores, label.detach().flatten(), attrs) / _divisor(
            data, label, attrs)
    return Operation(output, output, loss)


def _cross_entropy(scores: Tensor, label: Tensor, attrs: Attributes) -> Tensor:
    """Return the scaled sum of cross-entropies of scores (R, K) and labels (R,)."""
    logarithms = torch.log_softmax(scores, 1)
    index = label.long().clamp(0, scores.shape[1] - 1)
    true = logarithms.gather(1, index[:, None])[:, 0]
    smoothing = attrs.number("smooth_alpha", 0.0)
    entropy = -(1 - smoothing) * true
    if smoothing:
        entropy = entropy - smoothing / (scores.shape[1] - 1) * (logarithms.sum(1) - true)
    if attrs.flag("use_ignore"):
        entropy = torch.where(label == _ignored(attrs), 0.0, entropy)
    return attrs.number("grad_scale", 1.0) * entropy.sum()


def _ignored(attrs: Attributes) -> float:
    return float(int(attrs.number("ignore_label", -1.0)))


def _divisor(data: Tensor, label: Tensor, attrs: Attributes) -> Tensor | int:
    normalization = attrs.text("normalization", "null")
    if normalization == "valid":
        counted = (label != _ignored(attrs)) if attrs.flag("use_ignore") else torch.ones_like(label)
        return total(counted.sum(), attrs).clamp(min=1)
    places = data[0, 0].numel() if attrs.flag("multi_output") else 1
    return places * (label.shape[0] * processes(attrs) if normalization == "batch" else 1)


@translates("MakeLoss")
def make_loss(node: Node) -> Operation:
    """Return a value that is a loss: ``grad_scale`` times its sum, normalized.

    That is over the number of values above ``valid_thresh`` (``normalization`` valid), or, for
    ``batch``, over the sizes of all axes but the last, which is the batch of a matrix.
    """
    attrs = node.attrs
    scale, normalization = attrs.number("grad_scale", 1.0), attrs.text("normalization", "null")
    least = attrs.number("valid_thresh", 0.0)

    def loss(data: Tensor) -> Tensor:
        summed = wide(data).sum() * scale
        if normalization == "batch":
            return summed * (data.shape[-1] / (data.numel() * processes(attrs)))
        if normalization == "valid":
            return summed / total((data.detach() > least).sum(), attrs).clamp(min=1)
        return summed / sharers(attrs)
    return Operation(torch.detach, torch.detach, loss if scale else None)


@translates("make_loss")
def make_loss_plainly(node: Node) -> Operation:
    """Return a value that is a loss: its sum."""
    shared = sharers(node.attrs)
    return Operation(torch.detach, torch.detach, lambda data: wide(data).sum() / shared)


def _regression(node: Node, output: Callable[[Tensor], Tensor],
                distance: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    """Return a regression: the loss is the sum of distances over the values of an image."""
    scale = node.attrs.number("grad_scale", 1.0)

    def loss(data: Tensor, label: Tensor) -> Tensor:
        values = wide(data)
        return scale * distance(values, label.reshape(data.shape)).sum() / values[0].numel()

    def infer(data: Tensor, label: Tensor | None = None) -> Tensor:
        return output(data.detach())
    return Operation(infer, infer, loss)


@translates("LinearRegressionOutput")
def linear(node: Node) -> Operation:
    """Return the input, with half the squared distance as its loss."""
    return _regression(node, lambda data: data,
                       lambda data, label: 0.5 * torch.square(data - label))


@translates("MAERegressionOutput")
def absolute(node: Node) -> Operation:
    """Return the input, with the distance as its loss."""
    return _regression(node, lambda data: data, lambda data, label: torch.abs(data - label))


@translates("LogisticRegressionOutput")
def logistic(node: Node) -> Operation:
    """Return a sigmoid, with its cross-entropy as its loss."""
    return _regression(node, torch.sigmoid,
                       lambda data, label: functional.binary_cross_entropy_with_logits(
                           data, label, reduction="none"))
