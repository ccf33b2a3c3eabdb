"""The exceptions for bad input: each message is a sentence that the command line prints."""

from __future__ import annotations


class SsdregError(Exception):
    """Base of every error that the user can correct.

    The message says what is wrong, where, and what to do. The command line prints it without a
    traceback and exits with status 2.
    """


class DataError(SsdregError, ValueError):
    """An image, a video or a data set cannot be read or used."""


class ModelError(SsdregError, ValueError):
    """A file is no detector, or not one that this backend can run."""


class DependencyError(SsdregError, ImportError):
    """A package that is needed is missing, or of a version that cannot be used."""


class CacheError(SsdregError, OSError):
    """There is no folder for a cache that can be written."""


class StorageError(SsdregError, OSError):
    """A file cannot be written: its disk is full, or does not let itself be written to.

    `errno` and `strerror` are those of `cause`, what the system said.
    """

    def __init__(self, message: str, cause: OSError | None = None) -> None:
        super().__init__(message)
        if cause is not None:
            self.errno, self.strerror = cause.errno, cause.strerror

    def __str__(self) -> str:
        return str(self.args[0])


class ClusterError(SsdregError, RuntimeError):
    """A cluster cannot be reached, or lost what was running on it."""
