"""PASCAL VOC: an XML file a picture, as labelImg, CVAT, VoTT, Roboflow and RectLabel write it.

The layout is that of Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge":
JPEGImages/, Annotations/*.xml and ImageSets/Main/*.txt. The two folders may have subfolders, and
other names: pictures and annotations are then found by each other's, in one folder or two, and
folders called train, valid or test are splits.

VOC counts pixels from 1 and includes the last, so a box covers ``xmin - 1`` to ``xmax`` in edges.
Many tools count from 0 instead: an ``xmin`` of 0 is taken as the edge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from attrs import field, frozen
from ssdreg_runtime.system.files import visible
from ssdreg_runtime.system.names import as_path, as_text

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import VOC_PIXELS, AnnotatedPicture, AnnotatedSet, count_labels
from ssdreg.data.contents import (
    PICTURES,
    Contents,
    FileIndex,
    list_contents,
    missing,
    parts_of,
    several,
    spelled,
    split_of,
)
from ssdreg.data.formats.voc_xml import Annotation, parse
from ssdreg.data.issues import DataIssue
from ssdreg.data.pictures import UNREADABLE, measure
from ssdreg.data.text import declared_classes, read_lines
from ssdreg.errors import DataError
from ssdreg.registry.data_format import CERTAIN, NO, POSSIBLE

#: Bytes of a list of names: a million of them.
MAX_LIST = 2**28
#: The two folders, and the one of the lists of splits, of the published layout.
IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", Path("ImageSets", "Main")

_ROOT_TAG = re.compile(rb"<annotation[\s>]")
#: Behind a name in the lists of one class: whether the picture has an object of it.
_MARK = re.compile(r"\s+[-+]?[01]$")


@frozen
class _Layout:
    """Where a data set's files are: the folder below which the names of each kind are relative."""

    root: Path
    annotations: FileIndex = field(repr=False)
    images: FileIndex = field(repr=False)

    @property
    def published(self) -> bool:
        """Whether it is VOC's own layout."""
        return self.images.root != self.root


def recognize(contents: Contents) -> int:
    """Tell whether a folder holds annotations in XML, one a picture."""
    if not contents.root.is_dir():
        return NO
    if _base(contents.root) is not None:
        return CERTAIN
    return POSSIBLE if any(map(_is_annotation, contents.with_suffix(".xml")[:50])) else NO


def splits(root: Path) -> tuple[str, ...]:
    """Return the names of the lists in ImageSets/Main, else of folders called as splits are."""
    base = _base(root) or root
    lists = tuple(sorted(file.stem for file in _visible(base / LISTS) if file.suffix == ".txt"))
    if lists or base != root or (root / ANNOTATIONS).is_dir():
        return lists
    names = {split_of(file, root) for file in list_contents(root).with_suffix(".xml")}
    return tuple(sorted(names - {""}))


def read(root: Path, split: str | None, columns: Sequence[str] = ()) -> AnnotatedSet:
    """Read a folder; `split` is a list in ``ImageSets/Main`` or a folder of that name.

    Classes are declared by ``classes.txt`` or ``labels.txt``. Hidden files, whose names begin with
    a dot, are passed over. Raises `DataError` when folder or split are missing, or the layout is
    another.
    """
    layout = _layout(root)
    issues: list[DataIssue] = []
    wanted = dict.fromkeys(_wanted(layout, split, issues))
    parsed, unread = _parse_all(layout, set(wanted))
    issues += unread
    claims = Counter(spelled(parts_of(annotation.filename)[-1]) for annotation in parsed.values()
                     if parts_of(annotation.filename))
    pictures: dict[Path, AnnotatedPicture] = {}
    for file, annotation in parsed.items():
        picture = _image(layout, file, annotation, claims)
        if isinstance(picture, AnnotatedPicture):
            pictures[file] = picture
        elif file in wanted:
            issues.append(picture)
        if file in wanted and isinstance(picture, AnnotatedPicture):
            issues += _other_name(file, annotation, picture.image)
    classes, declared = declared_classes(layout.root)
    labels = count_labels([AnnotatedPicture(file, file, annotation.objects)
                           for file, annotation in parsed.items()])
    chosen = [file for file in wanted if file in pictures]
    return AnnotatedSet(
        root=root, split=split or "all", pictures=tuple(pictures[file] for file in chosen),
        labels=labels, classes=classes, declared=declared,
        others=tuple(pictures[file] for file in pictures if file not in wanted),
        issues=tuple(issues))


def _base(root: Path) -> Path | None:
    """Return the folder that has VOC's two: this one, or the only one below, as in VOCdevkit."""
    def has_both(folder: Path) -> bool:
        return (folder / IMAGES).is_dir() and (folder / ANNOTATIONS).is_dir()
    if has_both(root):
        return root
    below = [folder for folder in _visible(root) if folder.is_dir()]
    below += [folder for parent in below for folder in _visible(parent) if folder.is_dir()]
    candidates = [folder for folder in below if has_both(folder)]
    return candidates[0] if len(candidates) == 1 else None


def _visible(folder: Path) -> list[Path]:
    return visible(folder) if folder.is_dir() else []


def _is_annotation(file: Path) -> bool:
    if not file.is_file():
        return False  # a link to nowhere
    with file.open("rb") as stream:
        return bool(_ROOT_TAG.search(stream.read(4096).replace(b"\0", b"")))


def _layout(root: Path) -> _Layout:
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder of a data set in PASCAL "
                        f"VOC layout, or a .rec file")
    base = _base(root)
    if base is not None:
        annotations = list_contents(base / ANNOTATIONS)
        images = list_contents(base / IMAGES)
        return _Layout(base, FileIndex(annotations.root, tuple(annotations.with_suffix(".xml"))),
                       FileIndex.of_pictures(images.root, images.files))
    contents = list_contents(root)
    files = tuple(file for file in contents.with_suffix(".xml") if _is_annotation(file))
    if not files:
        absent = [name for name in (IMAGES, ANNOTATIONS) if not (root / name).is_dir()]
        raise DataError(f"{root}: this is not a data set in PASCAL VOC layout: it has no folder "
                        f"{' and no folder '.join(absent)}")
    return _Layout(root, FileIndex(root, files), FileIndex.of_pictures(root, contents.files))


def _wanted(layout: _Layout, split: str | None, issues: list[DataIssue]) -> tuple[Path, ...]:
    """Return the annotations of a split, in its order, and report names that have none."""
    every = layout.annotations.files
    if split is None:
        return every
    file = layout.root / LISTS / f"{split}.txt"
    if not file.is_file() and not layout.published:
        inside = tuple(annotation for annotation in every
                       if split_of(annotation, layout.root) == split)
        if inside:
            return inside
    if not file.is_file():
        names = ", ".join(splits(layout.root)) or "none"
        raise DataError(f"{file}: there is no such split; the splits here are: {names}")
    try:
        entries = dict.fromkeys(read_lines(file, MAX_LIST))
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    named: dict[Path, None] = {}
    for entry in entries:
        annotations, name = _listed(entry, layout)
        if len(annotations) == 1:
            named[annotations[0]] = None
        elif annotations:
            issues.append(several(file, name, annotations, layout.root))
        else:
            absent = layout.annotations.root / as_path(f"{name}.xml")
            issues.append(DataIssue(absent, kinds.MISSING_ANNOTATION, "left out"))
    return tuple(named)


def _listed(entry: str, layout: _Layout) -> tuple[list[Path], str]:
    """Return the annotations that a line of a list may name, and that name."""
    unmarked = _MARK.sub("", entry)
    # a name with a space has no second column
    for text in dict.fromkeys((entry, unmarked, entry.split()[0])):
        for name in dict.fromkeys((text, _without_extension(text))):
            files = layout.annotations.find_stem(name, (layout.annotations.root,))
            if files:
                return files, name
    return [], _without_extension(unmarked if unmarked != entry else entry.split()[0])


def _without_extension(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name[:-len(suffix)] if suffix.lower() in PICTURES | {".xml"} else name


def _parse_all(layout: _Layout,
               wanted: set[Path]) -> tuple[dict[Path, Annotation], list[DataIssue]]:
    """Parse every annotation of the folder; complain only about those of the split."""
    parsed, issues = {}, []
    for file in layout.annotations.files:
        try:
            parsed[file] = parse(file)
        except (ValueError, OSError) as error:
            if file in wanted:
                issues.append(DataIssue(file, kinds.UNREADABLE_ANNOTATION,
                                        f"{error}; image left out"))
    return parsed, issues


def _image(layout: _Layout, file: Path, annotation: Annotation,
           claims: Mapping[str, int]) -> AnnotatedPicture | DataIssue:
    """Return the annotated picture that has the annotation's name, or what is wrong with it."""
    own = as_text(file.relative_to(layout.annotations.root).with_suffix(""))
    beside = layout.images.root / file.relative_to(layout.annotations.root).parent
    candidates = layout.images.find_stem(own, (beside, file.parent))
    # the folders that it names are seldom those here
    last = parts_of(annotation.filename)[-1:]
    named = layout.images.find("/".join((*parts_of(own)[:-1], *last)),
                               (beside, *file.parents)) if last else []
    if not candidates and len(named) == 1 and not _has_own(layout, named[0], file):
        candidates = named
    if len(candidates) > 1:
        if len(named) == 1:
            candidates = [candidate for candidate in candidates if candidate in named]
        candidates = _of_size(candidates, annotation)
    if not candidates:
        where = IMAGES if layout.published else "the data set"
        return missing(file, f"{own}.*", where)
    if len(candidates) > 1:
        return several(file, annotation.filename or file.stem, candidates, layout.root)
    image = candidates[0]
    if named and image not in named and not _same_name(file, annotation) \
            and claims[spelled(parts_of(annotation.filename)[-1])] <= 2:
        sized = _of_size([image, *named], annotation)
        if len(sized) != 1:
            return DataIssue(file, kinds.OTHER_NAME,
                             f"it says that it is of {annotation.filename}, and by its own name it "
                             f"is of {image.name}; both are there; left out: put right its "
                             f"<filename> or its name")
        image = sized[0]
    return AnnotatedPicture(image, file, annotation.objects, annotation.size, VOC_PIXELS)


def _has_own(layout: _Layout, image: Path, file: Path) -> bool:
    return any(other != file for other in layout.annotations.find_stem(as_text(image.stem)))


def _of_size(images: list[Path], annotation: Annotation) -> list[Path]:
    """Keep the one picture that has the size the annotation states, if it is only one."""
    if annotation.size is None or len(images) < 2:
        return images
    fitting = []
    for image in images:
        try:
            measured = measure(image)
        except UNREADABLE:
            continue
        if annotation.size in (measured.size, measured.upright):
            fitting.append(image)
    return fitting if len(fitting) == 1 else images


def _same_name(file: Path, annotation: Annotation) -> bool:
    parts = parts_of(annotation.filename)
    own = spelled(as_text(file.stem))
    return not parts or own in (spelled(parts[-1]), spelled(PurePosixPath(parts[-1]).stem))


def _other_name(file: Path, annotation: Annotation, image: Path) -> list[DataIssue]:
    if _same_name(file, annotation) or spelled(image.name) == spelled(
            parts_of(annotation.filename)[-1]):
        return []
    return [DataIssue(file, kinds.OTHER_NAME,
                      f"it says that it is of {annotation.filename}; by its own name it is of "
                      f"{image.name}, which is taken", action=kinds.KEPT)]
