"""What ssdreg raises when its input is wrong: a clear sentence each, shown by the CLI as it is."""

from __future__ import annotations

# the base, and what the runtime raises too, which knows nothing of ssdreg
from ssdreg_runtime.errors import CacheError, DataError, DependencyError, ModelError, SsdregError

__all__ = ["AuditError", "CacheError", "DataError", "DependencyError", "ExportError",
           "InputShapeError", "ModelError", "PlanError", "PluginError", "RunError", "SsdregError",
           "SsdregWarning", "TapError", "UnknownNameError", "WeightsError"]


class SsdregWarning(UserWarning):
    """What ssdreg warns of: a clear sentence each, shown by the CLI as it is."""


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


class WeightsError(SsdregError, ValueError):
    """Weights cannot be found, fetched or read, or do not fit the backbone."""


class AuditError(SsdregError, ValueError):
    """What was given to be audited cannot be read."""


class ExportError(SsdregError, ValueError):
    """A network cannot be written in this format; the message names the operator and its node."""


class PluginError(SsdregError, RuntimeError):
    """A plug-in failed, is disabled or cannot be registered; the cause is chained."""
