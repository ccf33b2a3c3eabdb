"""The checks of every format of data sets: a function each, and their order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from ssdreg.data.agreement import agree
from ssdreg.data.annotation import AnnotatedPicture, AnnotatedSet
from ssdreg.data.contents import is_picture, list_contents
from ssdreg.data.issues import LEFT_OUT
from ssdreg.data.reading import certainty
from ssdreg.errors import ConformanceError, DataError, UnexaminedError
from ssdreg.registry.data_format import CERTAIN, NO, POSSIBLE, DataFormat
from ssdreg.registry.lazy_reference import resolve
from ssdreg.registry.names import list_data_formats
from ssdreg.testing.examination import Check, Verdicts
from ssdreg.testing.verdict import FormatSubject

#: A name that no data set has for a split.
NO_SPLIT = "no such split"
NO_TEXT = "that is no text"
#: What a damaged file may hold: nothing, half of it, and bytes that are no text.
_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    # of lines, the rest may be whole, and an empty file may say that there is nothing
    "empty": lambda content: b"", "cut in half": lambda content: content[:len(content) // 2],
    NO_TEXT: lambda content: bytes(range(256)) * 8}


class FormatExamination(Verdicts):
    """A format under examination, with the data set of its `sample` in a folder."""

    def __init__(self, subject: FormatSubject) -> None:
        super().__init__(subject)
        self.format = subject.format

    @contextmanager
    def sample(self) -> Iterator[Path]:
        """Give a folder with the sample; raise UnexaminedError where the format has none."""
        if self.format.sample is None:
            raise UnexaminedError("it declares no sample: a function that writes a small data set "
                                  "of it into a folder")
        with tempfile.TemporaryDirectory() as folder:
            resolve(self.format.sample)(Path(folder))
            yield Path(folder)

    @cached_property
    def objects(self) -> int:
        """The objects of the sample."""
        with self.sample() as folder:
            return _count(self.format.read_from(folder, None, ()))


def recognises_its_own(examination: FormatExamination) -> None:
    """Recognise the sample, and no other format's, as surely as it deserves."""
    own = examination.format
    with tempfile.TemporaryDirectory() as folder:
        if own.certainty(list_contents(Path(folder))) != NO:
            raise ConformanceError("it takes an empty folder for a data set of its own")
    with examination.sample() as folder:
        contents = list_contents(folder)
        sure = own.certainty(contents)
        if sure not in (POSSIBLE, CERTAIN):
            raise ConformanceError(f"it does not recognise its own sample: {sure!r} is "
                                   f"neither POSSIBLE ({POSSIBLE}) nor CERTAIN ({CERTAIN})")
        rivals = [other.name for other in list_data_formats() if not _same(other, own)
                  and certainty(other, contents) >= sure]
        if rivals:
            raise ConformanceError(f"its own sample may as well be {' or '.join(rivals)}: "
                                   f"recognize must be surer, or the sample is theirs")
    for other in list_data_formats():
        if _same(other, own) or other.sample is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            resolve(other.sample)(Path(folder))
            contents = list_contents(Path(folder))
            if own.certainty(contents) >= certainty(other, contents):
                raise ConformanceError(f"it takes a data set of {other.name} for its own")


def reads_its_sample(examination: FormatExamination) -> None:
    """Read the sample, whole and split by split: its boxes agree with its pictures."""
    own = examination.format
    with examination.sample() as folder:
        whole = own.read_from(folder, None, ())
        if not isinstance(whole, AnnotatedSet):
            raise ConformanceError(f"it reads a {type(whole).__name__}, which is no AnnotatedSet")
        dataset = agree(whole)
        lost = [issue for issue in dataset.issues if issue.action == LEFT_OUT]
        if lost:
            raise ConformanceError(f"of its own sample is left out: {lost[0].file.name}: "
                                   f"{lost[0].detail}")
        splits = own.splits_of(folder)
        if list(splits) != sorted(set(splits)):
            raise ConformanceError(f"its splits {', '.join(splits)} are not sorted, each once")
        parts: list[AnnotatedPicture] = []
        for split in splits:
            part = own.read_from(folder, split, ())
            if part.labels.keys() != whole.labels.keys():
                raise ConformanceError(f"its split {split!r} knows other labels than the whole: "
                                       f"labels are counted over all splits, so that these agree "
                                       f"on the classes")
            parts += part.pictures
        if splits and {part.image for part in parts} != {
                picture.image for picture in whole.pictures}:
            raise ConformanceError(f"its splits {', '.join(splits)} are not together the pictures "
                                   f"that are read without one")


def refuses_an_unknown_split(examination: FormatExamination) -> None:
    """Refuse a split that is not there, in a sentence that names the data set."""
    with examination.sample() as folder:
        try:
            examination.format.read_from(folder, NO_SPLIT, ())
        except DataError as error:
            if folder.name not in str(error):
                raise ConformanceError(f"a split that is not there is refused without the name of "
                                       f"the data set: {error}") from error
            return
        raise ConformanceError(f"it reads a split {NO_SPLIT!r}, which is not there")


def names_what_is_damaged(examination: FormatExamination) -> None:
    """Damage one file of annotations after the other: it is named, and nothing else is raised."""
    with examination.sample() as folder:
        files = [file for file in list_contents(folder).files if not is_picture(file)]
        for file in files:
            for damage, damaged in _DAMAGES.items():
                content = file.read_bytes()
                file.write_bytes(damaged(content))
                try:
                    _look_at_damage(examination, folder, file, damage)
                finally:
                    file.write_bytes(content)


def _look_at_damage(examination: FormatExamination, folder: Path, file: Path, damage: str) -> None:
    name = os.fspath(file.relative_to(folder))
    try:
        annotated = examination.format.read_from(folder, None, ())
    except DataError:
        return
    except Exception as error:  # a plug-in's code may raise anything
        raise ConformanceError(f"with {name} {damage} it raises {type(error).__name__}: {error}, "
                               f"and not a DataError") from error
    if damage == NO_TEXT and not annotated.issues and _count(annotated) < examination.objects:
        raise ConformanceError(f"with {name} {damage} it loses objects and says nothing")


def _count(annotated: AnnotatedSet) -> int:
    return sum(len(picture.objects) for picture in annotated.pictures)


def _same(one: DataFormat, other: DataFormat) -> bool:
    """Tell whether these are one declaration, listed under another name or not."""
    return (one.recognize, one.read) == (other.recognize, other.read)


RECOGNISES = Check("recognises", "it knows its own data sets from all others", recognises_its_own)
READS = Check("reads", "its sample is read whole, and split by split", reads_its_sample)
SPLITS = Check("splits", "a split that is not there is refused", refuses_an_unknown_split, (READS,))
DAMAGE = Check("damage", "a damaged file is named, and nothing is lost in silence",
               names_what_is_damaged, (READS,))

FORMAT_CHECKS = (RECOGNISES, READS, SPLITS, DAMAGE)
