"""Conformance as pytest items: one for each subject and check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Union

from ssdreg.compat.mxnet_package import require
from ssdreg.testing.checks import GRAPH_CHECKS, checks_for, open_examination
from ssdreg.testing.distribution import subjects_of
from ssdreg.testing.examination import Check, Verdicts
from ssdreg.testing.package import PACKAGE_CHECKS, Package, PackageCheck
from ssdreg.testing.verdict import AnySubject, Verdict

Case = tuple[Union[AnySubject, Package], Union[Check, PackageCheck]]


def conformance(distribution: str, *names: str, graph_only: Sequence[str] = ()
                ) -> Callable[..., None]:
    """Return the test of a distribution's plug-ins; give it a name that begins with ``test``.

    `names`, shell patterns, select subjects of a large distribution. Backbones that a pattern of
    `graph_only` matches are built and verified, and not run: for the deeper ones of a family, which
    the same code makes of the same operators as the shallower ones that are examined as a whole.
    The items come backbone by backbone, and share an examination in that order.

    Raises UnknownNameError when no such distribution is installed, or it brings nothing so called;
    DependencyError without MXNet.
    """
    import pytest  # imported here, since only test files need it
    require()  # once, instead of by every item
    package = Package(distribution, *names)
    shortened = subjects_of(distribution, *graph_only) if graph_only else ()
    cases: list[Case] = [(package, check) for check in PACKAGE_CHECKS]
    cases += [(subject, check) for subject in package.subjects
              for check in (GRAPH_CHECKS if subject in shortened else checks_for(subject))]
    examine = lru_cache(maxsize=1)(open_examination)  # the last one only, since a network is large

    @pytest.mark.parametrize(("subject", "check"), cases, ids=[
        f"{subject.title.replace(' ', '-')}-{check.name}" for subject, check in cases])
    def test_conformance(subject: AnySubject | Package, check: Check | PackageCheck) -> None:
        """Fail with the sentence of the check."""
        verdict = _verdict(subject, check, examine)
        if verdict.failed_needs or verdict.unexamined:
            pytest.skip(verdict.sentence)
        if not verdict.passed:
            pytest.fail(verdict.sentence, pytrace=False)

    return test_conformance


def _verdict(subject: AnySubject | Package, check: Check | PackageCheck,
             examine: Callable[[AnySubject], Verdicts]) -> Verdict:
    if isinstance(subject, Package):
        assert isinstance(check, PackageCheck)
        return subject.verdict(check)
    assert isinstance(check, Check)
    return examine(subject).verdict(check)
