"""Packing: the images and boxes of a data set, once, into a cached RecordIO file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs
from ssdreg_runtime.system.caches import cache as cache_of
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.leftovers import sweep
from ssdreg_runtime.system.names import as_text, native

from ssdreg.data.dataset import Box, Dataset
from ssdreg.data.encoding import encode_all
from ssdreg.data.issues import DataIssue, describe_issues
from ssdreg.data.packed import Packed, is_whole, issues_of, open_rec, write_sidecar
from ssdreg.data.reading import read_dataset
from ssdreg.data.shards import SHARDS, is_packed, withdraw_list, write_list
from ssdreg.errors import DataError
from ssdreg.progress import Progress, Telling, Work

#: Part of every cache key: raise it when the packed format changes.
FORMAT_VERSION = 3

#: A record label is these two widths, then one object after the other.
HEADER_WIDTH = 2
OBJECT_WIDTH = 6  # class, x1, y1, x2, y2, difficult

#: ImageDetRecordIter takes no label without an object, but drops objects that enclose nothing.
NO_OBJECT_ROW = (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
#: Of objects without a usable box: of a class, so that the image is not taken for a negative.
LOST_ROW = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
#: Images of a shard: some hundred megabytes of photos, which a restart may have to pack again.
SHARD_SIZE = 2000


def load(path: str | os.PathLike[str], split: str | None = None,
         classes: Sequence[str] | None = None, format: str | None = None, *,
         progress: Progress | None = None) -> Packed:
    """Open `path` for training or evaluation: a ``.rec`` file, or a data set, packed if need be.

    A ``.rec`` file is one split already, so `split` is not looked at for it. `progress` is told
    how far packing is, see `ssdreg.progress`. Raises `DataError` as `read_dataset`, `pack` and
    `open_rec` do.
    """
    path = Path(path)
    if is_packed(path):
        return open_rec(path, classes)
    return pack(read_dataset(path, split, classes, format), progress=progress)


def pack(dataset: Dataset, cache: str | os.PathLike[str] | None = None,
         shorter_side: int | None = None, *, progress: Progress | None = None) -> Packed:
    """Pack `dataset` into RecordIO, or return what an earlier call packed.

    Images keep their encoded bytes where OpenCV, which MXNet decodes with, makes the same pixels of
    them; others, such as those that are turned, are encoded again. With `shorter_side`, larger
    images are shrunk to that many pixels on their shorter side, which makes reading faster. Each
    image is decoded once by Pillow, which detection reads with, and once by MXNet: those that one
    of them cannot decode, or to other pixels, are problems and are left out. Images without objects
    are kept, as negatives; those whose objects have no usable box are for evaluation.

    `cache` is a folder, by default one below ``$XDG_CACHE_HOME/ssdreg`` (``~/.cache/ssdreg``; see
    `ssdreg_runtime.system.caches` for where there is neither): nothing is written into somebody's
    data set. File names hold a digest of classes, boxes, and the names, sizes and modification
    times of the images, so a change packs anew. Old files stay: the folder may be deleted whenever
    nothing reads from it.

    `progress` is told how far it is. Raises `DataError` when no image with a box is left.
    """
    if shorter_side is not None and shorter_side < 1:
        raise DataError(f"shorter_side is {shorter_side}, but images need at least 1 pixel")
    safe_split = re.sub(r"[^\w.-]", "_", dataset.split)
    name = f"{safe_split}-{_digest(dataset, shorter_side)}"
    kept = cache_of(_cache_name(dataset.root))
    packed_before = kept.find(f"{name}.rec") if cache is None else Path(cache, f"{name}.rec")
    # the side-car is written last, so where it is the others are whole
    if packed_before and packed_before.is_file() and packed_before.with_suffix(".json").is_file():
        return open_rec(packed_before)
    folder = kept.folder() if cache is None else Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    rec = folder / f"{name}.rec"
    work = Work(what=f"packing {dataset.split}", unit="images", total=len(dataset.samples))
    with Telling(progress, work) as told:
        issues = (*dataset.issues, *_write_rec(dataset, rec, shorter_side, told))
    packed = _opened(rec, dataset.classes, issues)
    if not packed.objects:
        rec.unlink()
        rec.with_suffix(".idx").unlink()
        raise _without_images(dataset, issues)
    write_sidecar(packed)
    return packed


def pack_shards(data: str | os.PathLike[str], *, out: str | os.PathLike[str],
                split: str | None = None, shard_size: int = SHARD_SIZE,
                shorter_side: int | None = None, data_format: str | None = None,
                progress: Progress | None = None) -> Packed:
    """Pack a split into a folder, in files of `shard_size` images, and a list of them.

    The list, ``SPLIT.shards``, is what is trained on, or a part of it; see `ssdreg.data.shards`. It
    is written last. What was packed before of the same images is kept: after a stop, of whatever
    kind, the same call goes on behind the last whole file. A list of what was otherwise goes first,
    so that none names files of two states. A file is empty where none of its images can be decoded.
    Files hold the same bytes however many processors there are. `shorter_side` and the rest are as
    for `pack` and `read_dataset`.
    """
    if shard_size < 1:
        raise DataError(f"shards of {shard_size} images cannot be made: 1 or more")
    dataset = read_dataset(data, split, format=data_format)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    name = re.sub(r"[^\w.-]", "_", dataset.split)
    parts = [dataset.samples[start:start + shard_size]
             for start in range(0, len(dataset.samples), shard_size)]
    files = [folder / f"{name}-{number:05d}-of-{len(parts):05d}.rec"
             for number in range(1, len(parts) + 1)]
    listed = folder / f"{name}{SHARDS}"
    # what is wrong with the annotations is told with the first shard
    datasets = [attrs.evolve(dataset, samples=samples, issues=() if number else dataset.issues)
                for number, samples in enumerate(parts)]
    digests = [_digest(part, shorter_side) for part in datasets]
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()[:16]
    withdraw_list(listed, digest)
    work = Work(what=f"packing {dataset.split}", unit="images", total=len(dataset.samples))
    with Telling(progress, work) as told:
        for part, part_digest, rec in zip(datasets, digests, files):
            if is_whole(rec, part_digest):
                told.advance(len(part.samples))
                continue
            rec.with_suffix(".json").unlink(missing_ok=True)
            issues = (*part.issues, *_write_rec(part, rec, shorter_side, told))
            write_sidecar(_opened(rec, dataset.classes, issues), part_digest)
    if not any(file.stat().st_size for file in files):
        raise _without_images(dataset, [issue for file in files for issue in issues_of(file)])
    write_list(listed, files, dataset.classes, digest)
    packed = open_rec(listed)
    if not packed.objects:
        listed.unlink()
        raise _without_images(dataset, packed.issues)
    _remove_others(folder, name, files)
    return packed


def _remove_others(folder: Path, name: str, files: Sequence[Path]) -> None:
    """Remove shards of other sizes."""
    kept = {file.stem for file in files}
    whole = re.compile(rf"({re.escape(name)}-\d{{5}}-of-\d{{5}})\.(rec|idx|json)")
    for file in folder.iterdir():
        match = whole.fullmatch(file.name)
        if match and match[1] not in kept:
            file.unlink(missing_ok=True)


def _cache_name(root: Path) -> str:
    # names of folders are bytes, and need not be letters
    return hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]


def _digest(dataset: Dataset, shorter_side: int | None) -> str:
    key = hashlib.sha256(repr((FORMAT_VERSION, dataset.split, dataset.classes, shorter_side,
                               HEADER_WIDTH, OBJECT_WIDTH)).encode())
    for sample in dataset.samples:
        status = sample.image.stat()
        key.update(repr((as_text(sample.image.parent.name), as_text(sample.image.name),
                         status.st_size, status.st_mtime_ns,
                         sample.width, sample.height, sample.orientation, sample.lost,
                         [attrs.astuple(box) for box in sample.boxes])).encode())
    # reported again from the cache, so they are part of what is cached
    for issue in dataset.issues:
        key.update(repr((as_text(issue.file.name), issue.kind, issue.detail)).encode())
    return key.hexdigest()[:16]


def _write_rec(dataset: Dataset, rec: Path, shorter_side: int | None,
               told: Telling) -> list[DataIssue]:
    """Write ``.rec`` and ``.idx`` beside their places, move them there, and return complaints."""
    from ssdreg.mx import mx, refuse_cut, writing_by_mxnet

    issues: list[DataIssue] = []
    usable = 0
    with replacing(rec, ".idx") as new_rec, writing_by_mxnet(new_rec):
        writer = mx.recordio.MXIndexedRecordIO(native(new_rec.with_suffix(".idx")),
                                               native(new_rec), "w")
        try:
            for sample, encoded in encode_all(dataset.samples, shorter_side):
                told.advance()
                issues += [encoded.issue] if encoded.issue else []
                if encoded.content is None:
                    continue
                label = label_of(sample.boxes, (sample.width, sample.height), dataset.classes,
                                 LOST_ROW if sample.lost else NO_OBJECT_ROW)
                header = mx.recordio.IRHeader(0, label, usable, 0)
                writer.write_idx(usable, mx.recordio.pack(header, encoded.content))
                usable += 1
            size = writer.tell()
        except BaseException:
            # now, and not when it is deleted, where a full disk would be printed a second time
            with suppress(OSError, mx.MXNetError):
                writer.close()
            raise
        writer.close()
        refuse_cut(new_rec, size)
    return issues


def _opened(rec: Path, classes: tuple[str, ...], issues: tuple[DataIssue, ...]) -> Packed:
    """Open a file that was just written; it is empty where no image of it can be decoded."""
    if not rec.stat().st_size:
        return Packed(rec, rec.with_suffix(".idx"), classes, 0, 0, 0, 0, issues)
    return attrs.evolve(open_rec(rec, classes), issues=issues)


def _without_images(dataset: Dataset, issues: Sequence[DataIssue]) -> DataError:
    return DataError(f"{dataset.root}: no image of split {dataset.split!r} that has a box can be "
                     f"decoded; mend or replace the images\n"
                     f"{describe_issues((*dataset.issues, *issues))}")


def label_of(boxes: Sequence[Box], size: tuple[int, int], classes: Sequence[str],
             without: tuple[float, ...] = NO_OBJECT_ROW) -> list[float]:
    """Return the label of a record: widths, then a row an object; `without` where there is none.

    `size` (width, height) is that of the picture in pixels.
    """
    width, height = size
    rows: list[tuple[float, ...]] = [
        (float(classes.index(box.label)), box.x1 / width, box.y1 / height, box.x2 / width,
         box.y2 / height, float(box.difficult)) for box in boxes]
    rows = rows or [without]
    return [float(HEADER_WIDTH), float(OBJECT_WIDTH), *(value for row in rows for value in row)]
