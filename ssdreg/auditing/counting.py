"""Parameters of a detector on given taps, right or wrong: assembled, not verified, and counted."""

from __future__ import annotations

import attrs

from ssdreg.auditing.audited import Audited
from ssdreg.detector.build import design
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.families import parameter_count
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import PlanError

#: How parameters are counted where there is a backbone but no detector's own code.
COUNTED = ("published: all values in the parameters and running moments of an SSD with the head "
           "ssd and {classes} classes, assembled on the declared taps without verifying them; "
           "corrected: of the same detector on the right taps")


def with_sizes(audited: Audited, built: BuiltBackbone, levels: int, overrides: Overrides,
               num_classes: int) -> Audited:
    """Count the parameters of the detector with the declared and with the right taps.

    `levels` is the number of its feature levels, `overrides` what is known of its plan. A
    detector that cannot be made on its taps has no count, and the reason is added.
    """
    sizes: list[int | None] = []
    reasons = []
    for taps in (audited.declared, audited.right):
        size = None
        if len(taps) < len(audited.declared):
            reasons.append(f"there is no corrected detector: {len(audited.declared)} taps are "
                           f"declared, the network has {len(taps)} stages")
        # `verify` has already reported a layer that is missing or no feature map
        elif all(tap.channels for tap in taps):
            layers = [*(tap.name for tap in taps), *[""] * (levels - len(taps))]
            try:
                size = _size(built, attrs.evolve(overrides, from_layers=layers), num_classes,
                             audited.data_shape)
            except PlanError as error:
                reasons.append(f"its parameters cannot be counted: {error}")
        sizes.append(size)
    return attrs.evolve(audited, published=sizes[0], corrected=sizes[1],
                        reasons=(*audited.reasons, *dict.fromkeys(reasons)))


def _size(built: BuiltBackbone, overrides: Overrides, num_classes: int,
          data_shape: tuple[int, int]) -> int:
    detector = design(built, num_classes, data_shape, overrides=overrides)
    return parameter_count(detector.symbol("deploy"), data_shape)
