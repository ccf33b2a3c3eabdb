"""Packages that report home when they are imported, imported without that.

OpenVINO and NNCF bring ``openvino-telemetry``, which sends usage data to Google Analytics unless
the user has opted out, and keeps an identifier in the home folder: OpenVINO as soon as it is
imported. So does ONNX Runtime from 1.32 on, by code of its own that reports to Microsoft. A
detector should not do that behind its user's back. Both ask once, when they are first set up, and
take an answer for the process; in continuous integration they take "no".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ssdreg_runtime.system.caches import home, temporary

#: What the packages look at. OpenVINO's has no other place to say no but one in the user's home.
_SETTINGS = {"CI": "true", "ORT_DISABLE_TELEMETRY": "1"}
#: What accounts without a home folder are given by custom.
_NO_HOME = "/nonexistent"
_FOLDER = "MPLCONFIGDIR"


def _without_home() -> dict[str, str]:
    """Return what accounts without a home folder are given.

    Older releases of NNCF import matplotlib, which complains where it finds no folder.
    """
    folder = None if os.environ.get(_FOLDER) else temporary("matplotlib")
    return {"HOME": _NO_HOME, **({_FOLDER: str(folder)} if folder else {})}


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Let packages that are imported inside send nothing, and write nothing to the home folder.

    They also work out names in the home folder, and fail where there is none: then one is named
    that does not exist. What was imported before keeps its way.
    """
    settings = {**_SETTINGS, **({} if home() else _without_home())}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
