"""From a path to a detector, for checkpoints of every supported program."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ssdreg import ops
from ssdreg.checkpoints import gluoncv
from ssdreg.checkpoints.checkpoint import Checkpoint
from ssdreg.checkpoints.files import CheckpointFiles, read_files
from ssdreg.checkpoints.gluon_anchors import read_prior, step_of
from ssdreg.checkpoints.gluon_zoo import members, unscoped
from ssdreg.checkpoints.layout import Layout, Prior, predictions, read_layout
from ssdreg.checkpoints.levels import MeasuredDetector, derive_shape, make_plan, measure
from ssdreg.checkpoints.preprocessing import stated_shape, take_out
from ssdreg.checkpoints.rebuild import rebuild
from ssdreg.checkpoints.recognition import Recognized, recognize, registered, verify_layout
from ssdreg.data.background import names_of
from ssdreg.detector.overrides import LARGEST_SIDE
from ssdreg.detector.plan import OWN_HEAD, Plan
from ssdreg.errors import (
    CheckpointWarning,
    PluginError,
    RunError,
    SsdregError,
    TapError,
    UnknownNameError,
)
from ssdreg.graph.nodes import DATA, VARIABLE, Net
from ssdreg.graph.operators import PRODUCTS
from ssdreg.graph.symbol_file import parse
from ssdreg.graph.taps import Verification, verify
from ssdreg.heads import multibox
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import Predictions
from ssdreg.registry.names import get_backbone
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.params import Params
from ssdreg.runs.run import CONFIG, open_run

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: What SageMaker's own samples feed its detectors: pixels as they are.
_RAW = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_WHOLE = re.compile(r"[0-9]{1,5}")
#: Rounding of map sizes leaves a few percent of the image without a cell, and no more.
_LEAST_REACH = 0.8


@frozen(eq=False)
class _Opened:
    """A checkpoint whose network and input size are known, from any packaging."""

    where: str
    kind: str
    epoch: int
    layout: Layout
    params: Params | None
    data_shape: tuple[int, int]
    preprocessing: Preprocessing
    network: str
    candidates: tuple[Backbone, ...] | None
    notes: tuple[str, ...]
    classes: int | None = None


def load(path: Path, epoch: int | None, classes: Sequence[str] | None,
         data_shape: int | tuple[int, int] | None,
         preprocessing: Preprocessing | None) -> Checkpoint:
    """Do what `ssdreg.load_checkpoint` says."""
    if (path / CONFIG).is_file():
        return _from_run(path, epoch)
    shape = (data_shape, data_shape) if isinstance(data_shape, int) else data_shape
    if shape is not None and (len(shape) != 2 or min(shape) < 1):
        raise RunError(f"data_shape={data_shape!r} is neither a side in pixels nor (height, width)")
    opened = _open(read_files(path, epoch), shape, preprocessing)
    return _understand(path, opened, classes)


def _from_run(path: Path, epoch: int | None) -> Checkpoint:
    run = open_run(path)
    chosen = run.best_epoch() if epoch is None else epoch
    symbol = run.load_symbol()
    verification, complaint = verified(run.plan, symbol, str(path))
    return Checkpoint(
        source=path, kind="a run of ssdreg", epoch=chosen, plan=run.plan, classes=run.classes,
        named=True, symbol=symbol, train_symbol=run.load_symbol("ssd"),
        params=run.load_params(chosen), verification=verification, complaint=complaint)


def verified(plan: Plan, symbol: mx.sym.Symbol, where: str) -> tuple[Verification | None, str]:
    """Verify a run's taps: on its backbone, or on its own graph where it was imported with one.

    Return what the graph says, None where that is not known here, and a complaint, or "".
    """
    try:
        if plan.head == OWN_HEAD:
            layout = read_layout(parse(symbol.tojson(), where), where)
            return verify_layout(layout, measure(layout, plan.data_shape, where))
        return verify(get_backbone(plan.backbone).symbol(), plan.taps, plan.data_shape), ""
    except TapError as error:
        return None, str(error)
    except (PluginError, UnknownNameError):  # a plug-in that is not installed here, or fails
        return None, ""


def _open(source: CheckpointFiles, data_shape: tuple[int, int] | None,
          preprocessing: Preprocessing | None) -> _Opened:
    """Bring a source to a symbol, its layout, parameters under its names, and an input size."""
    where = str(source.path)
    if source.net is None:
        return _open_gluoncv(source, data_shape, preprocessing)
    net, inside = take_out(source.net, source.params, where)
    layout = read_layout(_with_scales(net, source.params), where)
    shape, notes = _input_shape(layout, source, data_shape)
    variables = {net.name(index) for index in net.find(VARIABLE)}
    kind, default = "a deploy symbol of MXNet's SSD example", Preprocessing()
    if layout.constants:
        kind, default = "a GluonCV SSD, exported", Preprocessing(gluoncv.MEAN, gluoncv.STD)
    elif "base_network" in source.hyperparameters:
        kind = f"SageMaker's object detection ({source.hyperparameters['base_network']})"
        default = _RAW
        if preprocessing is None:
            notes += ("SageMaker's archive does not say how pixels are normalised: they are fed "
                      "as its own samples feed them, RGB from 0 to 255",)
    elif "label" in variables:
        kind = "a training symbol of MXNet's SSD example"
    if inside:
        if preprocessing not in (None, inside):
            raise RunError(f"{where} normalises its input itself, by mean {inside.mean} and std "
                           f"{inside.std}: leave --mean and --std out")
        default = inside
        notes += ("the normalisation was inside its symbol; here it is in front of the network, "
                  "whose input is (B, 3, H, W)",)
    family, _ = unscoped(variables)
    return _Opened(where, kind, source.epoch, layout, source.params, shape,
                   preprocessing or default, "unknown", members(family) or None, notes,
                   _whole(source.hyperparameters.get("num_classes", "")))


def _input_shape(layout: Layout, source: CheckpointFiles, given: tuple[int, int] | None
                 ) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Choose the input size: as given, as the hyperparameters say, or as the anchors do.

    Returns what there is to note about it too. Raises RunError where nothing tells it.
    """
    side = _whole(source.hyperparameters.get("image_shape", ""))
    derived = derive_shape(layout) or _exported_shape(layout, source.params)
    stated = stated_shape(source.net) if source.net else None
    shape = given or ((side, side) if side else None) or stated or derived
    if shape is not None and not 1 <= min(shape) <= max(shape) <= LARGEST_SIDE:
        raise RunError(f"{source.path} cannot be of an input of {shape[0]}x{shape[1]} pixels: give "
                       f"its size with --data-shape, a side of at most {LARGEST_SIDE}")
    if shape is None:
        raise RunError(f"the input size of {source.path} is not in its files (its anchors are one "
                       f"to a cell, whatever the size): give it with --data-shape, as 300 or 512, "
                       f"which MXNet's example trains at")
    if derived in (None, shape):
        return shape, ()
    return shape, (f"the distance of its anchors is that of an input of {derived[0]}x{derived[1]} "
                   f"pixels",)


def _with_scales(net: Net, params: Params | None) -> Net:
    """Write attributes to the scale variables of features that inference cannot derive.

    Their shape, and for one that the input is multiplied by (GluonCV's VGG has a constant there)
    that training leaves it alone.
    """
    given, attrs = params.args if params else {}, dict[str, dict[str, str]]()
    for product in net.find(*PRODUCTS):
        names = [net.name(node) for node, _ in net.inputs(product) if net.op(node) == VARIABLE]
        for name in set(names) - {DATA}:
            attrs[name] = {"__lr_mult__": "0", "__wd_mult__": "0"} if DATA in names else {}
            if name in given:
                attrs[name]["__shape__"] = str(tuple(given[name].shape))
    return net.with_attrs(attrs)


def _open_gluoncv(source: CheckpointFiles, data_shape: tuple[int, int] | None,
                  preprocessing: Preprocessing | None) -> _Opened:
    where = str(source.path)
    assert source.params is not None  # a source has a symbol, parameters, or both
    if not gluoncv.is_gluoncv(source.params):
        raise RunError(f"{where} has no symbol beside it (PREFIX-symbol.json), and is no file of a "
                       f"GluonCV SSD preset: how its layers are joined is not known")
    stated = gluoncv.state(source.params, data_shape, where)
    layout = evolve(read_layout(parse(stated.symbol.tojson(), where), where),
                    priors=stated.priors)
    return _Opened(where, "a GluonCV SSD preset's parameters", source.epoch, layout, stated.params,
                   stated.data_shape, preprocessing or stated.preprocessing, stated.network,
                   (stated.backbone,) if stated.backbone else (),
                   ("GluonCV suppresses by class and keeps 100 boxes, each of every class it may "
                    "be; here a box has its best class, as in the SSD paper",))


def _whole(text: str) -> int | None:
    """Read a whole number above 0; None for anything else."""
    return int(text) or None if _WHOLE.fullmatch(text) else None


def _exported_shape(layout: Layout, params: Params | None) -> tuple[int, int] | None:
    """Take the input size of a GluonCV export from its coarsest level, whose step is the image."""
    if not layout.constants or params is None or layout.constants[-1] not in params.args:
        return None
    table = params.args[layout.constants[-1]]
    side = round(step_of(table.asnumpy(), layout.constants[-1]))
    return side, side


def _understand(path: Path, opened: _Opened, classes: Sequence[str] | None) -> Checkpoint:
    """Recognise, verify, name, and rebuild what was opened."""
    layout, where = opened.layout, opened.where
    measured = measure(layout, opened.data_shape, where)
    params = None if opened.params is None else _fitting(opened.params, measured, where)
    priors = layout.priors or _exported_priors(opened, where)
    notes = [*opened.notes]
    if opened.classes not in (None, measured.num_classes):
        notes.append(f"its hyperparameters speak of {opened.classes} classes, but the network "
                     f"tells {measured.num_classes} apart besides the background, which counts")
    names = _class_names(classes, measured.num_classes, where, notes)
    recognized = _recognize(measured, opened)
    if recognized:
        measured = evolve(measured, taps=len(recognized.taps))
        verification, complaint = recognized.verification, recognized.complaint
    else:
        verification, complaint = verify_layout(layout, measured)
    name = recognized.backbone.name if recognized else opened.network
    plan = make_plan(layout, measured, priors, name, opened.preprocessing)
    pieces = predictions(layout, priors)
    same = recognized and rebuild(recognized.backbone, plan, layout, pieces, params)
    if complaint:
        warnings.warn(f"{where}: {complaint}", CheckpointWarning, stacklevel=4)
    return Checkpoint(
        source=path, kind=opened.kind, epoch=opened.epoch, plan=same.plan if same else plan,
        classes=names, named=classes is not None, params=params, verification=verification,
        symbol=same.symbol if same else _deploy(pieces, layout),
        train_symbol=same.train_symbol if same else _train(pieces, plan),
        complaint=complaint, notes=(*notes, *_unusual(plan, priors)))


def _unusual(plan: Plan, priors: Sequence[Prior]) -> Iterator[str]:
    """Describe anchors that the plan does not state, and the part of the image without any."""
    if any(prior.chosen for prior in priors):
        yield "a cell has only some of the anchors that its level's sizes and ratios make together"
    for index, (level, step) in enumerate(zip(plan.levels, plan.steps)):
        down = step[0] if isinstance(step, tuple) else step
        if level.height * down < _LEAST_REACH:
            yield (f"the anchors of level {index} ({level.height}x{level.width} cells) are "
                   f"{down * plan.data_shape[0]:.3g} pixels apart and end at "
                   f"{level.height * down:.0%} of the image: so it was trained, and it finds "
                   f"little beyond")


def _recognize(measured: MeasuredDetector, opened: _Opened) -> Recognized | None:
    if opened.candidates is None:
        return recognize(measured, registered(measured))
    _, bare = unscoped(node.name for node in measured.graph.nodes)
    return recognize(measured, opened.candidates, bare)


def _exported_priors(opened: _Opened, where: str) -> tuple[Prior, ...]:
    """Read the anchors that a GluonCV export holds among its parameters."""
    priors = []
    for level, name in enumerate(opened.layout.constants):
        table = opened.params.args.get(name) if opened.params else None
        if table is None:
            raise RunError(f"{where} has its anchors in parameters, and {name!r} is not there")
        priors.append(read_prior(table.asnumpy(), opened.data_shape, f"level {level} of {where}"))
    return tuple(priors)


def _class_names(classes: Sequence[str] | None, count: int, where: str,
                 notes: list[str]) -> tuple[str, ...]:
    if classes is None:
        return tuple(f"class{index}" for index in range(count))
    try:
        names, left_out = names_of(count, classes, where)
    except SsdregError as error:
        raise RunError(str(error)) from error
    if left_out:
        notes.append(left_out)
        warnings.warn(f"{where}: {left_out}", CheckpointWarning, stacklevel=5)
    return names


def _fitting(params: Params, measured: MeasuredDetector, where: str) -> Params:
    """Return the parameters a network needs, as float32; raise RunError when they are not its."""
    args: dict[str, mx.nd.NDArray] = {}
    auxs: dict[str, mx.nd.NDArray] = {}
    given = {**params.args, **params.auxs}
    needs = [node for node in measured.graph.nodes if node.is_variable and not node.from_data]
    missing = [node.name for node in needs if node.name not in given]
    if missing:
        raise RunError(f"the parameters of {where} lack {len(missing)} of the {len(needs)} that "
                       f"its symbol has, {missing[0]!r} among them: they are of another network")
    for node in needs:
        array = given[node.name]
        if tuple(array.shape) != node.shape:
            raise RunError(f"{node.name!r} of {where} has the shape {tuple(array.shape)} in the "
                           f"parameters and {node.shape} in the symbol: they do not belong "
                           f"together")
        (auxs if node.name in params.auxs else args)[node.name] = array.astype("float32")
    return Params(args, auxs)


def _deploy(pieces: Predictions, layout: Layout) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    with mx.name.NameManager():
        probability = mx.sym.softmax(pieces.cls_pred, axis=1, name="cls_prob")
        return ops.detection(probability, pieces.loc_pred, pieces.anchors, layout.post_processing)


def _train(pieces: Predictions, plan: Plan) -> mx.sym.Symbol:
    from ssdreg.mx import mx
    with mx.name.NameManager():
        return multibox.train(pieces, mx.sym.Variable("label"), plan)


