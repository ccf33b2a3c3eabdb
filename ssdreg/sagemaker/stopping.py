"""When training ends early, by the built-in algorithm's rule."""

from __future__ import annotations

from collections.abc import Iterable

from ssdreg.runs.log import Epoch, validated
from ssdreg.sagemaker.hyperparameters import Settings


def has_ended(settings: Settings, epochs: Iterable[Epoch]) -> bool:
    """Tell whether the mAP of validation got no better for as long as the settings wait.

    An epoch is better where its mAP is above the best one before it by more than the tolerance, a
    share of that.
    """
    entries = validated(epochs)
    if not settings.early_stopping or not entries:
        return False
    best, waited = -1.0, 0
    for entry in entries:
        # the first is better than none; shares of nothing are nothing
        if best < 0 or entry.map > best + settings.early_stopping_tolerance * best:
            best, waited = entry.map, 0
        else:
            waited += 1
    return (waited >= settings.early_stopping_patience
            and entries[-1].epoch >= settings.early_stopping_min_epochs)
