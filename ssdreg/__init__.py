"""SSD object detectors on Apache MXNet, with any backbone, as plug-ins.

    import ssdreg
    ssdreg.plan("resnet101").from_layers  # the ends of stages 3 and 4, and four levels behind
    symbol = ssdreg.build("resnet101", num_classes=20, data_shape=300)

Importing ssdreg does not import MXNet; the first symbol does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssdreg._version import __version__
from ssdreg.backbone import Backbone, Extra, Preset, StopsAt, Tap
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
from ssdreg.head import Head, PlanDefaults, Predictions
from ssdreg.hookspecs import hookimpl
from ssdreg.normalisation import Normalisation
from ssdreg.plugins import PluginWarning, get_backbone, get_head
from ssdreg.weights.declaration import Weights

if TYPE_CHECKING:
    from ssdreg_runtime.detections import Detections

    from ssdreg.assembly import assemble, build
    from ssdreg.declared import DetectorWarning, verify_backbone
    from ssdreg.detector import Detector
    from ssdreg.legacy import CheckpointWarning, load
    from ssdreg.planning import Level, Plan, plan
    from ssdreg.plugins import backbones, heads
    from ssdreg.stages import StageEnd
    from ssdreg.taps import Verification, find_taps, verify
    from ssdreg.weights.loading import load_weights
else:
    # packages that, called, are those functions
    from ssdreg import backbones, heads

#: What is imported when it is first asked for: a plug-in declares and `ssdreg list` lists without.
_LATER = {
    "CheckpointWarning": "ssdreg.legacy", "Detections": "ssdreg_runtime.detections",
    "Detector": "ssdreg.detector", "Level": "ssdreg.planning", "Plan": "ssdreg.planning",
    "DetectorWarning": "ssdreg.declared", "StageEnd": "ssdreg.stages",
    "Verification": "ssdreg.taps", "assemble": "ssdreg.assembly", "build": "ssdreg.assembly",
    "find_taps": "ssdreg.taps", "load": "ssdreg.legacy", "load_weights": "ssdreg.weights.loading",
    "plan": "ssdreg.planning", "verify": "ssdreg.taps", "verify_backbone": "ssdreg.declared",
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
    "Extra", "Head", "InputShapeError", "Level", "Normalisation", "Plan", "PlanDefaults",
    "PlanError", "PluginError", "PluginWarning", "Predictions", "Preset", "RunError", "SsdregError",
    "SsdregWarning", "StageEnd", "StopsAt", "Tap", "TapError", "UnknownNameError", "Verification",
    "Weights", "__version__", "assemble", "backbones", "build", "find_taps", "get_backbone",
    "get_head", "heads", "hookimpl", "load", "load_weights", "plan", "verify", "verify_backbone",
]
