"""A data set of any format, written in another: the pictures and boxes that are trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from ssdreg_runtime.system.files import replacing_folder
from ssdreg_runtime.system.names import as_text

from ssdreg.data import issues as kinds
from ssdreg.data.dataset import Box, Dataset, Sample
from ssdreg.data.encoding import encode_all
from ssdreg.data.issues import DataIssue
from ssdreg.data.originals import image_sizes
from ssdreg.data.packed import Packed, open_rec
from ssdreg.data.proof import proved
from ssdreg.data.reading import available_splits, read_dataset
from ssdreg.data.recordio import image_of, index_records, objects_of
from ssdreg.data.shards import is_packed
from ssdreg.data.writing import NO_SPLIT, Picture, open_writer
from ssdreg.errors import DataError
from ssdreg.progress import Progress, Telling, Work

#: Extensions by what a picture's bytes begin with.
_BEGINNINGS = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"BM", ".bmp"))


@frozen
class WrittenSplit:
    """What was written of a split, whose name is "" where the data set has none."""

    name: str
    images: int
    objects: int
    by_class: tuple[int, ...] = ()


@frozen
class Written:
    """A data set that was written: where, in which format, its classes, splits, and what was lost.

    `issues` are those of reading it: what was left out is not there.
    """

    folder: Path
    format: str
    classes: tuple[str, ...]
    splits: tuple[WrittenSplit, ...]
    issues: tuple[DataIssue, ...] = field(default=(), repr=False)


def convert(data: str | os.PathLike[str], *, to: str, out: str | os.PathLike[str],
            split: str | None = None, data_format: str | None = None,
            progress: Progress | None = None) -> Written:
    """Read a data set of any format, or a ``.rec`` file, and write it as `to` into a new folder.

    Every split is written, or only `split`. Pictures are those that training sees: upright, in the
    bytes of their files where these make the same pixels everywhere, else encoded again. Classes
    keep their order, and samples theirs. Pictures whose objects have no usable box are left out,
    as they would be taken for pictures without objects.

    Edges read back equal to 1e-6 pixels, from a ``.rec`` file, which holds float32, to a millionth
    of the picture's sides. Raises DataError for what cannot be read, and for a folder that is
    there already.
    """
    path, folder = Path(data), Path(out)
    refuse_folder(folder)
    if is_packed(path):
        if split is not None:
            raise DataError(f"{path} is one split already: leave --split {split} out")
        packed = proved(open_rec(path), progress)
        return write_dataset({NO_SPLIT: recorded_pictures(packed, progress)}, packed.classes, to,
                             folder, list(packed.issues))
    names = (split,) if split is not None else available_splits(path, data_format) or (NO_SPLIT,)
    # all splits have the same classes
    classes = read_dataset(path, min(names, key=len) or None, format=data_format).classes
    datasets = {name: read_dataset(path, name or None, format=data_format)
                for name in _without_lists_of_classes(names, classes)}
    return write_splits(datasets, to, folder, progress=progress)


def _without_lists_of_classes(names: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Leave out what VOC has beside the list of a split: one of each class, as dog_train."""
    lists = {f"{label}_{name}" for label in classes for name in names}
    return [name for name in names if name not in lists]


def write_splits(datasets: Mapping[str, Dataset], to: str, folder: Path, *,
                 progress: Progress | None = None) -> Written:
    """Write data sets that have the same classes as the splits of one."""
    issues = list(dict.fromkeys(issue for dataset in datasets.values() for issue in dataset.issues))
    files = _FileNames()
    classes = next(iter(datasets.values())).classes
    return write_dataset({name: _pictures(dataset, files, issues, progress)
                          for name, dataset in datasets.items()}, classes, to, folder, issues)


def write_dataset(splits: Mapping[str, Iterable[Picture]], classes: tuple[str, ...], to: str,
                  folder: Path, issues: list[DataIssue]) -> Written:
    """Write pictures, split by split, beside `folder`, and rename when all is there.

    `issues` may grow while the pictures are read.
    """
    refuse_folder(folder)
    with replacing_folder(folder) as beside:
        writer = open_writer(to, beside, classes)
        written = []
        for name, pictures in splits.items():
            images, counts = 0, [0] * len(classes)
            for read in pictures:
                picture = _without_small(read, writer.least_side, to, issues)
                if picture is None:
                    continue
                writer.add(name, picture)
                images += 1
                for box in picture.boxes:
                    counts[classes.index(box.label)] += 1
            written.append(WrittenSplit(name, images, sum(counts), tuple(counts)))
        if not any(split.objects for split in written):
            raise DataError(f"{folder} was not written: no picture that has a box can be decoded\n"
                            f"{kinds.describe_issues(issues)}")
        writer.finish()
    return Written(folder, to, classes, tuple(written), tuple(dict.fromkeys(issues)))


def _without_small(picture: Picture, least: float, to: str,
                   issues: list[DataIssue]) -> Picture | None:
    """Leave out boxes that a format cannot hold, and say so; None where no other is left."""
    kept = []
    for number, box in enumerate(picture.boxes, start=1):
        width, height = box.x2 - box.x1, box.y2 - box.y1
        if min(width, height) > least:
            kept.append(box)
            continue
        issues.append(DataIssue(Path(picture.file), kinds.EMPTY_BOX,
                                f"object {number} ({box.label}) has {width:g}x{height:g} pixels, "
                                f"and {to} holds no box of {least:g} pixel or less; left out",
                                f"object {number} ({box.label})"))
    # without its objects it would be taken for a picture that has none
    return None if picture.boxes and not kept else evolve(picture, boxes=tuple(kept))


def refuse_folder(folder: Path) -> None:
    """Raise DataError where a folder cannot be written anew."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: name a folder that is not there yet")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} is there already, and not empty: name another folder")


class _FileNames:
    """File names that are unique in a data set, whatever folders its pictures lie in.

    A name is kept where it can be; of several alike the later ones get their folders in front.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[Path, tuple[Box, ...]], str] = {}
        self._stems: set[str] = set()

    def of(self, sample: Sample, content: bytes) -> str:
        """Return a picture's name, with the extension of what is in it.

        Where two splits have other boxes on it, as files of COCO may, it is two pictures.
        """
        key = sample.image, sample.boxes
        if key not in self._files:
            self._files[key] = f"{self._stem(sample.image)}{_suffix(sample.image, content)}"
        return self._files[key]

    def _stem(self, image: Path) -> str:
        stem, folders = as_text(image.stem), [as_text(part.name) for part in image.parents]
        for folder in folders:
            if stem.casefold() not in self._stems:
                break
            stem = f"{folder}_{stem}" if folder else f"{stem}_"
        while stem.casefold() in self._stems:
            stem = f"{stem}_"
        self._stems.add(stem.casefold())
        return stem


def _suffix(image: Path, content: bytes) -> str:
    kept = image.suffix.lower()
    for beginning, suffix in _BEGINNINGS:
        if content.startswith(beginning):
            same = kept == suffix or (kept, suffix) == (".jpeg", ".jpg")
            return image.suffix if same else suffix
    return image.suffix


def _pictures(dataset: Dataset, files: _FileNames, issues: list[DataIssue],
              progress: Progress | None) -> Iterator[Picture]:
    """Give the usable pictures of a split; those that are damaged are added to the issues."""
    work = Work(what=f"writing {dataset.split}", unit="images", total=len(dataset.samples))
    # what lost its objects was said when it was read
    samples = [sample for sample in dataset.samples if not sample.lost]
    for sample, encoded in Telling(progress, work).over(encode_all(samples)):
        issues += [encoded.issue] if encoded.issue else []
        if encoded.content is not None:
            yield _picture(sample, files.of(sample, encoded.content), encoded.content)


def _picture(sample: Sample, file: str, content: bytes) -> Picture:
    return Picture(file, content, sample.width, sample.height, sample.boxes)


def recorded_pictures(packed: Packed, progress: Progress | None) -> Iterator[Picture]:
    """Give the pictures of a file, called by their numbers."""
    index = index_records(packed.rec)
    work = Work(what=f"writing {packed.rec.name}", unit="images", total=packed.images)
    sizes = image_sizes(packed)
    for number in Telling(progress, work).over(range(packed.images)):
        if not index.objects[number] and not index.negative[number]:
            continue  # objects of which no box can be used
        width, height = sizes[number]
        boxes = tuple(Box(packed.classes[int(row[0])], row[1] * width, row[2] * height,
                          row[3] * width, row[4] * height, bool(row[5]))
                      for row in objects_of(index, number).tolist())
        content = image_of(index, number)
        yield Picture(f"{number:06d}{_suffix(Path(), content) or '.png'}", content, width, height,
                      boxes)
