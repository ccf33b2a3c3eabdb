"""What is wrong with one file of a data set: found, counted and left out, never silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen
from attrs.validators import in_

EMPTY_BOX = "empty box"
BOX_OUTSIDE = "box outside"
UNREADABLE_IMAGE = "unreadable image"
UNREADABLE_ANNOTATION = "unreadable annotation"
MISSING_IMAGE = "missing image"
MISSING_ANNOTATION = "missing annotation"
UNKNOWN_CLASS = "unknown class"
NO_OBJECT = "no object"
BACKGROUND = "background as a class"

#: Every kind of problem, in the order they are reported.
KINDS = (UNREADABLE_IMAGE, UNREADABLE_ANNOTATION, MISSING_IMAGE, MISSING_ANNOTATION,
         UNKNOWN_CLASS, BACKGROUND, EMPTY_BOX, BOX_OUTSIDE, NO_OBJECT)


@frozen
class DataIssue:
    """One complaint: the file, one of ``KINDS``, and what was found and done about it."""

    file: Path
    kind: str = field(validator=in_(KINDS))
    detail: str


@frozen
class DataIssues:
    """What is wrong with the data that a function reads, told once, when they are opened."""

    issues: tuple[DataIssue, ...]

    def __str__(self) -> str:
        return describe_issues(self.issues)


def describe_issues(issues: Sequence[DataIssue], limit: int = 20) -> str:
    """Lines for people: the count of each kind, then up to `limit` problems by file name.

    Empty when there are no problems.
    """
    if not issues:
        return ""
    counts = Counter(issue.kind for issue in issues)
    lines = [f"{len(issues)} problems in the data:"]
    lines += [f"  {counts[kind]} x {kind}" for kind in KINDS if counts[kind]]
    by_name = sorted(issues, key=lambda issue: (issue.file.name, issue.kind))
    lines += [f"  {issue.file.name}: {issue.kind}: {issue.detail}"
              for issue in by_name[:limit]]
    if len(issues) > limit:
        lines.append(f"  and {len(issues) - limit} more")
    return "\n".join(lines)
