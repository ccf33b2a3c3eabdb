"""What is promised of every backbone and head: a plain function each, and the order of them."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ssdreg.detector.declaration import unused
from ssdreg.detector.families import SHAPES, by_sizes, family_issues, shapes_of
from ssdreg.errors import TapError
from ssdreg.export.parity import compare
from ssdreg.graph.nodes import Net
from ssdreg.registry.host import list_backbones
from ssdreg.registry.lazy_reference import resolve
from ssdreg.runs.params import read_params, write_params
from ssdreg.testing.examination import Check, Examination, one_line
from ssdreg.testing.gradients import unmoved
from ssdreg.testing.one_step import pixels
from ssdreg.testing.process_state import watch
from ssdreg.testing.verdict import ConformanceError, Subject, UnexaminedError

#: How far a batch's features may be from those of its pictures alone, as a share of the largest
#: of them: libraries add in another order for another batch size.
ROUNDING = 1e-3
#: What exported files are run by.
RUNTIME = "onnxruntime"


def same_symbol(seen: Examination) -> None:
    """Build the symbol twice: it must be the same."""
    try:
        first = seen.symbol.tojson()
        second = seen.subject.backbone.symbol().tojson()
    except Exception as error:  # a stranger's code may raise anything
        cause = error.__cause__ or error
        raise ConformanceError(f"its symbol cannot be built: {type(cause).__name__}: "
                               f"{one_line(cause)}") from error
    if first != second:
        one, other = _first_difference(first, second)
        raise ConformanceError(f"its symbol is another one when it is built again: {one!r} became "
                               f"{other!r}; names and settings must follow from the declaration "
                               f"alone, not from a counter or what was built before")


def _first_difference(first: str, second: str) -> tuple[str, str]:
    """Return the first lines that differ, without the punctuation of JSON."""
    pairs = zip(f"{first}\n(its end)".splitlines(), f"{second}\n(its end)".splitlines())
    one, other = next((one, other) for one, other in pairs if one != other)
    return one.strip(' ,"'), other.strip(' ,"')


def builds_quietly(seen: Examination) -> None:
    """Build the symbol once more: nothing is printed, no global state is touched."""
    from ssdreg.mx import mx
    backbone = seen.subject.backbone
    build, arguments = resolve(backbone.build), dict(backbone.arguments)
    with mx.name.NameManager():
        happened = watch(lambda: build(**arguments))
    if happened.printed:
        raise ConformanceError(f"building it prints {happened.printed.splitlines()[0]!r}; what a "
                               f"command prints must be the command's own")
    if happened.touched:
        raise ConformanceError(f"building it changes {' and '.join(happened.touched)}, which "
                               f"belongs to the whole process; leave it as it was")


def taps_end_stages(seen: Examination) -> None:
    """Verify on the graph, at five input sizes, that the taps are the ends of all stages."""
    found = dict.fromkeys(shapes_of(seen.backbone), "")
    for shape in found:
        try:
            seen.verified(shape)
        except TapError as error:
            found[shape] = one_line(error)
    _refuse(found)


def weights_are_used(seen: Examination) -> None:
    """Count what detection uses by default: most of the weights, or the backbone says why not."""
    _refuse({shape: unused(seen.backbone, seen.verified(shape))
             for shape in shapes_of(seen.backbone)})


def _refuse(found: Mapping[tuple[int, int], str]) -> None:
    """Raise ConformanceError with what was found at some input sizes, if anything was."""
    complaints = by_sizes(found)
    if complaints:
        raise ConformanceError("; ".join(complaints))


def declared_is_true(seen: Examination) -> None:
    """Compare declared channels and strides with the maps.

    A map's size need not be the input's over the stride, because of padding; but an input that
    is larger by some strides has a map that is larger by as many cells.
    """
    more = math.lcm(*(tap.stride for tap in seen.backbone.taps))
    small = SHAPES[-1]
    large = (small[0] + more, small[1] + more)
    graphs = [seen.built.at(shape).graph for shape in (small, large)]
    for tap in seen.backbone.taps:
        (channels, *before), (_, *after) = (
            graph.find(tap.node).shape[1:] for graph in graphs)  # type: ignore[union-attr]
        if channels != tap.channels:
            raise ConformanceError(f"its tap {tap.node!r} is declared with {tap.channels} "
                                   f"channels but has {channels}")
        if any(cells * tap.stride != more for cells in np.subtract(after, before)):
            raise ConformanceError(
                f"its tap {tap.node!r} is declared at stride {tap.stride}, but {more} more pixels "
                f"each way make its map {before[0]}x{before[1]} into {after[0]}x{after[1]}")


def deeper_is_larger(seen: Examination) -> None:
    """Compare with the registered members of its family: the deeper have more parameters."""
    backbone = seen.subject.backbone
    issues = family_issues(backbone, (each for each in list_backbones()
                                      if each.name != backbone.name))
    if issues:
        raise ConformanceError("; ".join(issues))


def forward_is_finite(seen: Examination) -> None:
    """Run forward, training and not: every tap's map is finite and float32."""
    names = Counter(seen.symbol.list_inputs())
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ConformanceError(f"several of its parameters are called {_some(twice)}, and MXNet "
                               f"knows them by name: share one variable, or name them apart")
    for mode, taps in (("training", seen.step.taps), ("inference", seen.inferred.taps)):
        for node, values in taps.items():
            if values.dtype != np.float32:
                raise ConformanceError(f"its tap {node!r} is {values.dtype} in {mode}; a detector "
                                       f"is float32 throughout")
            if not np.isfinite(values).all():
                raise ConformanceError(f"its tap {node!r} holds values that are not finite in "
                                       f"{mode}, from random weights")
    foreign = [f"{name!r} ({np.dtype(array.dtype)})"
               for name, array in {**seen.step.params.args, **seen.step.params.auxs}.items()
               if array.dtype != np.float32]
    if foreign:
        raise ConformanceError(f"its parameters {', '.join(foreign)} are not float32")


def training_moves(seen: Examination) -> None:
    """Look at one training step: what leads to the taps has moved, and nothing else is there."""
    lost = seen.step.lost
    if lost:
        raise ConformanceError(f"the gradients of {len(lost)} parameters are not finite in one "
                               f"training step, that of {lost[0]!r} among them")
    still = unmoved(seen.detector, seen.step.still, seen.subject.head)
    if still:
        raise ConformanceError(f"one training step does not move {_some(still)}: no gradient "
                               f"reaches what leads to the taps")
    strangers = [name for name in seen.step.params.args if name in seen.detector.behind]
    if strangers:
        raise ConformanceError(f"{_some(strangers)} of the backbone lead to no tap of the "
                               f"detector, but are parameters of it: the head uses their names")


def _some(names: list[str], most: int = 3) -> str:
    """List the first of many names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def files_round_trip(seen: Examination) -> None:
    """Save symbol and parameters, and load them: they are the same to the bit.

    Also where the plug-in is not: a symbol of MXNet's own operators is.
    """
    from ssdreg.mx import mx
    params, symbol = seen.step.params, seen.detector.deploy
    custom = [node.name for node in Net.of(seen.symbol).nodes if node.op == "Custom"]
    if custom:
        raise ConformanceError(f"its node {custom[0]!r} is an operator written in Python: a saved "
                               f"detector is of no use where the plug-in has not been imported")
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
            one, other = _first_difference(symbol.tojson(), loaded.tojson())
            raise ConformanceError(f"its symbol is another one when it is saved and loaded: "
                                   f"{one!r} became {other!r}")
        file = Path(folder, "ssd-0001.params")
        write_params(file, params)
        again = read_params(file)
    for before, after in ((params.args, again.args), (params.auxs, again.auxs)):
        if before.keys() != after.keys():
            names = sorted(before.keys() ^ after.keys())
            raise ConformanceError(f"its parameters are called otherwise when they are saved and "
                                   f"loaded: {_some(names)}")
        for name, array in before.items():
            if array.asnumpy().tobytes() != after[name].asnumpy().tobytes():
                raise ConformanceError(f"its parameter {name!r} is another one when it is saved "
                                       f"and loaded")


def batch_is_its_pictures(seen: Examination) -> None:
    """Compare a batch of three with three batches of one, in inference: the same maps."""
    for node, together in seen.inferred.taps.items():
        singly = seen.inferred.taps_singly[node]
        apart = np.abs(together - singly).max() / max(np.abs(together).max(), 1e-30)
        if not apart <= ROUNDING:  # also when it is no number
            raise ConformanceError(f"its tap {node!r} sees other pictures of the batch in "
                                   f"inference: a picture's map differs by {apart:.1%} from that "
                                   f"of the picture alone")


def detections_in_range(seen: Examination) -> None:
    """Look at the detections: real classes, scores and boxes in 0..1, and some of them."""
    found = seen.inferred.detections
    rows = found[found[..., 0] >= 0]
    classes, scores, boxes = rows[:, 0], rows[:, 1], rows[:, 2:]
    count = seen.detector.plan.num_classes
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


def exports_the_same(seen: Examination) -> None:
    """Write the detector as ONNX, and compare what ONNX Runtime detects with what MXNet does."""
    from ssdreg_runtime.backends import installed, open_backend
    from ssdreg_runtime.system.installing import install

    from ssdreg.deploy.executor import Inference
    from ssdreg.export import Options, to_onnx
    from ssdreg.mx import mx
    source = seen.deployed
    images = pixels(source.plan)
    model = to_onnx(source, Options(batch=len(images))).SerializeToString()
    if RUNTIME not in installed():
        raise UnexaminedError(f"it can be written as ONNX, but not run here: the package {RUNTIME} "
                              f"is not installed; run `{install(RUNTIME)}`")
    bound = Inference(source.symbol, source.params, len(images), source.plan.data_shape)
    found = compare(bound.detect(mx.nd.array(seen.pictures)),
                    open_backend(model, RUNTIME).run(images), source.post_processing)
    if not found.equal:
        raise ConformanceError(f"written as ONNX it detects otherwise: {found.mismatches} of "
                               f"{found.boxes} boxes differ; {found.sentences[0]}")


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
FILES = Check("files", "symbol and parameters survive being saved and loaded", files_round_trip,
              (FORWARD,))
BATCH = Check("batch", "a batch of three equals three batches of one", batch_is_its_pictures,
              (FORWARD,))
DETECTIONS = Check("detections", "detections have real classes, and scores and boxes in 0..1",
                   detections_in_range, (FORWARD,))
EXPORT = Check("export", "as ONNX, on ONNX Runtime, it detects the same", exports_the_same,
               (TRAINING, FILES, BATCH, DETECTIONS))

HEAD_CHECKS = (FORWARD, TRAINING, FILES, BATCH, DETECTIONS, EXPORT)
BACKBONE_CHECKS = (SYMBOL, QUIET, TAPS, COVERAGE, DECLARED, FAMILY, *HEAD_CHECKS)


def checks_for(subject: Subject) -> tuple[Check, ...]:
    """Return the checks that are about this subject, in the order to run them."""
    return BACKBONE_CHECKS if subject.head is None else HEAD_CHECKS
