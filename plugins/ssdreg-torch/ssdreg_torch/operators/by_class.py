"""What detections of every class are made of: see `ssdreg.ops.by_class`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssdreg.graph.nodes import Node
from ssdreg_torch.multibox.detection import Detecting, suppress
from ssdreg_torch.translation import Compute, translates, unsupported


@translates("topk")
def topk(node: Node) -> Compute:
    """Return the greatest values along an axis and their places, the greatest first."""
    attrs = node.attrs
    if attrs.text("ret_typ") != "both" or attrs.flag("is_ascend"):
        raise unsupported(node, "it gives something else than the greatest values and their places")
    axis, count = attrs.integer("axis", -1), attrs.integer("k", 1)
    kind = getattr(torch, attrs.text("dtype", "float32"))

    def compute(data: Tensor) -> list[Tensor]:
        # of equal values the first one, which PyTorch's own topk does not promise
        values, places = data.sort(dim=axis, descending=True, stable=True)
        return [values.narrow(axis, 0, count), places.narrow(axis, 0, count).to(kind)]
    return compute


@translates("gather_nd")
def gather_nd(node: Node) -> Compute:
    """Return what stands at places, whose first axis are the indices (M, ...) of M axes."""
    return lambda data, places: data[tuple(places.detach().long())]


@translates("_contrib_arange_like")
def arange_like(node: Node) -> Compute:
    """Return numbers from 0 on, one for each entry along an axis."""
    axis = node.attrs.integer("axis", -1)
    plain = (node.attrs.number("start"), node.attrs.number("step", 1.0),
             node.attrs.integer("repeat", 1)) == (0, 1, 1)
    if not plain or not node.attrs.given("axis"):
        raise unsupported(node, "its numbers are not 0, 1, 2 along an axis")
    return lambda data: torch.arange(data.shape[axis], device=data.device, dtype=data.dtype)


@translates("_contrib_box_nms", "_contrib_box_non_maximum_suppression")
def box_nms(node: Node) -> Compute:
    """Return rows (..., N, K) sorted by score, those that stay first; the others are -1."""
    attrs = node.attrs
    columns = (attrs.integer("id_index", -1), attrs.integer("score_index", 1),
               attrs.integer("coord_start", 2))
    if columns != (0, 1, 2) or attrs.integer("background_id", -1) != -1 \
            or "center" in (attrs.text("in_format"), attrs.text("out_format")):
        raise unsupported(node, "its rows are not class, score and the corners of boxes")
    least, best = attrs.number("valid_thresh"), attrs.integer("topk", -1)
    limit = torch.tensor(attrs.number("overlap_thresh", 0.5))
    # MXNet drops above this overlap, and `suppress` from one on
    settings = Detecting(clip=False, threshold=least, every_class=attrs.flag("force_suppress"),
                         overlap=float(torch.nextafter(limit, torch.tensor(math.inf))),
                         best=best, variances=())

    @torch.no_grad()
    def compute(data: Tensor) -> Tensor:
        rows = data.reshape(-1, *data.shape[-2:])
        scores = rows[..., 1]
        rank = torch.where(scores > least, scores, -math.inf)
        order = rank.argsort(dim=1, descending=True, stable=True)
        if best > 0:
            order = order[:, :best]
        rows = rows.gather(1, order[..., None].expand(-1, -1, rows.shape[-1]))
        kept = suppress(rows, rank.gather(1, order) > -math.inf, settings)
        first = (~kept).int().argsort(dim=1, stable=True)
        rows = torch.where(kept[..., None], rows, -1.0).gather(
            1, first[..., None].expand_as(rows))
        left = rows.new_full((len(rows), data.shape[-2] - rows.shape[1], rows.shape[-1]), -1.0)
        return torch.cat((rows, left), 1).reshape(data.shape)
    return compute
