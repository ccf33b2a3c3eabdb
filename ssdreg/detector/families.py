"""Every registered backbone, proven: taps at several input sizes, and the order of its family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.compat.mxnet_package import require
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.declaration import prove, unused
from ssdreg.detector.deriving import derive
from ssdreg.detector.overrides import DERIVED
from ssdreg.errors import PluginError, SsdregError, TapError
from ssdreg.graph.symbol import read_graph
from ssdreg.registry.backbone import Backbone, StopsAt
from ssdreg.registry.names import get_head, list_backbones

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: Input sizes (height, width): the published ones, ImageNet's, and two that are not square.
SHAPES = ((224, 224), (300, 300), (512, 512), (256, 448), (384, 224))
#: The detector that is planned at each of them.
HEAD, CLASSES = "ssd", 20


@frozen
class CheckedBackbone:
    """The verdict on one backbone: what is wrong with it, if anything.

    `parameters` counts all values of its own symbol. `coverage` is the share of its weights, 0..1,
    that detection uses by default, at the input size where that is least; None where it is not
    known, and where the taps are wrong but lose no weights, since a full share would mislead.
    """

    name: str
    family: str
    parameters: int
    coverage: float | None
    stops_at: StopsAt | None
    shapes: tuple[tuple[int, int], ...]
    issues: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.issues


def check(chosen: Sequence[Backbone]) -> tuple[CheckedBackbone, ...]:
    """Verify backbones at every size in `SHAPES` and of their presets, and the family rule.

    A backbone declares the end of every stage, and detection uses most of its weights unless the
    declaration says why not.

    The rule: within a family, a deeper network has more parameters. The other members of a
    family are built too, when one of it is checked. Whatever goes wrong with a backbone is among
    its problems: a plug-in that cannot be built does not hide the verdict on the others.
    """
    require()  # without MXNet no backbone can be checked
    # a backbone to be checked replaces the registered one of its name
    everybody = {member.name: member for member in (*list_backbones(), *chosen)}.values()
    return tuple(_check(backbone, everybody) for backbone in chosen)


def parameter_count(symbol: mx.sym.Symbol, data_shape: tuple[int, int]) -> int:
    """Count the values in all parameters of a symbol: arguments and auxiliary states."""
    graph = read_graph(symbol, data_shape)
    return graph.weights(index for index, name in enumerate(graph.wiring.names)
                         if not name.endswith("label"))


def family_issues(backbone: Backbone, others: Iterable[Backbone]) -> list[str]:
    """Say which shallower members of its family, among `others`, are as large or larger."""
    size = _size(backbone)
    relatives = ((member, _size(member)) for member in others
                 if member.family == backbone.family and member.depth < backbone.depth)
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


def by_sizes(complaints: Mapping[tuple[int, int], str]) -> list[str]:
    """Return each complaint, given by input size, once, with the sizes at which it holds.

    Sizes without a complaint have an empty one.
    """
    sizes: dict[str, list[str]] = {}
    for (height, width), complaint in complaints.items():
        sizes.setdefault(complaint, []).append(f"{height}x{width}")
    right = sizes.pop("", None)
    if len(sizes) == 1 and right is None:
        return [f"at every input size: {complaint}" for complaint in sizes]
    return [f"at {', '.join(where)}: {complaint}" for complaint, where in sizes.items()]


def shapes_of(backbone: Backbone) -> tuple[tuple[int, int], ...]:
    """Return the input sizes that a backbone is verified at: `SHAPES`, and those of its presets."""
    presets = ((preset.data_shape, preset.data_shape) for preset in backbone.presets)
    return (*SHAPES, *(shape for shape in presets if shape not in SHAPES))


def _check(backbone: Backbone, everybody: Iterable[Backbone]) -> CheckedBackbone:
    size = _size(backbone)
    if isinstance(size, str):
        return CheckedBackbone(backbone.name, backbone.family, 0, None, None, SHAPES[:1], (size,))
    complaints: dict[tuple[int, int], str] = {}
    coverages: list[float] = []
    built: BuiltBackbone | None = None
    for shape in shapes_of(backbone):
        try:
            built = built or BuiltBackbone.of(backbone)
            sized = built.at(shape)
            verification = prove(sized)
            coverages.append(verification.coverage)
            derive(sized, CLASSES, get_head(HEAD), DERIVED)
            complaints[shape] = unused(built.backbone, verification)
        except TapError as error:
            complaints[shape] = str(error)
            coverages += [] if error.coverage is None else [error.coverage]
        except SsdregError as error:
            complaints[shape] = str(error)
    return CheckedBackbone(backbone.name, backbone.family, size, min(coverages, default=None),
                           backbone.stops_at, shapes_of(backbone),
                           (*by_sizes(complaints), *family_issues(backbone, everybody)))
