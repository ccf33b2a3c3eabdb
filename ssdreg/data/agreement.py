"""Annotations held against their pictures: what agrees is taken, the rest put right or left out.

Whatever a data set's format is, it passes through here, so that every format has every check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import field, frozen

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import AnnotatedPicture, AnnotatedSet
from ssdreg.data.dataset import Dataset, Sample
from ssdreg.data.headers import Headers
from ssdreg.data.issues import DataIssue, describe_issues
from ssdreg.data.labels import Classes, find_classes
from ssdreg.data.layouts import another_layout
from ssdreg.data.pictures import SIDEWAYS, UNREADABLE, UPRIGHT, Measured, Size, measure
from ssdreg.data.placing import WITHIN, Frame, place, reach
from ssdreg.errors import DataError

#: From this share on, what is wrong is not wrong with single files.
_WHOLE = 1 / 3
#: Fewer than these are single files in any case.
_FEW = 3
#: Boxes that are clipped are less surely wrong than those that lie outside.
_MOSTLY, _SEVERAL = 1 / 2, 10

_UPRIGHT, _STORED, _UNKNOWN = "upright", "stored", "unknown"


@frozen
class _Tendency:
    """What pictures that tell it say about the program that a data set was annotated with.

    `frame` is whether it showed photos upright or as stored; `resized` whether pictures were
    made smaller or larger after they were annotated; `swapped` whether it writes the height where
    the width belongs.
    """

    frame: str = _UNKNOWN
    resized: bool = False
    swapped: bool = False


@frozen
class _Outcome:
    """A picture's sample, None where it is left out, and what was said."""

    sample: Sample | None
    issues: list[DataIssue] = field(factory=list)


def agree(annotated: AnnotatedSet, wanted: Sequence[str] | None = None) -> Dataset:
    """Hold one split of a data set against its pictures.

    `asked` fixes the classes and their order; see `find_classes` for what they are without. Sizes
    and orientations come from the picture files; their pixels are not decoded here. Photos that a
    camera noted as lying on their side are turned upright, and their boxes with them where those
    were drawn on the picture as stored.

    Raises `DataError` when there is no class, no picture has a usable box, or so much is wrong that
    it is wrong with the data set as a whole. Whatever else is wrong is in `Dataset.issues`.
    """
    classes, complaints = find_classes(annotated, wanted)
    issues = [*annotated.issues, *complaints]
    outcomes = list(_outcomes(annotated, classes))
    for outcome in outcomes:
        issues += outcome.issues
    samples = tuple(outcome.sample for outcome in outcomes if outcome.sample)
    dataset = Dataset(annotated.root, annotated.split, classes.names, samples, tuple(issues))
    _refuse_wholly_wrong(annotated, issues)
    _refuse_mostly_clipped(annotated, issues)
    if not any(sample.boxes for sample in samples):
        raise DataError(f"{dataset.root}: split {dataset.split!r} has no image with a usable box, "
                        f"so there is nothing to learn from; mend the annotations first\n"
                        f"{describe_issues(issues)}")
    return dataset


def _outcomes(annotated: AnnotatedSet, classes: Classes) -> Iterator[_Outcome]:
    measured: list[tuple[AnnotatedPicture, Measured]] = []
    with Headers(annotated.root, len(annotated.pictures)) as headers:
        for same in _by_image(annotated.pictures):
            picture = same[0]
            if len(same) > 1:
                yield from (_Outcome(None, [issue]) for issue in _annotated_twice(same))
                if any(_differ(picture, other) for other in same):
                    continue
            try:
                measured.append((picture, headers.of(picture.image)))
            except UNREADABLE as error:
                yield _Outcome(None, [DataIssue(picture.image, kinds.UNREADABLE_IMAGE,
                                                f"{error}; left out")])
    wrong = another_layout(measured)
    if wrong:
        raise DataError(f"{annotated.root}: split {annotated.split!r}: {wrong}")
    tendency = _tendency(annotated, measured)
    for picture, actual in measured:
        yield _outcome(picture, actual, tendency, classes)


def _by_image(pictures: Sequence[AnnotatedPicture]) -> list[list[AnnotatedPicture]]:
    groups: dict[Path, list[AnnotatedPicture]] = {}
    for picture in pictures:
        groups.setdefault(picture.image, []).append(picture)
    return list(groups.values())


def _differ(one: AnnotatedPicture, other: AnnotatedPicture) -> bool:
    return ([(item.label, item.numbers) for item in one.objects]
            != [(item.label, item.numbers) for item in other.objects])


def _annotated_twice(same: Sequence[AnnotatedPicture]) -> Iterator[DataIssue]:
    """Say that several annotations are of one picture: all are left out, unless they are alike."""
    kept = same[0]
    names = ", ".join(dict.fromkeys(picture.annotation.name for picture in same))
    if not any(_differ(kept, other) for other in same):
        yield DataIssue(kept.annotation, kinds.TWO_ANNOTATIONS,
                        f"{kept.image.name} is annotated {len(same)} times alike ({names}); taken "
                        f"once", action=kinds.PUT_RIGHT)
        return
    yield DataIssue(kept.annotation, kinds.TWO_ANNOTATIONS,
                    f"{kept.image.name} is annotated {len(same)} times, each time otherwise "
                    f"({names}); left out: keep the annotation that is right")


def _outcome(picture: AnnotatedPicture, actual: Measured, tendency: _Tendency,
             classes: Classes) -> _Outcome:
    issues: list[DataIssue] = []
    frame = _frame(picture, actual, tendency, issues)
    if frame is None:
        return _Outcome(None, issues)
    boxes, complaints = place(picture, frame, classes)
    issues += complaints
    lost = not boxes and any(issue.kind != kinds.BACKGROUND for issue in complaints)
    if lost:
        issues.append(DataIssue(picture.image, kinds.NO_OBJECT,
                                "none of its objects has a usable box: left out of training, kept "
                                "for evaluation"))
    elif not boxes:
        issues.append(DataIssue(picture.image, kinds.NO_OBJECT,
                                "no object: trained on as background", action=kinds.KEPT))
    width, height = actual.upright
    return _Outcome(Sample(picture.image, width, height, boxes, actual.orientation, lost), issues)


def _frame(picture: AnnotatedPicture, actual: Measured, tendency: _Tendency,
           issues: list[DataIssue]) -> Frame | None:
    """Return the picture that the boxes were drawn on; None, and why, where it is not known."""
    seen = _UPRIGHT
    if actual.orientation != UPRIGHT:
        seen = _told(picture, actual)
        seen = tendency.frame if seen == _UNKNOWN else seen
        if seen == _UNKNOWN and picture.objects:
            issues.append(DataIssue(picture.image, kinds.ORIENTATION, _unknown(picture, actual)))
            return None
    size = actual.size if seen == _STORED else actual.upright
    scale = _scale(picture, size, tendency, issues)
    if scale is None:
        return None
    if actual.orientation == UPRIGHT:
        return Frame(size, scale)
    turned = f"its camera noted orientation {actual.orientation}; turned upright"
    if seen == _STORED:
        issues.append(DataIssue(picture.image, kinds.ORIENTATION,
                                f"{turned}, and its boxes with it, which are on the picture as "
                                f"stored", action=kinds.PUT_RIGHT))
        return Frame(size, scale, actual.orientation)
    issues.append(DataIssue(picture.image, kinds.ORIENTATION,
                            f"{turned}, as the picture that its boxes are on",
                            action=kinds.PUT_RIGHT))
    return Frame(size, scale)


def _unknown(picture: AnnotatedPicture, actual: Measured) -> str:
    return (f"its camera noted orientation {actual.orientation}, and nothing tells whether its "
            f"boxes in {picture.annotation.name} are on the picture as stored or upright; left "
            f"out: save it upright without that note, with boxes drawn on it")


def _told(picture: AnnotatedPicture, actual: Measured) -> str:
    """Return which picture the boxes are on, as far as the annotation itself tells."""
    if picture.upright:
        return _UPRIGHT
    if actual.orientation not in SIDEWAYS or actual.size == actual.upright:
        return _UNKNOWN
    if picture.stated in (actual.upright, actual.size):
        return _UPRIGHT if picture.stated == actual.upright else _STORED
    if picture.stated is None:
        across, down = reach(picture)
        fits = [across <= width and down <= height for width, height in (actual.upright,
                                                                         actual.size)]
        if fits[0] != fits[1]:
            return _UPRIGHT if fits[0] else _STORED
    return _UNKNOWN


def _tendency(annotated: AnnotatedSet,
              measured: Sequence[tuple[AnnotatedPicture, Measured]]) -> _Tendency:
    """Ask the pictures that tell it; those outside the split where the split tells nothing."""
    turned = [(picture, actual) for picture, actual in measured if actual.orientation != UPRIGHT]
    frames = {_told(*pair) for pair in turned} - {_UNKNOWN}
    if turned and not frames:
        frames = {_told(*pair) for pair in _turned(annotated.others)} - {_UNKNOWN}
    resized = any(_evidently_resized(picture, actual.upright) for picture, actual in measured)
    swapped = [_evidently_swapped(picture, actual) for picture, actual in measured]
    return _Tendency(frames.pop() if len(frames) == 1 else _UNKNOWN, resized,
                     True in swapped and False not in swapped)


def _turned(pictures: Sequence[AnnotatedPicture]) -> Iterator[tuple[AnnotatedPicture, Measured]]:
    for picture in pictures:
        try:
            actual = measure(picture.image)
        except UNREADABLE:
            continue  # it is outside the split, and tells nothing
        if actual.orientation != UPRIGHT:
            yield picture, actual


def _stated(picture: AnnotatedPicture) -> Size | None:
    return picture.stated if picture.stated and min(picture.stated) > 0 else None


def _same_shape(one: Size, other: Size) -> bool:
    """Tell whether one picture may be the other, made smaller or larger: sides are whole."""
    factor = max(other[0] / one[0], other[1] / one[1])
    return all(abs(side * factor - wanted) <= max(1.0, factor) * 1.01
               for side, wanted in zip(one, other))


def _evidently_resized(picture: AnnotatedPicture, size: Size) -> bool:
    """Tell whether boxes reach out of the picture, but not out of one of the stated size."""
    stated = _stated(picture)
    if stated is None or stated == size or not _same_shape(stated, size):
        return False
    across, down = reach(picture)
    return ((across > size[0] + 1 or down > size[1] + 1)
            and across <= stated[0] and down <= stated[1])


def _evidently_swapped(picture: AnnotatedPicture, actual: Measured) -> bool | None:
    """Tell whether the stated sides are swapped, as boxes show that fit the picture but not them.

    None where nothing tells it, False where they fit the stated sides and not the picture.
    """
    (width, height), stated = actual.size, _stated(picture)
    if actual.orientation != UPRIGHT or width == height or stated != (height, width):
        return None
    across, down = reach(picture)
    fits_picture = across <= width and down <= height
    fits_stated = across <= height and down <= width
    return None if fits_picture == fits_stated else fits_picture


def _scale(picture: AnnotatedPicture, size: Size, tendency: _Tendency,
           issues: list[DataIssue]) -> tuple[float, float] | None:
    """Return what coordinates are multiplied by; None, and why, where that is not known."""
    stated = _stated(picture)
    if stated is None or stated == size:
        return 1.0, 1.0
    off = f"states a size of {stated[0]}x{stated[1]}, but {picture.image.name} has " \
          f"{size[0]}x{size[1]} pixels"
    if max(abs(stated[0] - size[0]), abs(stated[1] - size[1])) <= 1:
        issues.append(DataIssue(picture.annotation, kinds.OTHER_SIZE, f"{off}; kept",
                                action=kinds.KEPT))
        return 1.0, 1.0
    if stated == (size[1], size[0]) and tendency.swapped:
        issues.append(DataIssue(picture.annotation, kinds.OTHER_SIZE,
                                f"{off}; its boxes, and those of others, are on the picture as it "
                                f"is: width and height are swapped", action=kinds.PUT_RIGHT))
        return 1.0, 1.0
    if _same_shape(stated, size) and picture.coordinates.shares:
        return 1.0, 1.0
    if _same_shape(stated, size) and tendency.resized:
        issues.append(DataIssue(picture.annotation, kinds.OTHER_SIZE,
                                f"{off}; its boxes were drawn on the larger or smaller one and are "
                                f"scaled", action=kinds.PUT_RIGHT))
        return size[0] / stated[0], size[1] / stated[1]
    issues.append(DataIssue(picture.annotation, kinds.OTHER_SIZE,
                            f"{off}, so its boxes may be on another picture; left out: put that "
                            f"picture there, or state the right size"))
    return None


def _refuse_mostly_clipped(annotated: AnnotatedSet, issues: Sequence[DataIssue]) -> None:
    objects = sum(len(picture.objects) for picture in annotated.pictures)
    out = [issue for issue in issues if issue.kind == kinds.BOX_OUTSIDE
           and not issue.detail.endswith(WITHIN)]
    if len(out) >= _SEVERAL and len(out) >= objects * _MOSTLY:
        raise DataError(f"{annotated.root}: split {annotated.split!r}: {len(out)} of {objects} "
                        f"boxes reach out of their picture; their coordinates are in another order "
                        f"or unit than this format's\n{describe_issues(issues)}")


def _refuse_wholly_wrong(annotated: AnnotatedSet, issues: Sequence[DataIssue]) -> None:
    sized = sum(1 for picture in annotated.pictures if _stated(picture))
    objects = sum(len(picture.objects) for picture in annotated.pictures)
    for kind, of, count, meaning in (
            (kinds.OTHER_SIZE, "annotations state a size that is not their picture's", sized,
             "these are other pictures than those that were annotated: get the ones that were, or "
             "the annotations that belong to these"),
            (kinds.WRONG_UNIT, "boxes are in pixels where shares of the picture are expected",
             objects, "write them as shares, 0 to 1, of width and height"),
            (kinds.BOX_OUTSIDE, "boxes lie outside their picture", objects,
             "these annotations belong to other pictures, or their coordinates are in another "
             "order or unit")):
        wrong = [issue for issue in issues if issue.kind == kind and issue.action == kinds.LEFT_OUT]
        if len(wrong) >= _FEW and len(wrong) >= count * _WHOLE:
            raise DataError(f"{annotated.root}: split {annotated.split!r}: {len(wrong)} of {count} "
                            f"{of}; {meaning}\n{describe_issues(issues)}")
