"""The checks of every backbone and head: a function each, and their order."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ssdreg.detector.declaration import unused
from ssdreg.detector.families import SHAPES, by_sizes, family_issues, shapes_of
from ssdreg.errors import ConformanceError, TapError, UnexaminedError
from ssdreg.exporting.parity import compare
from ssdreg.graph.nodes import Net
from ssdreg.registry.lazy_reference import resolve
from ssdreg.registry.names import list_backbones
from ssdreg.runs.params import read_params, write_params
from ssdreg.testing.data_formats import FORMAT_CHECKS, FormatExamination
from ssdreg.testing.engines import ENGINE_CHECKS, EngineExamination
from ssdreg.testing.examination import Check, Examination, Verdicts, one_line
from ssdreg.testing.gradients import unexpectedly_still
from ssdreg.testing.one_step import noise_images
from ssdreg.testing.process_state import watch
from ssdreg.testing.verdict import AnySubject, EngineSubject, FormatSubject

#: The greatest difference between a batch's features and those of its images alone, as a share of
#: the largest feature: libraries sum in another order for another batch size.
ROUNDING = 1e-3
#: The backend that runs exported files.
EXPORT_BACKEND = "onnxruntime"


def same_symbol(examination: Examination) -> None:
    """Build the symbol twice: it must be the same."""
    try:
        first = examination.symbol.tojson()
        second = examination.subject.backbone.symbol().tojson()
    except Exception as error:  # a plug-in's code may raise anything
        cause = error.__cause__ or error
        raise ConformanceError(f"its symbol cannot be built: {type(cause).__name__}: "
                               f"{one_line(cause)}") from error
    if first != second:
        first_line, second_line = _first_difference(first, second)
        raise ConformanceError(f"its symbol is another one when it is built again: {first_line!r} "
                               f"became {second_line!r}; names and settings must follow from the "
                               f"declaration alone, not from a counter or what was built before")


def _first_difference(first: str, second: str) -> tuple[str, str]:
    """Return the first pair of lines that differ, without the punctuation of JSON."""
    pairs = zip(f"{first}\n(its end)".splitlines(), f"{second}\n(its end)".splitlines())
    first_line, second_line = next(pair for pair in pairs if pair[0] != pair[1])
    return first_line.strip(' ,"'), second_line.strip(' ,"')


def builds_quietly(examination: Examination) -> None:
    """Build the symbol once more: nothing is printed, no global state is touched."""
    from ssdreg.mx import mx
    backbone = examination.subject.backbone
    build, arguments = resolve(backbone.build), dict(backbone.arguments)
    with mx.name.NameManager():
        effects = watch(lambda: build(**arguments))
    if effects.printed:
        raise ConformanceError(f"building it prints {effects.printed.splitlines()[0]!r}; what a "
                               f"command prints must be the command's own")
    if effects.touched:
        raise ConformanceError(f"building it changes {' and '.join(effects.touched)}, which "
                               f"belongs to the whole process; leave it as it was")


def taps_end_stages(examination: Examination) -> None:
    """Verify on the graph, at five input sizes, that the taps are the ends of all stages."""
    issues = dict.fromkeys(shapes_of(examination.backbone), "")
    for shape in issues:
        try:
            examination.verify(shape)
        except TapError as error:
            issues[shape] = one_line(error)
    _raise_issues(issues)


def weights_are_used(examination: Examination) -> None:
    """Check that detection uses most of the weights by default, or the backbone says why not."""
    _raise_issues({shape: unused(examination.backbone, examination.verify(shape))
                   for shape in shapes_of(examination.backbone)})


def _raise_issues(issues: Mapping[tuple[int, int], str]) -> None:
    """Raise ConformanceError if there are issues at any input size."""
    sentences = by_sizes(issues)
    if sentences:
        raise ConformanceError("; ".join(sentences))


def declared_is_true(examination: Examination) -> None:
    """Compare declared channels and strides with the maps.

    A map's size need not be the input's over the stride, because of padding; but an input that
    is larger by some strides has a map that is larger by as many cells.
    """
    extra_pixels = math.lcm(*(tap.stride for tap in examination.backbone.taps))
    small = SHAPES[-1]
    large = (small[0] + extra_pixels, small[1] + extra_pixels)
    graphs = [examination.built.at(shape).graph for shape in (small, large)]
    for tap in examination.backbone.taps:
        (channels, *before), (_, *after) = (
            graph.find(tap.node).shape[1:] for graph in graphs)  # type: ignore[union-attr]
        if channels != tap.channels:
            raise ConformanceError(f"its tap {tap.node!r} is declared with {tap.channels} "
                                   f"channels but has {channels}")
        if any(cells * tap.stride != extra_pixels for cells in np.subtract(after, before)):
            raise ConformanceError(
                f"its tap {tap.node!r} is declared at stride {tap.stride}, but {extra_pixels} more "
                f"pixels each way make its map {before[0]}x{before[1]} into {after[0]}x{after[1]}")


def deeper_is_larger(examination: Examination) -> None:
    """Compare with the registered members of its family: the deeper have more parameters."""
    backbone = examination.subject.backbone
    issues = family_issues(backbone, (member for member in list_backbones()
                                      if member.name != backbone.name))
    if issues:
        raise ConformanceError("; ".join(issues))


def forward_is_finite(examination: Examination) -> None:
    """Run forward, training and not: every tap's map is finite and float32."""
    names = Counter(examination.symbol.list_inputs())
    duplicates = [name for name, count in names.items() if count > 1]
    if duplicates:
        raise ConformanceError(f"several of its parameters are called {_list_names(duplicates)}, "
                               f"and MXNet knows them by name: share one variable, or name them "
                               f"apart")
    for mode, taps in (("training", examination.training_step.taps),
                       ("inference", examination.inference.taps)):
        for node, values in taps.items():
            if values.dtype != np.float32:
                raise ConformanceError(f"its tap {node!r} is {values.dtype} in {mode}; a detector "
                                       f"is float32 throughout")
            if not np.isfinite(values).all():
                raise ConformanceError(f"its tap {node!r} holds values that are not finite in "
                                       f"{mode}, from random weights")
    params = examination.training_step.params
    foreign = [f"{name!r} ({np.dtype(array.dtype)})"
               for name, array in {**params.args, **params.auxs}.items()
               if array.dtype != np.float32]
    if foreign:
        raise ConformanceError(f"its parameters {', '.join(foreign)} are not float32")


def training_moves(examination: Examination) -> None:
    """Check one training step: what is upstream of the taps moved, and nothing else is there."""
    not_finite = examination.training_step.lost
    if not_finite:
        raise ConformanceError(f"the gradients of {len(not_finite)} parameters are not finite in "
                               f"one training step, that of {not_finite[0]!r} among them")
    unmoved_names = unexpectedly_still(examination.detector, examination.training_step.still,
                                       examination.subject.head)
    if unmoved_names:
        raise ConformanceError(f"one training step does not move {_list_names(unmoved_names)}: no "
                               f"gradient reaches what leads to the taps")
    backbone_names = [name for name in examination.training_step.params.args
                      if name in examination.detector.behind]
    if backbone_names:
        raise ConformanceError(f"{_list_names(backbone_names)} of the backbone lead to no tap of "
                               f"the detector, but are parameters of it: the head uses their names")


def _list_names(names: list[str], limit: int = 3) -> str:
    """Return the first `limit` names as text, and the number of the others."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + rest


def files_round_trip(examination: Examination) -> None:
    """Save symbol and parameters, and load them: they are the same to the bit.

    The files must also load where the plug-in is not installed, so that all operators are MXNet's.
    """
    from ssdreg.mx import mx
    params, symbol = examination.training_step.params, examination.detector.deploy
    custom_nodes = [node.name for node in Net.of(examination.symbol).nodes
                    if node.op == "Custom"]
    if custom_nodes:
        raise ConformanceError(f"its node {custom_nodes[0]!r} is an operator written in Python: a "
                               f"saved detector is of no use where the plug-in has not been "
                               f"imported")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "deploy-symbol.json")
        symbol.save(str(file))
        try:
            with mx.name.NameManager():
                loaded = mx.sym.load(str(file))
        except Exception as error:  # MXNet's own error, or that of a name that is no UTF-8
            raise ConformanceError(f"the file of its symbol cannot be read again: "
                                   f"{one_line(error)}") from error
        if loaded.tojson() != symbol.tojson():
            saved_line, loaded_line = _first_difference(symbol.tojson(), loaded.tojson())
            raise ConformanceError(f"its symbol is another one when it is saved and loaded: "
                                   f"{saved_line!r} became {loaded_line!r}")
        file = Path(folder, "ssd-0001.params")
        write_params(file, params)
        loaded_params = read_params(file)
    for before, after in ((params.args, loaded_params.args), (params.auxs, loaded_params.auxs)):
        if before.keys() != after.keys():
            names = sorted(before.keys() ^ after.keys())
            raise ConformanceError(f"its parameters are called otherwise when they are saved and "
                                   f"loaded: {_list_names(names)}")
        for name, array in before.items():
            if array.asnumpy().tobytes() != after[name].asnumpy().tobytes():
                raise ConformanceError(f"its parameter {name!r} is another one when it is saved "
                                       f"and loaded")


def batch_is_its_pictures(examination: Examination) -> None:
    """Compare a batch of three with three batches of one, in inference: the same maps."""
    for node, batch_map in examination.inference.taps.items():
        single_maps = examination.inference.taps_singly[node]
        difference = np.abs(batch_map - single_maps).max() / max(np.abs(batch_map).max(), 1e-30)
        if not difference <= ROUNDING:  # also when it is no number
            raise ConformanceError(f"its tap {node!r} sees other pictures of the batch in "
                                   f"inference: a picture's map differs by {difference:.1%} from "
                                   f"that of the picture alone")


def detections_in_range(examination: Examination) -> None:
    """Check that there are detections, with classes below C, and scores and boxes in 0..1."""
    detections = examination.inference.detections
    rows = detections[detections[..., 0] >= 0]
    classes, scores, boxes = rows[:, 0], rows[:, 1], rows[:, 2:]
    count = examination.detector.plan.num_classes
    if not len(rows):
        raise ConformanceError("its detector finds nothing at all from random weights, where it "
                               "should find nonsense: its scores are not finite")
    if not set(classes) <= set(range(count)):
        raise ConformanceError(f"its detector finds class {max(classes):g}, but there are {count}, "
                               f"numbered from 0")
    if not ((scores > 0) & (scores <= 1)).all():
        raise ConformanceError("its detections have scores outside 0..1")
    if not ((boxes >= 0) & (boxes <= 1)).all() or not (boxes[:, :2] <= boxes[:, 2:]).all():
        raise ConformanceError("its detections have boxes outside the image, or with sides turned "
                               "round")


def exports_the_same(examination: Examination) -> None:
    """Write the detector as ONNX, and compare what ONNX Runtime detects with what MXNet does."""
    from ssdreg_runtime.backends import installed, open_backend
    from ssdreg_runtime.system.installing import install

    from ssdreg.deploy.executor import Inference
    from ssdreg.exporting import Options, to_onnx
    from ssdreg.mx import mx
    deploy_model = examination.deploy_model
    images = noise_images(deploy_model.plan)
    onnx_model = to_onnx(deploy_model, Options(batch=len(images))).SerializeToString()
    if EXPORT_BACKEND not in installed():
        raise UnexaminedError(f"it can be written as ONNX, but not run here: the package "
                              f"{EXPORT_BACKEND} is not installed; run `{install(EXPORT_BACKEND)}`")
    executor = Inference(deploy_model.symbol, deploy_model.params, len(images),
                         deploy_model.plan.data_shape)
    parity = compare(executor.detect(mx.nd.array(examination.images)),
                     open_backend(onnx_model, EXPORT_BACKEND).run(images),
                     deploy_model.post_processing)
    if not parity.equal:
        raise ConformanceError(f"written as ONNX it detects otherwise: {parity.mismatches} of "
                               f"{parity.boxes} boxes differ; {parity.sentences[0]}")


SYMBOL = Check("symbol", "the symbol is the same when it is built again", same_symbol)
QUIET = Check("quiet", "building it prints nothing and touches no global state", builds_quietly,
              (SYMBOL,))
TAPS = Check("taps", "the taps are the ends of all stages at five input sizes", taps_end_stages,
             (SYMBOL,))
COVERAGE = Check("coverage", "detection uses most of the weights, or the backbone says why not",
                 weights_are_used, (TAPS,))
DECLARED = Check("declared", "channels and strides are as declared", declared_is_true, (TAPS,))
FAMILY = Check("family", "the deeper of a family has more parameters", deeper_is_larger, (SYMBOL,))
FORWARD = Check("forward", "values are finite and float32, in training and in inference",
                forward_is_finite, (DECLARED,))
TRAINING = Check("training", "one step moves all that leads to the taps, nothing else is there",
                 training_moves, (FORWARD,))
# of the parameters behind a step, and no file is read that holds some that are not finite
FILES = Check("files", "symbol and parameters survive being saved and loaded", files_round_trip,
              (TRAINING,))
BATCH = Check("batch", "a batch of three equals three batches of one", batch_is_its_pictures,
              (FORWARD,))
DETECTIONS = Check("detections", "detections have real classes, and scores and boxes in 0..1",
                   detections_in_range, (FORWARD,))
EXPORT = Check("export", "as ONNX, on ONNX Runtime, it detects the same", exports_the_same,
               (TRAINING, FILES, BATCH, DETECTIONS))

#: What is found out of a symbol alone, without a computation.
GRAPH_CHECKS = (SYMBOL, QUIET, TAPS, COVERAGE, DECLARED, FAMILY)
HEAD_CHECKS = (FORWARD, TRAINING, FILES, BATCH, DETECTIONS, EXPORT)
BACKBONE_CHECKS = (*GRAPH_CHECKS, *HEAD_CHECKS)


def checks_for(subject: AnySubject) -> tuple[Check, ...]:
    """Return the checks of a subject, in the order to run them."""
    if isinstance(subject, FormatSubject):
        return FORMAT_CHECKS
    if isinstance(subject, EngineSubject):
        return ENGINE_CHECKS
    return BACKBONE_CHECKS if subject.head is None else HEAD_CHECKS


def open_examination(subject: AnySubject) -> Verdicts:
    """Return the examination that the checks of a subject are made in."""
    if isinstance(subject, FormatSubject):
        return FormatExamination(subject)
    return (EngineExamination(subject) if isinstance(subject, EngineSubject)
            else Examination(subject))
