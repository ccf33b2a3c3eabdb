"""What is wrong with weights, or with the way to them."""

from __future__ import annotations

from ssdreg.errors import SsdregError


class WeightsError(SsdregError, ValueError):
    """Weights cannot be found, fetched or read, or do not fit the backbone."""
