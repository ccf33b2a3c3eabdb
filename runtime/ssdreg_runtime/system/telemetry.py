"""Imports of packages that send telemetry, without the telemetry.

OpenVINO and NNCF bring ``openvino-telemetry``, which sends usage data to Google Analytics unless
the user has opted out, and keeps an identifier in the home folder: OpenVINO as soon as it is
imported. So does ONNX Runtime from 1.32 on, by code of its own that reports to Microsoft. A
detector should not do that unasked. ONNX Runtime reads its setting once, when it is imported. The
package ``openvino-telemetry`` is hidden from the others, which do without it then: its setting is
read anew in each conversion, and it sends from a fork of the process, which with MXNet's threads in
it hangs for ever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ssdreg_runtime.system.caches import home, temporary_folder

#: OpenVINO and NNCF import it where it is there, and send through it.
_SENDER = "openvino_telemetry"
#: The variables that the packages read. OpenVINO's other opt-out is a file in the user's home.
_SETTINGS = {"CI": "true", "ORT_DISABLE_TELEMETRY": "1"}
#: The usual home of accounts without a home folder.
_NO_HOME = "/nonexistent"
_MATPLOTLIB_FOLDER = "MPLCONFIGDIR"


def _settings_without_home() -> dict[str, str]:
    """Return the environment variables for accounts without a home folder.

    Older releases of NNCF import matplotlib, which complains where it finds no folder.
    """
    folder = None if os.environ.get(_MATPLOTLIB_FOLDER) else temporary_folder("matplotlib")
    return {"HOME": _NO_HOME, **({_MATPLOTLIB_FOLDER: str(folder)} if folder else {})}


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Let packages that are imported inside send nothing, and write nothing to the home folder.

    They also look up paths in the home folder, and fail where there is none: then ``HOME`` is set
    to a folder that does not exist. A package that was imported before keeps its setting.
    """
    # None makes an import fail; it stays, since what is imported here sends later on too
    sys.modules.setdefault(_SENDER, None)  # type: ignore[arg-type]
    settings = {**_SETTINGS, **({} if home() else _settings_without_home())}
    saved = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
