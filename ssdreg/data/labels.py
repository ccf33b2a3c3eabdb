"""The classes of a data set, and which of them a label in a file means."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from ssdreg.data import issues as kinds
from ssdreg.data.annotation import AnnotatedSet
from ssdreg.data.background import is_background, without_background
from ssdreg.data.issues import DataIssue
from ssdreg.errors import DataError


@frozen
class Classes:
    """The names of the classes, in their order, and the class that each label means."""

    names: tuple[str, ...]
    meanings: dict[str, str] = field(repr=False)

    def meaning(self, label: str) -> str:
        """Return the class that a label means, or "" for none."""
        return self.meanings.get(label, "")


def folded(name: str) -> str:
    """Return a name in one spelling: composed letters, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def find_classes(annotated: AnnotatedSet,
                 wanted: Sequence[str] | None) -> tuple[Classes, list[DataIssue]]:
    """Return the classes, and what is to be said about them.

    They are those that are `asked` for, else those that a file declares, else the sorted labels. A
    label in another case, or with composed letters written in two, means the class of that name;
    names of a single letter keep their case, because letters are classes in some data sets. Raises
    DataError when there is no class, or one is named twice.
    """
    issues: list[DataIssue] = []
    root = annotated.root
    if wanted is not None:
        names, background = tuple(wanted), without_background(wanted)[1]
        issues += [DataIssue(root, kinds.BACKGROUND,
                             f"{background!r} is among the classes that are asked for, and stays "
                             f"one of them; the background itself is not counted as a class",
                             action=kinds.KEPT)] if background else []
    elif annotated.classes is not None:
        file = annotated.declared or root
        names, background = without_background(annotated.classes)
        issues += [DataIssue(file, kinds.BACKGROUND,
                             f"{background!r} is no class: the background is not counted; "
                             f"left out, as a file without that line would have it",
                             action=kinds.PUT_RIGHT)] if background else []
    else:
        names = without_background(_spellings(annotated.labels))[0]
    _check(names, root)
    meanings = _meanings(annotated.labels, names)
    issues += _respelled(annotated, meanings)
    issues += _alike(annotated.declared or root, names)
    if wanted is None and annotated.classes is not None:
        issues += _empty(annotated.declared or root, names, set(meanings.values()))
    return Classes(names, meanings), issues


def _spellings(labels: dict[str, int]) -> tuple[str, ...]:
    """Return the labels, sorted; of several spellings of one the most frequent, or composed."""
    best: dict[str, str] = {}
    for label in sorted(labels, key=lambda name: (
            -labels[name], not unicodedata.is_normalized("NFC", name), name)):
        best.setdefault(_key(label), label)
    return tuple(sorted(best.values()))


def _key(label: str) -> str:
    composed = unicodedata.normalize("NFC", label)
    return composed if len(composed) == 1 else folded(label)


def _meanings(labels: dict[str, int], names: Sequence[str]) -> dict[str, str]:
    exact = set(names)
    by_key: dict[str, str] = {}
    for name in names:
        # two classes that differ in nothing but case: no other spelling can be told apart
        by_key[_key(name)] = "" if _key(name) in by_key else name
    classes = {label: label if label in exact else by_key.get(_key(label), "") for label in labels}
    return {label: name for label, name in classes.items() if name}


def _respelled(annotated: AnnotatedSet, meanings: dict[str, str]) -> list[DataIssue]:
    first: dict[str, Path] = {}
    count: dict[str, int] = {}
    for picture in annotated.pictures:
        for item in picture.objects:
            if meanings.get(item.label, item.label) != item.label:
                first.setdefault(item.label, picture.annotation)
                count[item.label] = count.get(item.label, 0) + 1
    return [DataIssue(file, kinds.OTHER_SPELLING,
                      f"{count[label]} objects called {label!r}, here and in other files, are "
                      f"taken as {meanings[label]!r}", label, kinds.PUT_RIGHT)
            for label, file in first.items()]


def _alike(file: Path, names: Sequence[str]) -> list[DataIssue]:
    first: dict[str, str] = {}
    issues = []
    for name in names:
        other = first.setdefault(_key(name), name)
        if other != name:
            issues.append(DataIssue(file, kinds.OTHER_SPELLING,
                                    f"{other!r} and {name!r} are two classes; kept: if they are "
                                    f"one, spell it in one way", name, kinds.KEPT))
    return issues


def _empty(file: Path, names: Sequence[str], used: set[str]) -> list[DataIssue]:
    return [DataIssue(file, kinds.EMPTY_CLASS,
                      f"{name!r} is declared, but no object of the whole data set is of it; kept",
                      name, kinds.KEPT) for name in names if name not in used]


def _check(classes: Sequence[str], root: Path) -> None:
    if not classes:
        raise DataError(f"{root}: no annotation names an object, so there are no classes")
    if len(set(classes)) != len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        raise DataError(f"{root}: these class names are given more than once: {', '.join(twice)}")


def refusal(label: str) -> tuple[str, str]:
    """Return the kind and the sentence for a label that means no class."""
    if is_background(label):
        return kinds.BACKGROUND, ("the background is not annotated, it is what no box covers; left "
                                  "out (call it something else to keep it)")
    return kinds.UNKNOWN_CLASS, "not one of the classes asked for; left out"
