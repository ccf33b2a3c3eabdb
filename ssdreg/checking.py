"""Every registered backbone, proven: taps at several input sizes, and the order of its family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.backbone import Backbone
from ssdreg.errors import SsdregError
from ssdreg.graph import DATA
from ssdreg.planning import plan
from ssdreg.plugins import backbones
from ssdreg.taps import verify

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Input sizes (height, width): the published ones, ImageNet's, and two that are not square.
SHAPES = ((224, 224), (300, 300), (512, 512), (256, 448), (384, 224))


@frozen
class Checked:
    """The verdict on one backbone: what is wrong with it, if anything.

    `parameters` counts all values of its own symbol, `coverage` is the share of its weights
    upstream of the declared taps.
    """

    name: str
    family: str
    parameters: int
    coverage: float
    shapes: tuple[tuple[int, int], ...]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(chosen: Sequence[Backbone]) -> tuple[Checked, ...]:
    """Verify backbones at every size in `SHAPES`, and the family rule.

    The rule: within a family, a deeper network has more parameters. The other members of a
    family are built too, when one of it is checked.
    """
    families = {backbone.family for backbone in chosen}
    relatives = [backbone for backbone in backbones() if backbone.family in families]
    # a classifier's size may follow from the input's: the first shape serves the whole family
    sizes = {backbone.name: parameter_count(backbone.symbol(), SHAPES[0])
             for backbone in {each.name: each for each in (*relatives, *chosen)}.values()}
    return tuple(_check(backbone, relatives, sizes) for backbone in chosen)


def parameter_count(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> int:
    """Count the values in all parameters of a symbol: arguments and auxiliary states."""
    args, _, auxs = symbol.infer_shape_partial(**{DATA: (1, 3, *data_shape)})
    shapes = [shape for name, shape in zip(symbol.list_arguments(), args)
              if name != DATA and not name.endswith("label")]
    return sum(math.prod(shape) for shape in (*shapes, *auxs))


def _check(backbone: Backbone, relatives: Sequence[Backbone], sizes: dict[str, int]) -> Checked:
    problems, coverage = [], 0.0
    for shape in SHAPES:
        try:
            coverage = verify(backbone.symbol(), backbone.taps, shape).coverage
            plan(backbone, data_shape=shape)
        except SsdregError as error:
            problems.append(f"at {shape[0]}x{shape[1]}: {error}")
    for other in relatives:
        if other.depth < backbone.depth and sizes[other.name] >= sizes[backbone.name]:
            problems.append(
                f"is deeper ({backbone.depth}) than {other.name} ({other.depth}) but has fewer or "
                f"as many parameters: {sizes[backbone.name]:,} against {sizes[other.name]:,}")
    return Checked(backbone.name, backbone.family, sizes[backbone.name], coverage, SHAPES,
                   tuple(problems))
