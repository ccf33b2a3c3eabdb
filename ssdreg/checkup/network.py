"""The network of a run: are its symbols those of its plan, and its taps the ends of stages?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ssdreg.checkpoints.loading import verified
from ssdreg.checkup.finding import Finding
from ssdreg.detector.plan import OWN_HEAD
from ssdreg.errors import (
    DetectorWarning,
    PlanError,
    PluginError,
    RunError,
    UnknownNameError,
)
from ssdreg.quantization.mxnet.run import FILE as QUANTIZED
from ssdreg.runs.run import PREFIX, Run, write_symbol
from ssdreg.training.network import Network, network_of_plan

if TYPE_CHECKING:
    from ssdreg.mx import mx


def symbols(run: Run) -> Iterator[Finding]:
    """Find symbols that are missing, damaged, or not what the plan says."""
    built = _built(run)
    for name in ("deploy",) if (run.path / QUANTIZED).is_file() else ("deploy", PREFIX):
        file = f"{name}-symbol.json"
        right = None if built is None else built.deploy if name == "deploy" else built.train
        repair = "" if right is None else "it is built from the plan and written anew"
        mend = None if right is None else partial(write_symbol, run, name, right)
        try:
            symbol = run.load_symbol(name)
        except RunError as error:
            yield Finding(file, str(error), repair, mend=mend)
            continue
        wrong = _wrong(run, symbol) if name == "deploy" else ""
        if not wrong and right is not None and right.list_arguments() != symbol.list_arguments():
            wrong = "its parameters are not those of the network that the plan says"
        if wrong:
            yield Finding(file, wrong, repair, mend=mend)


def taps(run: Run) -> Iterator[Finding]:
    """Find taps that are not the ends of their stages, on the graph itself."""
    try:
        _, complaint = verified(run.plan, run.load_symbol(), str(run.path))
    except RunError:  # the symbol cannot be read, which is found elsewhere
        return
    if complaint:
        yield Finding(run.config_file.name, f"taps are not the ends of their stages: {complaint}")


def _built(run: Run) -> Network | None:
    """Build the network of a plan anew; None where it is not one that is built here."""
    if run.plan.head == OWN_HEAD or (run.path / QUANTIZED).is_file():
        return None
    try:
        with warnings.catch_warnings():
            # it was said when it was trained
            warnings.simplefilter("ignore", DetectorWarning)
            return network_of_plan(run.plan, run.plan.num_classes)
    except (UnknownNameError, PluginError, PlanError):  # a plug-in that is not installed here
        return None


def _wrong(run: Run, symbol: mx.sym.Symbol) -> str:
    """Say what contradicts the plan in a symbol that detects; "" for nothing."""
    from ssdreg.mx import mx
    plan = run.plan
    try:
        _, shapes, _ = symbol.infer_shape(data=(1, 3, *plan.data_shape))
    except mx.MXNetError:
        return f"it does not take an input of {plan.data_shape[0]}x{plan.data_shape[1]}"
    anchors = shapes[0][1] if shapes and len(shapes[0]) == 3 else None
    if anchors != plan.anchors:
        return f"it has {anchors} anchors, and the plan {plan.anchors}"
    return ""
