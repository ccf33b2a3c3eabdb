"""What is examined, and what came of it."""

from __future__ import annotations

from attrs import frozen

from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import Head


@frozen
class Subject:
    """A backbone of a plug-in; or, with `head`, a head of a plug-in on somebody's backbone."""

    plugin: str
    backbone: Backbone
    head: Head | None = None

    @property
    def title(self) -> str:
        """What it is called in reports."""
        if self.head is None:
            return self.backbone.name
        return f"{self.head.name} on {self.backbone.name}"


@frozen
class Verdict:
    """What a check of one subject found: a problem, or that it could not be looked for, or none.

    `title` is the subject's, or that of what is examined once for the whole distribution.
    `failed_needs` are the checks without which this one has nothing to say, and which failed;
    `unexamined` says what is missing here to look for it, which is no fault of the subject.
    """

    plugin: str
    title: str
    check: str
    issue: str | None = None
    failed_needs: tuple[str, ...] = ()
    unexamined: str = ""

    @property
    def passed(self) -> bool:
        """Whether the promise is kept, as far as that can be seen here."""
        return self.issue is None and not self.failed_needs

    @property
    def sentence(self) -> str:
        """Say who was examined, and what is wrong, in one sentence."""
        who = f"{self.plugin}: {self.title}: {self.check}"
        if self.failed_needs:
            return f"{who}: not looked at, because it needs {', '.join(self.failed_needs)}"
        if self.unexamined:
            return f"{who}: not looked at: {self.unexamined}"
        return f"{who}: {self.issue or 'ok'}"
