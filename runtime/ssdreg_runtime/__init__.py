"""Run SSD detectors that ssdreg exported: ONNX Runtime or OpenVINO, no MXNet.

    from ssdreg_runtime import Detector
    for detections in Detector("cells.onnx").detect(["one.jpg", "two.jpg"]):
        print(detections.names, detections.scores, detections.xyxy)

Importing this package imports neither runtime, nor NumPy or Pillow; the first detector does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssdreg_runtime._version import __version__
from ssdreg_runtime.errors import (
    ClusterError,
    DataError,
    DependencyError,
    ModelError,
    SsdregError,
)

if TYPE_CHECKING:
    from ssdreg_runtime.boxes.detections import Detections
    from ssdreg_runtime.inference.detector import Detector
    from ssdreg_runtime.inference.streams import stream
    from ssdreg_runtime.many.job import detect_many

#: Public names by module, imported on first access: ssdreg's commands need the errors only.
_LAZY_IMPORTS = {
    "Detections": "ssdreg_runtime.boxes.detections",
    "Detector": "ssdreg_runtime.inference.detector",
    "detect_many": "ssdreg_runtime.many.job",
    "stream": "ssdreg_runtime.inference.streams",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module 'ssdreg_runtime' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY_IMPORTS[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_IMPORTS})


__all__ = ["ClusterError", "DataError", "DependencyError", "Detections", "Detector", "ModelError",
           "SsdregError", "__version__", "detect_many", "stream"]
