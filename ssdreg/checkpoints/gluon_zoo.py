"""Gluon's own networks as backbones, to recognise them in the checkpoints of GluonCV."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ssdreg.registry.backbone import Backbone

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Depths (or widths) of the networks by the name Gluon gives their parameters, the smallest first.
FAMILIES = {
    "resnetv1": tuple(f"resnet{depth}_v1" for depth in (18, 34, 50, 101, 152)),
    "resnetv2": tuple(f"resnet{depth}_v2" for depth in (18, 34, 50, 101, 152)),
    "mobilenet": tuple(f"mobilenet{width}" for width in ("0.25", "0.5", "0.75", "1.0")),
}
PAPER = "https://arxiv.org/abs/1907.04433"
#: ``ssd0_resnetv10_stage1_conv0_weight``: the block's scope, the family, a running number.
_SCOPED = re.compile(rf"(?:.*_)?({'|'.join(FAMILIES)})\d+_(.+)")


def symbol(name: str) -> mx.sym.Symbol:
    """Build a network of Gluon's model zoo, named as Gluon names the first one in a process."""
    from ssdreg.mx import mx
    with mx.name.NameManager():
        return mx.gluon.model_zoo.vision.get_model(name)(mx.sym.Variable("data"))


def unscoped(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the family that names are of ("" for none), and their names in `symbol`, by name.

    Names outside of the network's own scope are left out.
    """
    scoped = {name: match for name in names if (match := _SCOPED.fullmatch(name))}
    families = {match[1] for match in scoped.values()}
    if len(families) != 1:
        return "", {}
    family = families.pop()
    return family, {name: f"{family}0_{match[2]}" for name, match in scoped.items()}


def members(family: str) -> tuple[Backbone, ...]:
    """Return the networks of a family as backbones, the smallest first; none for a family "".

    They are named as `ssdreg-gluon` names them; their taps are found from the graph.
    """
    return tuple(Backbone(name=f"gluon.{name}", family=f"gluon-{family}", depth=depth,
                          build="ssdreg.checkpoints.gluon_zoo:symbol", arguments={"name": name},
                          taps=(), tap_strides=(), paper=PAPER)
                 for depth, name in enumerate(FAMILIES.get(family, ()), start=1))
