"""Run SSD detectors that ssdreg exported: ONNX Runtime or OpenVINO, no MXNet.

    from ssdreg_runtime import Detector
    for found in Detector("cells.onnx").detect(["one.jpg", "two.jpg"]):
        print(found.names, found.scores, found.xyxy)

Importing it imports neither of them; the first detector does.
"""

from ssdreg_runtime._version import __version__
from ssdreg_runtime.errors import DataError, DependencyError, ModelError, SsdregError

__all__ = ["DataError", "DependencyError", "ModelError", "SsdregError", "__version__"]
