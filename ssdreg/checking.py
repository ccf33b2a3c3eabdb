"""Every registered backbone, proven: taps at several input sizes, and the order of its family."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.backbone import Backbone
from ssdreg.errors import PluginError, SsdregError
from ssdreg.finding import complete
from ssdreg.graph import read_graph
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
    family are built too, when one of it is checked. Whatever goes wrong with a backbone is among
    its problems: a plug-in that cannot be built does not hide the verdict on the others.
    """
    # what is checked counts for what is registered under its name
    everybody = {each.name: each for each in (*backbones(), *chosen)}.values()
    return tuple(_check(backbone, everybody) for backbone in chosen)


def parameter_count(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> int:
    """Count the values in all parameters of a symbol: arguments and auxiliary states."""
    graph = read_graph(symbol, data_shape)
    return graph.weights(node.index for node in graph.nodes if not node.name.endswith("label"))


def family_problems(backbone: Backbone, others: Iterable[Backbone]) -> list[str]:
    """Say which shallower members of its family, among `others`, are as large or larger."""
    size = _size(backbone)
    relatives = ((each, _size(each)) for each in others
                 if each.family == backbone.family and each.depth < backbone.depth)
    return [f"is deeper ({backbone.depth}) than {other.name} ({other.depth}) but has fewer or "
            f"as many parameters: {size:,} against {others_size:,}"
            for other, others_size in relatives
            if isinstance(size, int) and isinstance(others_size, int) and others_size >= size]


@cache
def _size(backbone: Backbone) -> int | str:
    """Return the parameter count, or why there is none.

    A classifier's size may follow from the input's: the first shape serves the whole family.
    """
    try:
        return parameter_count(backbone.symbol(), SHAPES[0])
    except PluginError as error:
        return str(error)
    except SsdregError as error:
        return f"at {SHAPES[0][0]}x{SHAPES[0][1]}: {error}"


def _check(backbone: Backbone, everybody: Iterable[Backbone]) -> Checked:
    problems, coverage, size = [], 0.0, _size(backbone)
    if isinstance(size, str):
        return Checked(backbone.name, backbone.family, 0, 0.0, SHAPES[:1], (size,))
    for shape in SHAPES:
        try:
            coverage = verify(backbone.symbol(), complete(backbone).taps, shape).coverage
            plan(backbone, data_shape=shape)
        except SsdregError as error:
            problems.append(f"at {shape[0]}x{shape[1]}: {error}")
    problems += family_problems(backbone, everybody)
    return Checked(backbone.name, backbone.family, size, coverage, SHAPES, tuple(problems))
