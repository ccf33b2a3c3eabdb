"""What a head plug-in declares: how feature maps become class scores, boxes and losses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from ssdreg.registry.converters import (
    are_names,
    as_aliases,
    as_names,
    as_tuple,
    is_listed,
    is_name,
    is_text,
)
from ssdreg.registry.lazy_reference import Reference, valid_reference

if TYPE_CHECKING:
    from ssdreg.mx import mx

_positive = validators.and_(validators.instance_of(int), validators.gt(0))
_positives = validators.deep_iterable(validators.gt(0))

#: Outputs that the symbols of every head have: of training, in the order that is read, and of
#: deployment.
TRAIN_OUTPUTS = ("cls_prob_output", "loc_loss_output", "cls_label_output")
DETECTION = "detection_output"
#: Detections among the outputs of training, for metrics of MXNet's example.
SHOWN = "det_out_output"


@frozen
class Predictions:
    """What a head predicts, for B images, C classes and N anchors.

    `cls_pred` (B, C + 1, N) are class scores before softmax, background first; `loc_pred`
    (B, N * 4) the encoded box offsets; `anchors` (1, N, 4) the prior boxes as x1, y1, x2, y2
    in 0..1. All float32. The scores of a head with a `train` and a `detect` of its own may mean
    something else: nobody else reads them.
    """

    cls_pred: mx.sym.Symbol
    loc_pred: mx.sym.Symbol
    anchors: mx.sym.Symbol


@frozen(kw_only=True)
class PlanDefaults:
    """What the plan of a head holds where nobody says otherwise; what is left out is SSD's.

    - `least_stride`: every tap of this stride or a coarser one feeds detection; None: those that
      the backbone names for it.
    - `extra_levels`: so many levels are made behind the taps, at most, and none behind a single
      cell; None: until the map is a single cell.
    - `channels`: of every level: the head puts a convolution of so many channels behind each tap,
      and the levels behind them have as many; None: the taps' own and those of MXNet's example.
    - `cells`: the sizes of a level's anchors in its own cells, the smallest of them at most the
      image's height; empty: a scheme of `ssdreg.detector.anchor_schemes`.
    - `ratios`: those of every level; empty: few on the first and the last two levels.
    - `uniform`: predictors are shared by the levels, so that these must have the same number of
      channels and of anchors a cell.

    Numbers that a backbone publishes for an SSD of some input size (`ssdreg.Preset`) hold only
    for a head that leaves taps and levels to it.
    """

    least_stride: int | None = field(default=None, validator=validators.optional(_positive))
    extra_levels: int | None = field(default=None, validator=validators.optional(
        validators.and_(validators.instance_of(int), validators.ge(0))))
    channels: int | None = field(default=None, validator=validators.optional(_positive))
    cells: tuple[float, ...] = field(default=(), converter=as_tuple,
                                     validator=[is_listed, _positives])
    ratios: tuple[float, ...] = field(default=(), converter=as_tuple,
                                      validator=[is_listed, _positives])
    uniform: bool = field(default=False, validator=validators.instance_of(bool))

    @property
    def own_levels(self) -> bool:
        """Whether the head decides which levels there are."""
        return (self.least_stride, self.extra_levels, self.channels) != (None, None, None)


def _losses(value: Iterable[str]) -> tuple[str, ...]:
    return as_names("losses", value)


def _box_losses(value: Iterable[str]) -> tuple[str, ...]:
    return as_names("box_losses", value)


@frozen(kw_only=True)
class Head:
    """A detection head, as a plug-in declares it.

    Each step is a callable or ``"module:function"``, loaded on first use:

    - `predict(backbone_symbol, plan) -> Predictions`
    - `train(predictions, label, plan) -> Symbol`: a group of the outputs ``cls_prob``
      (B, C + 1, N), ``loc_loss`` of any shape, ``cls_label`` (B, N) and, for metrics written for
      MXNet's SSD
      example, ``det_out`` (B, N, 6). Others may follow. Training learns from every output with a
      gradient but ``det_out``; it reports the cross-entropy of ``cls_prob`` where ``cls_label`` is
      not -1, and the sum of ``loc_loss``, each in the mean.
    - `detect(predictions, plan) -> Symbol`: the output ``detection`` (B, N, 6), whose rows are
      class, score, x1, y1, x2, y2, with class -1 where there is nothing

    The last two default to the MultiBox operators of SSD (Liu et al., 2016).
    `ssdreg.heads.multibox` and `ssdreg.ops` are there for a head's own steps, too.

    `losses` are the names that `train` knows a classification loss by, as ``plan.loss`` has it;
    the first is the default, and `box_losses` those of its losses of boxes, as ``plan.box_loss``
    has it. `defaults` is what the head asks of its plan.
    """

    name: str = field(validator=is_name)
    summary: str = field(validator=is_text)
    paper: str = field(validator=is_text)
    predict: Reference = field(validator=valid_reference)
    train: Reference = field(default="ssdreg.heads.multibox:train", validator=valid_reference)
    detect: Reference = field(default="ssdreg.heads.multibox:detect", validator=valid_reference)
    aliases: tuple[str, ...] = field(
        default=(), converter=as_aliases, validator=[is_listed, are_names])
    losses: tuple[str, ...] = field(
        default=("softmax", "focal"), converter=_losses,
        validator=[is_listed, validators.min_len(1), validators.deep_iterable(is_text)])
    box_losses: tuple[str, ...] = field(
        default=("smooth_l1", "giou"), converter=_box_losses,
        validator=[is_listed, validators.min_len(1), validators.deep_iterable(is_text)])
    defaults: PlanDefaults = field(
        factory=PlanDefaults, validator=validators.instance_of(PlanDefaults))
