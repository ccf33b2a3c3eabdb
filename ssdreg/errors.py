"""What ssdreg raises when its input is wrong: a clear sentence each, shown by the CLI as it is."""

from __future__ import annotations

# the base, and what the runtime raises too, which knows nothing of ssdreg
from ssdreg_runtime.errors import (
    CacheError,
    ClusterError,
    DataError,
    DependencyError,
    ModelError,
    SsdregError,
    StorageError,
)

__all__ = ["AuditError", "BenchError", "CacheError", "CheckpointWarning", "ClusterError",
           "ConformanceError",
           "DataError", "DependencyError", "DetectorWarning", "DivergedError", "ExportError",
           "InputShapeError", "Interrupted", "LaunchError", "ModelError", "NewPluginError",
           "PlanError", "PluginError", "PluginWarning", "RunError", "SsdregError", "SsdregWarning",
           "StorageError", "TapError", "UnexaminedError", "UnknownNameError", "WeightsError"]


class TapError(SsdregError, ValueError):
    """The taps of a backbone are not the ends of its stages; the message lists every complaint.

    `coverage` is the share of the backbone's weights, 0..1, that the refused taps use; None where
    they lose none, or it is not known.
    """

    def __init__(self, message: str, coverage: float | None = None) -> None:
        super().__init__(message)
        self.coverage = coverage


class InputShapeError(TapError):
    """A backbone does not accept an input of this size; `node` is where it gives up, if known."""

    def __init__(self, message: str, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class PlanError(SsdregError, ValueError):
    """A detector cannot be planned from this backbone, input shape and these overrides."""


class UnknownNameError(SsdregError, LookupError):
    """No backbone or head has this name; the message lists close matches."""


class RunError(SsdregError, ValueError):
    """A run folder, checkpoint or parameter file cannot be read or used."""


class DivergedError(RunError):
    """The loss of a training is not a number any more; the message says where, and why likely."""


class WeightsError(SsdregError, ValueError):
    """Weights cannot be found, fetched or read, or do not fit the backbone."""


class AuditError(SsdregError, ValueError):
    """What was given to be audited cannot be read."""


class ExportError(SsdregError, ValueError):
    """A network cannot be written in this format; the message names the operator and its node."""


class PluginError(SsdregError, RuntimeError):
    """A plug-in failed, is disabled or cannot be registered; the cause is chained."""


class NewPluginError(SsdregError, ValueError):
    """A package for a plug-in cannot be written under this name, or at this place."""


class ConformanceError(SsdregError):
    """A plug-in does not do what it promises, or there is nothing of it to examine.

    Raised by a check; the message goes on where the name of what was examined stands.
    """


class UnexaminedError(SsdregError):
    """What a check looks with is not installed here; the message names it, and how to get it."""


class BenchError(SsdregError, RuntimeError):
    """Something could not be measured; the message names what, and why."""


class LaunchError(SsdregError, RuntimeError):
    """Processes cannot be started together, or one of them has ended; the message shows its log."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, has stopped, and where it stands is saved."""


class SsdregWarning(UserWarning):
    """What ssdreg warns of: a clear sentence each, shown by the CLI as it is."""


class PluginWarning(SsdregWarning):
    """A plug-in could not be loaded or used; everything else goes on without it."""


class DetectorWarning(SsdregWarning):
    """A detector can be built as it was asked for, and will detect less than it might.

    It leaves a good part of its backbone unused, or its input is too small for its levels.
    """


class CheckpointWarning(SsdregWarning):
    """A checkpoint was read, but something about it should be known before it is used."""
