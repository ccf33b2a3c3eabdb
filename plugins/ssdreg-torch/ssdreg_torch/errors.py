"""What this plug-in raises."""

from __future__ import annotations

from ssdreg.errors import SsdregError


class TranslationError(SsdregError):
    """A symbol holds what PyTorch has no translation for, or its parameters do not fit it."""
