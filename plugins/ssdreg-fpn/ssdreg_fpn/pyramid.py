"""The feature pyramid: coarse maps added to the finer ones.

Lin et al., Feature Pyramid Networks for Object Detection, 2017, section 3. Three things differ.
Batch normalisation stands behind every convolution, so that taps may have any range of values, such
as unbounded sums. Maps are enlarged bilinearly, which gives maps of any size, where the paper
doubles each cell. And the levels behind the last tap start from the pyramid, as in
Tian et al., FCOS, 2019, instead of from that tap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg.detector.plan import Plan

if TYPE_CHECKING:
    from ssdreg.mx import mx


def pyramid(backbone: mx.sym.Symbol, plan: Plan) -> list[mx.sym.Symbol]:
    """Return the levels, (B, K, h, w) each, the finest first: K channels as the plan says."""
    from ssdreg.mx import mx
    internals = backbone.get_internals()
    merged: list[mx.sym.Symbol] = []
    for index in reversed(range(len(plan.taps))):
        name = f"fpn_{index}"
        lateral = _conv_norm(internals[f"{plan.taps[index]}_output"], f"{name}_lateral",
                             plan.levels[index].channels, kernel=(1, 1))
        if merged:
            coarse = mx.sym.contrib.BilinearResize2D(
                merged[0], lateral, mode="like", align_corners=False, name=f"{name}_enlarged")
            lateral = mx.sym.elemwise_add(lateral, coarse, name=f"{name}_merged")
        merged.insert(0, lateral)
    levels = [_conv_norm(feature, f"fpn_{index}_smooth", plan.levels[index].channels,
                         kernel=(3, 3), pad=(1, 1)) for index, feature in enumerate(merged)]
    for index in range(len(levels), len(plan.levels)):
        stride, pad = plan.strides[index], plan.pads[index]
        rectified = mx.sym.Activation(levels[-1], act_type="relu", name=f"fpn_{index}_rectified")
        levels.append(_conv_norm(rectified, f"fpn_{index}_down", plan.levels[index].channels,
                                 kernel=(3, 3), stride=(stride, stride), pad=(pad, pad)))
    return levels


def _conv_norm(x: mx.sym.Symbol, name: str, channels: int,
               **shape: tuple[int, int]) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    x = mx.sym.Convolution(x, num_filter=channels, no_bias=True, name=f"{name}_conv", **shape)
    return mx.sym.BatchNorm(x, fix_gamma=False, name=f"{name}_bn")
