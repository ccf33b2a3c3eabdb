"""What is raised when input is wrong: a clear sentence each, shown by the command line as it is."""

from __future__ import annotations


class SsdregError(Exception):
    """Base of every error that the user, not ssdreg, can mend.

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
    """There is no folder that anything could be kept in."""
