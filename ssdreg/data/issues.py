"""What is wrong with one file of a data set: found, counted and left out, never silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from attrs import field, frozen
from attrs.validators import in_

EMPTY_BOX = "empty box"
BOX_OUTSIDE = "box outside"
TURNED_BOX = "box turned around"
DOUBLED_BOX = "box twice"
NO_BOX = "outline without a box"
WRONG_UNIT = "pixels and shares mixed up"
CROWD = "crowd"
UNREADABLE_IMAGE = "unreadable image"
CUT_IMAGE = "image cut short"
UNREADABLE_ANNOTATION = "unreadable annotation"
MISSING_IMAGE = "missing image"
MISSING_ANNOTATION = "missing annotation"
TWO_IMAGES = "two images of one name"
TWO_ANNOTATIONS = "two annotations of one image"
OTHER_NAME = "file name differs"
OTHER_SIZE = "size differs"
ORIENTATION = "orientation"
UNKNOWN_CLASS = "unknown class"
OTHER_SPELLING = "class spelled otherwise"
EMPTY_CLASS = "class without objects"
NO_OBJECT = "no object"
BACKGROUND = "background as a class"
TWO_SPLITS = "image in two splits"

#: Every kind of problem, in the order they are reported.
KINDS = (UNREADABLE_IMAGE, CUT_IMAGE, UNREADABLE_ANNOTATION, MISSING_IMAGE, MISSING_ANNOTATION,
         TWO_IMAGES, TWO_ANNOTATIONS, OTHER_NAME, OTHER_SIZE, ORIENTATION, WRONG_UNIT,
         UNKNOWN_CLASS, OTHER_SPELLING, EMPTY_CLASS, BACKGROUND, EMPTY_BOX, BOX_OUTSIDE,
         TURNED_BOX, DOUBLED_BOX, NO_BOX, CROWD, TWO_SPLITS, NO_OBJECT)

#: What was done: it is wrong, and missing from the data; it was put right, as could be known; it is
#: as it was, and worth a look; it is no fault, but nothing that could be learnt.
LEFT_OUT, PUT_RIGHT, KEPT, SET_ASIDE = "left out", "put right", "kept", "set aside"
ACTIONS = (LEFT_OUT, PUT_RIGHT, KEPT, SET_ASIDE)


@frozen
class DataIssue:
    """One complaint: the file, one of ``KINDS``, and what was found and done about it.

    `detail` is the whole sentence; `object` names the object or record it is about, where it is
    about one, and `action` is one of ``ACTIONS``.
    """

    file: Path
    kind: str = field(validator=in_(KINDS))
    detail: str
    object: str = ""
    action: str = field(default=LEFT_OUT, validator=in_(ACTIONS))


@frozen
class DataIssues:
    """What is wrong with the data that a function reads, told once, when they are opened."""

    issues: tuple[DataIssue, ...]

    def __str__(self) -> str:
        return describe_issues(self.issues)


def describe_issues(issues: Sequence[DataIssue], limit: int = 20) -> str:
    """Lines for people: the count of each kind, then up to `limit` problems by file name.

    Every kind has its turn among those, so that a frequent one hides none. Empty when there are no
    problems.
    """
    if not issues:
        return ""
    counts = Counter(issue.kind for issue in issues)
    lines = [f"{len(issues)} problem{'s' * (len(issues) > 1)} in the data:"]
    lines += [f"  {counts[kind]} x {kind}" for kind in KINDS if counts[kind]]
    by_name = sorted(issues, key=lambda issue: (issue.file.name, issue.kind))
    lines += [f"  {issue.file.name}: {issue.kind}: {issue.detail}"
              for issue in _examples(by_name, limit)]
    if len(issues) > limit:
        lines.append(f"  and {len(issues) - limit} more")
    return "\n".join(lines)


def _examples(issues: Sequence[DataIssue], limit: int) -> list[DataIssue]:
    """Choose up to `limit` issues, of each kind in turn, and return them in their order."""
    places: dict[str, list[int]] = {}
    for place, issue in enumerate(issues):
        places.setdefault(issue.kind, []).append(place)
    turns = [place for turn in zip_longest(*(places[kind] for kind in KINDS if kind in places))
             for place in turn if place is not None]
    return [issues[place] for place in sorted(turns[:limit])]
