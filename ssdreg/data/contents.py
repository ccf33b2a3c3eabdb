"""What a folder holds, listed once, and the picture that a name in an annotation means."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from attrs import field, frozen
from ssdreg_runtime.io.decoding import UNREADABLE, open_picture
from ssdreg_runtime.io.pictures import IMAGE_SUFFIXES
from ssdreg_runtime.system.files import is_hidden
from ssdreg_runtime.system.names import as_text

from ssdreg.data import issues as kinds
from ssdreg.data.issues import DataIssue
from ssdreg.errors import DataError

#: Extensions of pictures; what else is one is known by its content.
PICTURES = frozenset(IMAGE_SUFFIXES | {".jpe", ".jfif", ".jp2", ".ppm", ".pgm", ".pnm", ".avif"})
#: Extensions that annotation tools write beside pictures, and other things that are none.
_NO_PICTURES = frozenset({".xml", ".txt", ".json", ".csv", ".yaml", ".yml", ".md", ".cache", ".db",
                          ".ini", ".py", ".zip", ".rec", ".idx", ".lst", ".jsonl", ".manifest"})
_DRIVE = re.compile(r"^(?:[A-Za-z]:|/|[A-Za-z][A-Za-z0-9+.-]*://)")


@frozen
class Contents:
    """The files below a folder, hidden ones left out, in the order of their names."""

    root: Path
    files: tuple[Path, ...] = field(repr=False)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files of these extensions, in lower case."""
        return [file for file in self.files if file.suffix.lower() in suffixes]


def list_contents(root: Path) -> Contents:
    """List a folder and all below it; a file is listed alone."""
    if root.is_file():
        return Contents(root, (root,))
    files: list[Path] = []
    # links to folders are followed, as data sets are put together by them, but not in circles
    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not is_hidden(name))
        files += [Path(folder, name) for name in sorted(names) if not is_hidden(name)]
    return Contents(root, tuple(files))


def is_picture(file: Path) -> bool:
    """Tell whether a file is a picture: by its extension, else by its content."""
    suffix = file.suffix.lower()
    if suffix in PICTURES:
        return True
    if suffix in _NO_PICTURES:
        return False
    try:
        with open_picture(file):
            return True
    except UNREADABLE:
        return False


def spelled(name: str) -> str:
    """Return a name in one spelling: composed letters, in lower case."""
    return unicodedata.normalize("NFC", name).casefold()


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of a path as any system writes it, without drive and without ``.``."""
    plain = _DRIVE.sub("", name.strip().replace("\\", "/"))
    return tuple(part for part in plain.split("/") if part not in ("", "."))


def is_absolute(name: str) -> bool:
    """Tell whether a path names a place on some machine, which need not be this one."""
    return bool(_DRIVE.match(name.strip().replace("\\", "/")))


@frozen(slots=False)
class FileIndex:
    """Files of one kind below a folder, found by the names that others give them."""

    root: Path
    files: tuple[Path, ...] = field(repr=False)

    @classmethod
    def of_pictures(cls, root: Path, files: Iterable[Path]) -> FileIndex:
        """Index those of the files that are pictures."""
        return cls(root, tuple(file for file in files if is_picture(file)))

    @classmethod
    def of_pictures_in(cls, folder: Path) -> FileIndex:
        """Index the pictures in a folder and all below it."""
        return cls.of_pictures(folder, list_contents(folder).files)

    @classmethod
    def of_pictures_near(cls, folder: Path) -> FileIndex:
        """Index the pictures in a folder, or, where it has none, those in the folder around it.

        An annotation file may lie in a folder beside that of the pictures.
        """
        index = cls.of_pictures_in(folder)
        if index.files or folder.parent == folder:
            return index
        return cls.of_pictures_in(folder.parent)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return self._grouped(lambda file: as_text(file.name))

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        return self._grouped(lambda file: as_text(file.stem))

    @cached_property
    def _folders(self) -> set[str]:
        return {folder for file in self.files for folder in self._folders_of(file)}

    def _grouped(self, key: Callable[[Path], str]) -> dict[str, list[Path]]:
        groups: dict[str, list[Path]] = {}
        for file in self.files:
            groups.setdefault(spelled(key(file)), []).append(file)
        return groups

    def _relative(self, file: Path) -> PurePosixPath:
        return PurePosixPath(as_text(file.relative_to(self.root)))

    def find(self, name: str, near: Sequence[Path] = ()) -> list[Path]:
        """Return the files that a name with an extension may mean, the surest alone.

        The name is a path as any system writes it. Its folders must fit, but for those that hold
        no such files here, as on the machine where it was annotated. Of several files those
        `near`, in or below one of these folders, are meant. Without such a file, one that has
        another extension is.
        """
        parts = parts_of(name)
        if not parts:
            return []
        files = self._fitting(self._by_name.get(spelled(parts[-1]), []), parts, name)
        if not files:
            stem = PurePosixPath(parts[-1]).stem
            files = self._fitting(self._by_stem.get(spelled(stem), []), (*parts[:-1], stem), name)
        return self._nearest(files, parts, near)

    def find_stem(self, stem: str, near: Sequence[Path] = ()) -> list[Path]:
        """Return the files that a name without extension may mean; see `find`."""
        parts = parts_of(stem)
        if not parts:
            return []
        files = self._fitting(self._by_stem.get(spelled(parts[-1]), []), parts, stem)
        return self._nearest(files, parts, near)

    def _fitting(self, candidates: list[Path], parts: Sequence[str], name: str) -> list[Path]:
        """Keep the candidates that lie in the name's folders, as far as these hold files here."""
        folders = [spelled(part) for part in parts[:-1]]
        kept = [folder for folder in folders if folder in self._folders]
        while kept:
            fitting = [file for file in candidates if _follow(kept, self._folders_of(file))]
            if fitting:
                return ([file for file in fitting if self._folders_of(file) == folders]
                        or [file for file in fitting
                            if self._folders_of(file)[-len(kept):] == kept] or fitting)
            if not is_absolute(name):
                return []
            kept.pop(0)  # of a place on another machine, ever less
        return candidates

    def _folders_of(self, file: Path) -> list[str]:
        return [spelled(part) for part in self._relative(file).parts[:-1]]

    def _nearest(self, files: list[Path], parts: Sequence[str],
                 near: Sequence[Path]) -> list[Path]:
        if len(files) < 2:
            return files
        for folder in near:
            inside = [file for file in files if folder == file.parent] or [
                file for file in files if folder in file.parents]
            if inside:
                files = inside
                break
        # the same letters, and not only another spelling of them
        last = parts[-1]
        exact = [file for file in files if last in (as_text(file.name), as_text(file.stem))]
        return exact if len(exact) == 1 else files


def _follow(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Tell whether these stand in the given ones in this order, others between them or not."""
    rest = iter(given)
    return all(word in rest for word in wanted)


#: Names of folders that stand for splits.
SPLIT_FOLDERS = frozenset({"train", "training", "trainval", "val", "valid", "validation", "dev",
                           "test", "testing", "eval"})


def split_of(file: Path, root: Path) -> str:
    """Return the split whose folder a file lies in, or "" for none."""
    return next((part for part in file.relative_to(root).parts[:-1]
                 if part.lower() in SPLIT_FOLDERS), "")


def split_named(file: Path, root: Path) -> str:
    """Return the split that a file is called after, or whose folder it lies in, or ""."""
    words = file.stem.lower().replace("-", "_").replace(".", "_").split("_")
    return next((word for word in words if word in SPLIT_FOLDERS), split_of(file, root))


def refuse_unknown_split(root: Path, split: str | None, known: Iterable[str]) -> None:
    """Raise DataError for a split that is named and is none of the known ones, "" left out."""
    names = sorted({name for name in known if name})
    if split is not None and split not in names:
        raise DataError(f"{root}: there is no split {split!r}; the splits here are: "
                        f"{', '.join(names) or 'none'}")


def missing(annotation: Path, name: str, where: str = "the data set") -> DataIssue:
    """Say that there is no picture for an annotation."""
    return DataIssue(annotation, kinds.MISSING_IMAGE,
                     f"{where} has no file called {name}; left out")


def several(annotation: Path, name: str, files: Sequence[Path], root: Path) -> DataIssue:
    """Say that it cannot be told which of several pictures an annotation is of."""
    names = ", ".join(as_text(file.relative_to(root)) for file in files[:4])
    return DataIssue(annotation, kinds.TWO_IMAGES,
                     f"{name} may be any of {names}; left out: keep the one that was annotated, or "
                     f"name it with its folder and extension")
