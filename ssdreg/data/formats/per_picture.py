"""What formats with an annotation file a picture have in common: files, splits, and issues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from attrs import field, frozen
from ssdreg_runtime.system.names import as_text

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import (
    EDGES,
    AnnotatedObject,
    AnnotatedPicture,
    AnnotatedSet,
    Coordinates,
    count_labels,
)
from ssdreg.data.contents import (
    FileIndex,
    list_contents,
    missing,
    refuse_unknown_split,
    several,
)
from ssdreg.data.issues import DataIssue
from ssdreg.data.json_file import has_keys, is_damaged
from ssdreg.data.text import declared_classes
from ssdreg.errors import DataError


def annotation_files(root: Path, *keys: str) -> list[Path]:
    """Return the JSON files that have these keys, and those beside them that are damaged.

    A file that is no JSON any more is an annotation that was lost, and is to be complained of.
    """
    files = list_contents(root).with_suffix(".json")
    own = {file for file in files if has_keys(file, *keys)}
    folders = {file.parent for file in own}
    return [file for file in files if file in own or (file.parent in folders and is_damaged(file))]


@frozen
class Described:
    """What one file says: the picture's name, its size, its objects, and the classes it knows."""

    name: str
    size: tuple[int, int] | None
    objects: tuple[AnnotatedObject, ...] = field(repr=False)
    classes: dict[int, str] = field(factory=dict, repr=False)


@frozen
class Files:
    """The annotation files of a data set, and how they are read.

    `parse` raises ValueError, a sentence, for a damaged file; `split` names the split that a file
    is of, "" for none.
    """

    root: Path
    files: Sequence[Path] = field(repr=False)
    parse: Callable[[Path], Described]
    split: Callable[[Path], str]
    coordinates: Coordinates = EDGES

    def splits(self) -> tuple[str, ...]:
        """Return the sorted names of the splits."""
        return tuple(sorted({self.split(file) for file in self.files} - {""}))

    def read(self, split: str | None) -> AnnotatedSet:
        """Read the files of a split, or all; raise DataError where there are none."""
        if not self.files:
            raise DataError(f"{self.root}: there is no annotation of this format")
        refuse_unknown_split(self.root, split, self.splits())
        images = FileIndex.of_pictures_in(self.root)
        inside: list[AnnotatedPicture] = []
        others: list[AnnotatedPicture] = []
        issues: list[DataIssue] = []
        numbered: dict[int, str] = {}
        for file in self.files:
            wanted = split in (None, self.split(file))
            try:
                described = self.parse(file)
            except (ValueError, OSError) as error:
                issues += [DataIssue(file, kinds.UNREADABLE_ANNOTATION,
                                     f"{error}; image left out")] if wanted else []
                continue
            numbered.update(described.classes)
            picture = self._picture(file, described, images)
            if isinstance(picture, AnnotatedPicture):
                (inside if wanted else others).append(picture)
            elif wanted:
                issues.append(picture)
        classes, declared = declared_classes(self.root)
        if classes is None and numbered:
            classes = tuple(dict.fromkeys(numbered[place] for place in sorted(numbered)))
        return AnnotatedSet(self.root, split or "all", tuple(inside),
                            count_labels([*inside, *others]), classes, declared, tuple(others),
                            tuple(issues))

    def _picture(self, file: Path, described: Described,
                 images: FileIndex) -> AnnotatedPicture | DataIssue:
        """Return a file's picture: the one that it names, else the one of its own name."""
        near = (file.parent, *(folder for folder in file.parents
                               if self.root in (folder, *folder.parents)))
        candidates = images.find(described.name, near) if described.name else []
        own = [image for image in images.find_stem(as_text(file.stem), near)
               if image.parent == file.parent]
        stem = PurePosixPath(described.name.replace("\\", "/")).stem
        if not candidates:
            candidates = own or images.find_stem(as_text(file.stem), near)
        elif len(candidates) > 1 and len(own) == 1:
            candidates = own
        if not candidates:
            return missing(file, described.name or f"{file.stem}.*")
        if len(candidates) > 1:
            return several(file, described.name or file.stem, candidates, self.root)
        if own and own[0] != candidates[0] and stem != file.stem:
            return DataIssue(file, kinds.OTHER_NAME,
                             f"it says that it is of {described.name}, and beside it lies "
                             f"{own[0].name}, which has its own name; left out: put right what it "
                             f"says, or its name")
        return AnnotatedPicture(candidates[0], file, described.objects, described.size,
                                self.coordinates)
