"""The checks of a distribution as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from attrs import frozen

from ssdreg.errors import ConformanceError
from ssdreg.testing.distribution import subjects_of
from ssdreg.testing.subprocess import ProcessObservation, observe_build, observe_in_new_process
from ssdreg.testing.verdict import AnySubject, Subject, Verdict

#: Effects of importing other packages, which a plug-in can hardly avoid.
_IMPORT_EFFECTS = {"warnings.filters", "logging"}


class Package:
    """A distribution under examination; `names` are the patterns of :func:`subjects_of`.

    `subjects` are its backbones, heads, formats of data sets and engines; there are none where
    `issue` states why they are not known. Raises UnknownNameError as :func:`subjects_of` does.
    """

    title = "the package"

    def __init__(self, distribution: str, *names: str) -> None:
        self.distribution, self.names = distribution, names
        self.subjects: tuple[AnySubject, ...] = ()
        self.issue: str | None = None
        try:
            self.subjects = subjects_of(distribution, *names)
        except ConformanceError as error:
            self.issue = str(error)

    @cached_property
    def in_new_process(self) -> ProcessObservation:
        """The observation of the distribution in a new process."""
        return observe_in_new_process(self.distribution, *self.names)

    def verdict(self, check: PackageCheck) -> Verdict:
        """Return the verdict of a check."""
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
    """Check that listing its declarations in a new process has no effects, and imports no MXNet."""
    observation = package.in_new_process
    if observation.imports_mxnet:
        raise ConformanceError("importing it imports MXNet, which makes every command slow: "
                               "import it inside the functions that need it")
    _refuse_traces("importing it", observation.printed, observation.touched)


def same_elsewhere(package: Package) -> None:
    """Check that a new process builds the same symbols, without effects the first time too."""
    different = []
    for subject in package.subjects:
        if not isinstance(subject, Subject) or subject.head is not None:
            continue
        build = package.in_new_process.builds[subject.title]
        _refuse_traces(f"building {subject.title} for the first time", build.printed,
                       build.touched)
        if build.digest and build.digest != observe_build(subject.backbone).digest:
            different.append(subject.title)
    if different:
        raise ConformanceError(f"another process builds other symbols for {', '.join(different)}: "
                               f"names and settings must not follow the order of a set, or what "
                               f"was built before")


def _refuse_traces(action: str, printed: str, touched: Sequence[str]) -> None:
    if printed:
        raise ConformanceError(f"{action} prints {printed.splitlines()[0]!r}, into the output of "
                               f"whatever command does it")
    own_effects = [part for part in touched if part not in _IMPORT_EFFECTS]
    if own_effects:
        raise ConformanceError(f"{action} changes {' and '.join(own_effects)}, which belongs to "
                               f"the whole process; leave it as it was")


PACKAGE_CHECKS = (
    PackageCheck("import", "it declares without printing, touching state or importing MXNet",
                 imports_quietly),
    PackageCheck("elsewhere", "another process builds the same symbols, quietly", same_elsewhere),
)
