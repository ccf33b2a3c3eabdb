"""Subjects of conformance checks, and verdicts on them."""

from __future__ import annotations

from typing import Union

from attrs import frozen

from ssdreg.registry.backbone import Backbone
from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import Head


@frozen
class Subject:
    """A backbone of a plug-in; or, with `head`, a head of a plug-in on any backbone."""

    plugin: str
    backbone: Backbone
    head: Head | None = None

    @property
    def title(self) -> str:
        """Its name in reports."""
        if self.head is None:
            return self.backbone.name
        return f"{self.head.name} on {self.backbone.name}"


@frozen
class FormatSubject:
    """A format of data sets that a plug-in brings."""

    plugin: str
    format: DataFormat

    @property
    def title(self) -> str:
        """Its name in reports."""
        return f"format {self.format.name}"


@frozen
class EngineSubject:
    """An engine that a plug-in brings."""

    plugin: str
    engine: Engine

    @property
    def title(self) -> str:
        """Its name in reports."""
        return f"engine {self.engine.name}"


AnySubject = Union[Subject, FormatSubject, EngineSubject]


@frozen
class Verdict:
    """The verdict of a check on one subject: passed, an issue, or not examined.

    `title` is the subject's, or ``the package`` for checks of the whole distribution.
    `failed_needs` are the checks that this one needs and that failed; `unexamined` states what is
    missing to run it, which is no fault of the subject.
    """

    plugin: str
    title: str
    check: str
    issue: str | None = None
    failed_needs: tuple[str, ...] = ()
    unexamined: str = ""

    @property
    def passed(self) -> bool:
        """Whether the promise is kept, as far as it could be examined."""
        return self.issue is None and not self.failed_needs

    @property
    def sentence(self) -> str:
        """The subject and the verdict, in one sentence."""
        who = f"{self.plugin}: {self.title}: {self.check}"
        if self.failed_needs:
            return f"{who}: not looked at, because it needs {', '.join(self.failed_needs)}"
        if self.unexamined:
            return f"{who}: not looked at: {self.unexamined}"
        return f"{who}: {self.issue or 'ok'}"
