"""Packages that report home when they are imported, imported without that.

OpenVINO and NNCF bring ``openvino-telemetry``, which sends usage data to Google Analytics unless
the user has opted out, and keeps an identifier in the home folder: OpenVINO as soon as it is
imported. A detector should not do that behind its user's back. The package asks once, when it
is first set up, and takes an answer for the process; in continuous integration it takes "no".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

#: What the package looks at; any other place to say no lies in the user's home.
_VARIABLE = "CI"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Let packages that are imported inside send nothing, and write nothing to the home folder.

    What was imported before keeps its way.
    """
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
