"""Audit of the SSD presets of the installed GluonCV (Apache-2.0; 0.10.5 is the last release).

Every function ``ssd_*`` of its model zoo is a preset. They are built without weights; nothing is
downloaded.
"""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from ssdreg.auditing import extractors
from ssdreg.auditing.audited import RIGHT, Audit, Audited, judge, undecided, without_prefix
from ssdreg.errors import AuditError, DependencyError

if TYPE_CHECKING:
    from ssdreg.mx import mx

COUNTED = ("published: all values in the parameters and running moments of the preset as GluonCV "
           "{version} builds it, tables of anchors and other constants left out; corrected: of "
           "the same preset built by GluonCV with the right taps as its features. Presets that "
           "differ in their classes only share a line; the parameters are those of the first")

#: The function of GluonCV that each preset calls to build its detector.
MAKER = "get_ssd"
#: For presets that leave the classes to their caller: as many as PASCAL VOC has.
CLASSES = tuple(f"class{index}" for index in range(20))


class _RecordedError(Exception):
    """Ends the call of a preset once its arguments are recorded, before anything is built."""


@frozen(eq=False)
class GluonCVPreset:
    """A preset: its name, and the arguments that it calls GluonCV's ``get_ssd`` with."""

    name: str
    maker: Callable[..., Any] = field(repr=False)
    arguments: Mapping[str, Any]

    @property
    def network(self) -> str:
        """GluonCV's name of the backbone."""
        return str(self.arguments["name"])

    @property
    def side(self) -> int:
        """The side of the square input in pixels."""
        return int(self.arguments["base_size"])

    @property
    def features(self) -> tuple[str, ...] | Callable[..., Any]:
        """The tapped layers, or the function that makes its own feature extractor."""
        features = self.arguments["features"]
        return features if callable(features) else tuple(features)

    @property
    def group_key(self) -> tuple[Any, ...]:
        """The same for presets that differ in their classes and anchors only."""
        others = {name: repr(value) for name, value in self.arguments.items()
                  if name not in ("name", "base_size", "features", "sizes", "ratios", "steps",
                                  "classes", "dataset")}
        return (self.network, self.side, self.features, tuple(sorted(others.items())))

    def build(self, **changed: Any) -> Any:
        """Build the detector, a Gluon block without values."""
        from ssdreg.mx import mx
        with mx.name.NameManager(), _quiet():
            return self.maker(**{**self.arguments, **changed, "pretrained": False,
                                 "pretrained_base": False})


def audit_gluoncv() -> Audit:
    """Audit every SSD preset of the installed GluonCV, each at its own input size.

    Raises DependencyError when GluonCV cannot be imported.
    """
    gluoncv = import_gluoncv()
    items: list[Audited] = []
    groups: dict[tuple[Any, ...], list[GluonCVPreset]] = {}
    for name, function in _preset_functions(gluoncv):
        preset = record_preset(name, function)
        if isinstance(preset, GluonCVPreset):
            groups.setdefault(preset.group_key, []).append(preset)
        else:
            items.append(preset)
    for group in groups.values():
        audited = _audit_preset(gluoncv, group[0])
        items.append(evolve(audited, also=tuple(preset.name for preset in group[1:])))
    return Audit(tuple(items), COUNTED.format(version=version("gluoncv")))


def import_gluoncv() -> ModuleType:
    """Import GluonCV, after MXNet is prepared; raise DependencyError if it is missing.

    It refuses to be imported where PyTorch 2 is installed, although its MXNet half does not use
    PyTorch: so PyTorch is hidden during the import.
    """
    import ssdreg.mx  # noqa: F401  (gives both what they miss in Python and NumPy)
    try:
        version("gluoncv")
    except PackageNotFoundError as error:
        raise DependencyError("GluonCV is not installed: run `pip install gluoncv==0.10.5`"
                              ) from error
    try:
        with _hidden("torch"):
            import gluoncv
            import gluoncv.model_zoo
            return gluoncv  # type: ignore[no-any-return]
    except ImportError as error:
        raise DependencyError(f"GluonCV is installed but cannot be imported; `pip check` names "
                              f"what it lacks ({error})") from error


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let an import of `module` fail as if it were not installed."""
    missing = object()
    before: Any = sys.modules.get(module, missing)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is missing:
            del sys.modules[module]
        else:
            sys.modules[module] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress two warnings of MXNet that are irrelevant here.

    The input has no type yet, which is meant to be so; and the initialiser of an anchor table,
    registered under its address in memory, may meet that of one that is gone.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
        warnings.filterwarnings("ignore", ".*New initializer", UserWarning)
        yield


def _preset_functions(gluoncv: ModuleType) -> list[tuple[str, Any]]:
    functions = [(name, function)
                 for name, function in inspect.getmembers(gluoncv.model_zoo, inspect.isfunction)
                 if name.startswith("ssd_")]
    if not functions:
        raise AuditError("the model zoo of the installed GluonCV has no SSD presets")
    return sorted(functions, key=lambda item: item[1].__code__.co_firstlineno)


def record_preset(name: str, function: Any) -> GluonCVPreset | Audited:
    """Call a preset without building its detector; return the arguments that it builds it with."""
    scope = function.__globals__
    maker = scope.get(MAKER)
    if maker is None:
        return undecided(name, "", (0, 0), (), f"it is not made by GluonCV's {MAKER}")
    arguments: dict[str, Any] = {}

    def record(*args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(maker).bind(*args, **kwargs)
        arguments.update({**bound.arguments, **bound.arguments.get("kwargs", {})})
        arguments.pop("kwargs", None)
        raise _RecordedError

    parameters = inspect.signature(function).parameters
    classes = {"classes": CLASSES} if "classes" in parameters else {}
    scope[MAKER] = record
    try:
        function(**classes, pretrained_base=False)
    except _RecordedError:
        return GluonCVPreset(name, maker, arguments)
    finally:
        scope[MAKER] = maker
    return undecided(name, "", (0, 0), (), f"it does not call GluonCV's {MAKER}")


def _audit_preset(gluoncv: ModuleType, preset: GluonCVPreset) -> Audited:
    shape, features = (preset.side, preset.side), preset.features
    detector, classifier = preset.build(), _classifier(gluoncv, preset.network)
    published = count_values(detector, shape)
    if callable(features):
        audited = extractors.judge_extractor(
            preset.name, preset.network, block_outputs(detector.features),
            None if classifier is None else block_outputs(classifier)[0], shape)
        return evolve(audited, published=published,
                      corrected=published if audited.verdict == RIGHT else None)
    if classifier is None:
        return evolve(undecided(preset.name, preset.network, shape, features,
                                "its network is not in GluonCV's model zoo"), published=published)
    audited = without_prefix(judge(preset.name, preset.network, block_outputs(classifier)[0],
                                   [f"{classifier.prefix}{layer}" for layer in features], shape),
                             classifier.prefix)
    corrected = None
    if audited.verdict == RIGHT:
        corrected = published
    elif len(audited.right) == len(audited.declared):
        right = preset.build(features=[layer.name for layer in audited.right])
        corrected = count_values(right, shape)
    return evolve(audited, published=published, corrected=corrected)


def _classifier(gluoncv: ModuleType, name: str) -> Any:
    """Build a classification network of GluonCV without values; None for an unknown name."""
    from ssdreg.mx import mx
    if name not in gluoncv.model_zoo.get_model_list():
        return None
    with mx.name.NameManager():
        return gluoncv.model_zoo.get_model(name, pretrained=False)


def block_outputs(block: Any) -> list[mx.sym.Symbol]:
    """Return the outputs of a Gluon block as symbols."""
    from ssdreg.mx import mx
    with mx.name.NameManager(), _quiet():
        outputs = block(mx.sym.Variable("data"))
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def count_values(block: Any, data_shape: tuple[int, int]) -> int:
    """Count the values in a Gluon block's parameters and running moments, constants left out."""
    from ssdreg.mx import mx
    symbol = mx.sym.Group(block_outputs(block))
    arguments, _, auxiliary = symbol.infer_shape_partial(data=(1, 3, *data_shape))
    shapes = dict(zip((*symbol.list_arguments(), *symbol.list_auxiliary_states()),
                      (*arguments, *auxiliary)))
    return sum(math.prod(shapes[name]) for name, parameter in block.collect_params().items()
               if name in shapes and not isinstance(parameter, mx.gluon.Constant))
