"""The examination of a distribution, subject by subject."""

from __future__ import annotations

from collections.abc import Iterator

from ssdreg.testing.checks import checks_for, open_examination
from ssdreg.testing.package import PACKAGE_CHECKS, Package
from ssdreg.testing.verdict import Verdict


def examine(package: Package) -> Iterator[tuple[Verdict, ...]]:
    """Yield the verdicts on a distribution itself, then those on each of its subjects."""
    yield tuple(package.verdict(check) for check in PACKAGE_CHECKS)
    for subject in package.subjects:
        examination = open_examination(subject)
        yield tuple(examination.verdict(check) for check in checks_for(subject))
