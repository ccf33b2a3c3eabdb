"""What is promised of a distribution as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from attrs import frozen

from ssdreg.errors import ConformanceError
from ssdreg.testing.distribution import subjects_of
from ssdreg.testing.subprocess import Fresh, build, look
from ssdreg.testing.verdict import Subject, Verdict

#: What others' packages do when they are imported, and a plug-in can hardly help.
_THEIRS = {"warnings.filters", "logging"}


class Package:
    """A distribution under examination; `names` are the patterns of :func:`subjects_of`.

    `subjects` are the backbones and heads that it brings, none where `issue` says why it cannot
    be asked. Raises UnknownNameError as :func:`subjects_of` does.
    """

    title = "the package"

    def __init__(self, distribution: str, *names: str) -> None:
        self.distribution, self.names = distribution, names
        self.subjects: tuple[Subject, ...] = ()
        self.issue: str | None = None
        try:
            self.subjects = subjects_of(distribution, *names)
        except ConformanceError as error:
            self.issue = str(error)

    @cached_property
    def fresh(self) -> Fresh:
        """What a new process sees of it."""
        return look(self.distribution, *self.names)

    def verdict(self, check: PackageCheck) -> Verdict:
        """Return what a check finds."""
        issue = self.issue
        if issue is None:
            try:
                check.run(self)
            except ConformanceError as error:
                issue = str(error)
        return Verdict(self.distribution, self.title, check.name, issue)


@frozen
class PackageCheck:
    """One promise: `run` raises ConformanceError where it is broken."""

    name: str
    promise: str
    run: Callable[[Package], None]


def imports_quietly(package: Package) -> None:
    """Ask it, in a new process, what it brings: that must be quick and without a trace."""
    fresh = package.fresh
    if fresh.imports_mxnet:
        raise ConformanceError("importing it imports MXNet, which makes every command slow: "
                               "import it inside the functions that need it")
    _refuse_traces("importing it", fresh.printed, fresh.touched)


def same_elsewhere(package: Package) -> None:
    """Build every symbol in a new process: quietly the first time too, and the same symbol."""
    other = []
    for subject in package.subjects:
        if subject.head is not None:
            continue
        built = package.fresh.built[subject.title]
        _refuse_traces(f"building {subject.title} for the first time", built.printed,
                       built.touched)
        if built.digest and built.digest != build(subject.backbone).digest:
            other.append(subject.title)
    if other:
        raise ConformanceError(f"another process builds other symbols for {', '.join(other)}: "
                               f"names and settings must not follow the order of a set, or what "
                               f"was built before")


def _refuse_traces(action: str, printed: str, touched: Sequence[str]) -> None:
    if printed:
        raise ConformanceError(f"{action} prints {printed.splitlines()[0]!r}, into the output of "
                               f"whatever command does it")
    ours = [part for part in touched if part not in _THEIRS]
    if ours:
        raise ConformanceError(f"{action} changes {' and '.join(ours)}, which belongs to the whole "
                               f"process; leave it as it was")


PACKAGE_CHECKS = (
    PackageCheck("import", "it declares without printing, touching state or importing MXNet",
                 imports_quietly),
    PackageCheck("elsewhere", "another process builds the same symbols, quietly", same_elsewhere),
)
