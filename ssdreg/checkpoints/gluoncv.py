"""The SSD networks of GluonCV, stated anew for the parameter files that carry no symbol.

A file of ``save_parameters`` names every layer and holds every shape, and the tables of anchors
too. What it lacks is how the layers are joined: that is stated here, for the three forms that
GluonCV's presets have (a network of the zoo with levels behind it; VGG-16 with dilated layers;
ResNet v1b with its third stage at full resolution).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from ssdreg import ops
from ssdreg.checkpoints import gluon_features
from ssdreg.checkpoints.gluon_anchors import read_prior, step_of
from ssdreg.checkpoints.gluon_zoo import members, unscoped
from ssdreg.checkpoints.layout import Prior, make_anchors
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import RunError
from ssdreg.graph.stages import stage_ends
from ssdreg.graph.symbol import read_graph
from ssdreg.graph.taps import find_taps
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.params import Params

if TYPE_CHECKING:
    from ssdreg.mx import mx

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: GluonCV's own: suppression from an IoU of 0.45 on, the 400 best.
POST_PROCESSING = PostProcessing(nms_threshold=0.45, nms_topk=400)
_PREDICTOR = re.compile(r"(class|box)_predictors\.(\d+)\.predictor\.(weight|bias)")


@frozen(eq=False)
class Stated:
    """A GluonCV detector with a symbol: as a deploy symbol, and its parameters by its names.

    `network` is the name of its backbone, `backbone` the backbone itself; None where it is
    GluonCV's own.
    """

    symbol: mx.sym.Symbol
    params: Params
    data_shape: tuple[int, int]
    network: str
    backbone: Backbone | None
    preprocessing: Preprocessing
    priors: tuple[Prior, ...]


def is_gluoncv(params: Params) -> bool:
    """Tell whether a parameter file is of a GluonCV SSD, saved by ``save_parameters``."""
    return any(_PREDICTOR.fullmatch(name) for name in params.args)


def state(params: Params, data_shape: tuple[int, int] | None, where: str) -> Stated:
    """State the network that a parameter file of a GluonCV SSD is of.

    `data_shape` is taken from the anchors when None: the coarsest level's step is the image in
    all presets. Raises RunError for a file of which the network cannot be told.
    """
    from ssdreg.mx import mx
    arrays = {**params.args, **params.auxs}
    levels = sorted(int(match[2]) for match in map(_PREDICTOR.fullmatch, arrays)
                    if match and match[1] == "class" and match[3] == "weight")
    tables = [arrays.get(f"anchor_generators.{level}.anchors") for level in levels]
    if levels != list(range(len(levels))) or any(table is None for table in tables):
        raise RunError(f"{where} lacks the anchors of some level: it was not saved by "
                       f"save_parameters, or it is damaged")
    grids = [table.asnumpy() for table in tables if table is not None]
    if data_shape is None:
        side = round(step_of(grids[-1], where))
        data_shape = (side, side)
    priors = [read_prior(grid, data_shape, f"level {level} of {where}")
              for level, grid in enumerate(grids)]
    try:
        with mx.name.NameManager():
            features, backbone = _features(arrays, len(levels), data_shape, where)
            names = dict(features.names)
            symbol = _detector(features.features, arrays, priors, names)
        auxiliary = set(symbol.list_auxiliary_states())
        parts = [{name: arrays[key] for name, key in names.items() if (name in auxiliary) == wanted}
                 for wanted in (False, True)]
    except KeyError as error:  # a parameter of the structure that the file lacks
        raise RunError(f"{where} lacks {error.args[0]!r}, which a GluonCV SSD of this form has: "
                       f"it is damaged, or of a network that is not known here") from error
    scale = arrays.get("features.init_scale")
    std = np.array(STD) / (1 if scale is None else scale.asnumpy().ravel())
    return Stated(symbol, Params(*parts), data_shape, features.network, backbone,
                  Preprocessing(MEAN, tuple(map(float, std.round(4)))), tuple(priors))


def _features(arrays: Mapping[str, mx.nd.NDArray], levels: int, data_shape: tuple[int, int],
              where: str) -> tuple[gluon_features.Features, Backbone | None]:
    shapes = {name[len("features."):]: tuple(array.shape) for name, array in arrays.items()
              if name.startswith("features.")}
    if "stages.0.0.weight" in shapes:
        return gluon_features.vgg_atrous(shapes), None
    if "stage1.0.weight" in shapes:
        return gluon_features.resnet_v1b(shapes), None
    extras = sum(re.fullmatch(r"(?:.*_)?expand_conv\d+_weight", name) is not None
                 for name in shapes)
    backbone, bare = _network(shapes, data_shape, where)
    taps = _taps(backbone, bare, shapes, arrays, levels - extras, data_shape, where)
    return gluon_features.expanded(backbone.name, backbone.symbol(), taps, bare, shapes), backbone


def _network(shapes: Mapping[str, tuple[int, ...]], data_shape: tuple[int, int],
             where: str) -> tuple[Backbone, dict[str, str]]:
    """Find the smallest network of the zoo that has all of a file's layers."""
    family, bare = unscoped(shapes)
    for backbone in members(family):
        has = read_graph(backbone.symbol(), data_shape).parameters()
        if all(has.get(name) == shapes[key] for key, name in bare.items()):
            return backbone, bare
    raise RunError(f"{where} is of a GluonCV SSD on a network that is not known here (its layers "
                   f"are called {next(iter(shapes), '?')!r} and so on): load it in GluonCV, "
                   f"write it with net.export, and import that")


def _taps(backbone: Backbone, bare: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]],
          arrays: Mapping[str, mx.nd.NDArray], count: int, data_shape: tuple[int, int],
          where: str) -> tuple[str, ...]:
    """Tell the taps by what the file holds: their channels, and the layers up to the last.

    They are the ends of stages, or what the names of ResNet v1's stage ends mean in v2, where
    every unit has more activations: a place inside a unit, which GluonCV's presets tap.
    """
    graph = read_graph(backbone.symbol(), data_shape)
    channels = [arrays[f"class_predictors.{level}.predictor.weight"].shape[1]
                for level in range(count)]
    ends = tuple(tap.node for tap in find_taps(backbone.symbol(), data_shape))[-count:]
    stages = [end.units for end in stage_ends(graph) if end.units]
    scope = next(iter(bare.values())).partition("_")[0]
    named = tuple(f"{scope}_stage{stage}_activation{units - 1}"
                  for stage, units in enumerate(stages, start=1))[-count:]
    for taps in (ends, named):
        nodes = [graph.find(tap) for tap in taps]
        used = graph.parameters(graph.upstream(taps))
        if (len(nodes) == count and [node.channels for node in nodes if node] == channels
                and set(used) == set(bare.values())):
            return taps
    raise RunError(f"{where} is of a GluonCV SSD on {backbone.name}, but where it taps it cannot "
                   f"be told: load it in GluonCV, write it with net.export, and import that")


def _detector(features: Sequence[mx.sym.Symbol], arrays: Mapping[str, mx.nd.NDArray],
              priors: Sequence[Prior], names: dict[str, str]) -> mx.sym.Symbol:
    """Put predictors, anchors and detection on the levels; note the predictors' `names`."""
    from ssdreg.mx import mx
    predicted: dict[str, list[mx.sym.Symbol]] = {"class": [], "box": []}
    classes = arrays["class_predictors.0.predictor.weight"].shape[0] // priors[0].per_cell
    for level, feature in enumerate(features):
        for kind, short in (("class", "cls"), ("box", "loc")):
            key = f"{kind}_predictors.{level}.predictor"
            name = f"{feature.name}_{short}_pred_conv"
            names.update({f"{name}_weight": f"{key}.weight", f"{name}_bias": f"{key}.bias"})
            outputs, _, *kernel = arrays[f"{key}.weight"].shape
            x = mx.sym.Convolution(feature, num_filter=outputs, kernel=tuple(kernel),
                                   pad=tuple(side // 2 for side in kernel), name=name)
            predicted[kind].append(mx.sym.Flatten(mx.sym.transpose(x, axes=(0, 2, 3, 1))))
    scores = mx.sym.Reshape(mx.sym.Concat(*predicted["class"], dim=1), shape=(0, -1, classes))
    cls_pred = mx.sym.transpose(scores, axes=(0, 2, 1), name="multibox_cls_pred")
    loc_pred = mx.sym.Concat(*predicted["box"], dim=1, name="multibox_loc_pred")
    return ops.detection(mx.sym.softmax(cls_pred, axis=1, name="cls_prob"), loc_pred,
                         make_anchors(features, priors), POST_PROCESSING)
