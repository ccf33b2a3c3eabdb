"""Detectors that somebody else trained, opened by the names they are declared under."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ssdreg.detector.build import design
from ssdreg.detector.overrides import Overrides
from ssdreg.detector.plan import Plan
from ssdreg.errors import PluginError, WeightsError
from ssdreg.graph.symbol import read_graph
from ssdreg.progress import Progress
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.names import find_detector
from ssdreg.runs.params import Params
from ssdreg.weights.fetching import fetch
from ssdreg.weights.loading import complaints_about, mapped, sorted_params

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False)
class PretrainedDetector:
    """A detector somebody trained: its numbers, its symbols, its parameters.

    `deploy` and `train` are what `ssdreg.build` makes in these modes.
    """

    declared: DetectorWeights
    plan: Plan
    deploy: mx.sym.Symbol
    train: mx.sym.Symbol
    params: Params


def named_detector(path: str | os.PathLike[str]) -> DetectorWeights | None:
    """Return the detector that a text names; None where it is a file or folder, or no such name.

    What is on disk goes first: a folder may be called as a detector is.
    """
    text = os.fspath(path)
    if os.path.lexists(text):
        return None
    return find_detector(text)


def open_pretrained(declared: DetectorWeights, *, progress: Progress | None = None
                    ) -> PretrainedDetector:
    """Open a declared detector, its weights fetched if need be.

    Raises WeightsError when they cannot be fetched or read, or do not fit, and PluginError when the
    declaration speaks of a network that cannot be built.
    """
    file = fetch(declared, progress=progress)
    return _of_checkpoint(declared, file) if not declared.backbone else _of_plan(declared, file)


def _of_plan(declared: DetectorWeights, file: Path) -> PretrainedDetector:
    """Build the network that is declared, and take its parameters from the file."""
    assert declared.data_shape is not None  # as a declaration with a backbone has it
    settings: dict[str, Any] = {"preprocessing": declared.preprocessing, **dict(declared.settings)}
    try:
        overrides = Overrides(**settings)
    except TypeError as error:
        raise PluginError(f"the detector {declared.name} cannot be built: its settings are no "
                          f"arguments of ssdreg.plan ({error})") from error
    with warnings.catch_warnings():
        # what a published detector leaves unused of its backbone was decided long ago
        warnings.simplefilter("ignore")
        designed = design(declared.backbone, len(declared.classes), declared.data_shape,
                          declared.head, overrides)
        designed.verify()
    deploy = designed.symbol("deploy")
    arrays = mapped(declared, file)
    shapes = read_graph(deploy, declared.data_shape).parameters()
    complaints = complaints_about(arrays, shapes, set(shapes), "detector")
    if complaints:
        raise WeightsError(f"the weights {declared.title} in {file} do not fit the detector: "
                           f"they {complaints}")
    return PretrainedDetector(declared, designed.plan, deploy, designed.symbol("train"),
                              sorted_params(arrays, deploy))


def _of_checkpoint(declared: DetectorWeights, file: Path) -> PretrainedDetector:
    """Read a checkpoint that says itself what its network is; warn where its taps are wrong."""
    from ssdreg.checkpoints import load_checkpoint
    checkpoint = load_checkpoint(file, classes=declared.classes,
                                 preprocessing=declared.preprocessing)
    if checkpoint.params is None:
        raise WeightsError(f"{file} is a symbol without parameters: the weights {declared.title} "
                           f"must be a file of parameters")
    return PretrainedDetector(declared, checkpoint.plan, checkpoint.symbol,
                              checkpoint.train_symbol, checkpoint.params)
