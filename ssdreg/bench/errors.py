"""What measuring raises."""

from __future__ import annotations

from ssdreg.errors import SsdregError


class BenchError(SsdregError, RuntimeError):
    """Something could not be measured; the message names what, and why."""
