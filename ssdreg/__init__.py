"""SSD object detectors on Apache MXNet, with any backbone, as plug-ins.

    import ssdreg
    ssdreg.plan("resnet101").from_layers  # the ends of stages 3 and 4, and four levels behind
    symbol = ssdreg.build("resnet101", num_classes=20, data_shape=300)

Importing ssdreg does not import MXNet; the first symbol does.
"""

from typing import TYPE_CHECKING

from ssdreg._version import __version__
from ssdreg.assembly import assemble, build
from ssdreg.backbone import Backbone, Extra, Preset, Tap
from ssdreg.errors import (
    DataError,
    InputShapeError,
    PlanError,
    RunError,
    SsdregError,
    TapError,
    UnknownNameError,
)
from ssdreg.head import Head, Predictions
from ssdreg.hookspecs import hookimpl
from ssdreg.legacy import CheckpointWarning, load
from ssdreg.normalisation import Normalisation
from ssdreg.planning import Level, Plan, plan
from ssdreg.plugins import PluginWarning, get_backbone, get_head
from ssdreg.stages import StageEnd
from ssdreg.taps import Verification, find_taps, verify
from ssdreg.weights.declaration import Weights
from ssdreg.weights.loading import load_weights

if TYPE_CHECKING:
    from ssdreg.plugins import backbones, heads
else:
    # packages that, called, are those functions
    from ssdreg import backbones, heads

__all__ = [
    "Backbone", "CheckpointWarning", "DataError", "Extra", "Head", "InputShapeError", "Level",
    "Normalisation", "Plan", "PlanError", "PluginWarning", "Predictions", "Preset", "RunError",
    "SsdregError", "StageEnd", "Tap", "TapError", "UnknownNameError", "Verification", "Weights",
    "__version__", "assemble", "backbones", "build", "find_taps", "get_backbone", "get_head",
    "heads", "hookimpl", "load", "load_weights", "plan", "verify",
]
