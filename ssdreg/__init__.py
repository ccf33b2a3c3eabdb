"""SSD object detectors on Apache MXNet, with any backbone, as plug-ins.

    import ssdreg
    ssdreg.plan("resnet101").from_layers  # the ends of stages 3 and 4, and four levels behind
    symbol = ssdreg.build("resnet101", num_classes=20, data_shape=300)

Importing ssdreg does not import MXNet; the first symbol does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssdreg._version import __version__
from ssdreg.errors import (
    DataError,
    InputShapeError,
    PlanError,
    PluginError,
    RunError,
    SsdregError,
    SsdregWarning,
    TapError,
    UnknownNameError,
)
from ssdreg.registry.backbone import Backbone, Extra, Preset, StopsAt, Tap
from ssdreg.registry.head import Head, PlanDefaults, Predictions
from ssdreg.registry.hookspecs import hookimpl
from ssdreg.registry.host import (
    get_backbone,
    get_head,
    list_backbones,
    list_heads,
    list_weights,
    register,
)
from ssdreg.registry.issues import PluginWarning
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.registry.weights import Weights

if TYPE_CHECKING:
    from ssdreg_runtime.boxes.detections import Detections

    from ssdreg.checkpoints import CheckpointWarning, load_checkpoint
    from ssdreg.detector.build import assemble, build, plan
    from ssdreg.detector.declaration import DetectorWarning, verify_backbone
    from ssdreg.detector.plan import Level, Plan
    from ssdreg.graph.stages import StageEnd
    from ssdreg.graph.taps import Verification, find_taps, verify
    from ssdreg.inference.detector import Detector
    from ssdreg.weights.loading import load_weights

#: What is imported when it is first asked for: a plug-in declares and `ssdreg list` lists without.
_LATER = {
    "CheckpointWarning": "ssdreg.checkpoints",
    "Detections": "ssdreg_runtime.boxes.detections",
    "Detector": "ssdreg.inference.detector",
    "DetectorWarning": "ssdreg.detector.declaration",
    "Level": "ssdreg.detector.plan",
    "Plan": "ssdreg.detector.plan",
    "StageEnd": "ssdreg.graph.stages",
    "Verification": "ssdreg.graph.taps",
    "assemble": "ssdreg.detector.build",
    "build": "ssdreg.detector.build",
    "find_taps": "ssdreg.graph.taps",
    "load_checkpoint": "ssdreg.checkpoints",
    "load_weights": "ssdreg.weights.loading",
    "plan": "ssdreg.detector.build",
    "verify": "ssdreg.graph.taps",
    "verify_backbone": "ssdreg.detector.declaration",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'ssdreg' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "Backbone", "CheckpointWarning", "DataError", "Detections", "Detector", "DetectorWarning",
    "Extra", "Head", "InputShapeError", "Level", "Plan", "PlanDefaults", "PlanError", "PluginError",
    "PluginWarning", "Predictions", "Preprocessing", "Preset", "RunError", "SsdregError",
    "SsdregWarning", "StageEnd", "StopsAt", "Tap", "TapError", "UnknownNameError", "Verification",
    "Weights", "__version__", "assemble", "build", "find_taps", "get_backbone", "get_head",
    "hookimpl", "list_backbones", "list_heads", "list_weights", "load_checkpoint", "load_weights",
    "plan", "register", "verify", "verify_backbone",
]
