"""What a head plug-in declares: how feature maps become class scores, boxes and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from ssdreg.converters import as_tuple
from ssdreg.references import Reference, valid_reference

if TYPE_CHECKING:
    from ssdreg.mx import mx

_text = validators.and_(validators.instance_of(str), validators.min_len(1))


@frozen
class Predictions:
    """What every head predicts, for B images, C classes and N anchors.

    `cls_pred` (B, C + 1, N) are class scores before softmax, background first; `loc_pred`
    (B, N * 4) the encoded box offsets; `anchors` (1, N, 4) the prior boxes as x1, y1, x2, y2
    in 0..1. All float32.
    """

    cls_pred: mx.sym.Symbol
    loc_pred: mx.sym.Symbol
    anchors: mx.sym.Symbol


@frozen(kw_only=True)
class Head:
    """A detection head, as a plug-in declares it.

    Each step is a callable or ``"module:function"``, loaded on first use:

    - `predict(backbone_symbol, plan) -> Predictions`
    - `train(predictions, label, plan) -> Symbol`: a group of the outputs ``cls_prob``,
      ``loc_loss``, ``cls_label`` and ``det_out``
    - `detect(predictions, plan) -> Symbol`: the output ``detection`` (B, N, 6)

    The last two default to the MultiBox operators of SSD (Liu et al., 2016).
    """

    name: str = field(validator=_text)
    summary: str = field(validator=_text)
    paper: str = field(validator=_text)
    predict: Reference = field(validator=valid_reference)
    train: Reference = field(default="ssdreg.heads.multibox:train", validator=valid_reference)
    detect: Reference = field(default="ssdreg.heads.multibox:detect", validator=valid_reference)
    aliases: tuple[str, ...] = field(default=(), converter=as_tuple)
