"""Packing: the images and boxes of a data set, once, into a cached RecordIO file."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from PIL import Image
from ssdreg_runtime.io.decoding import decode
from ssdreg_runtime.io.pixels import to_rgb
from ssdreg_runtime.system.caches import cache as cache_of
from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import as_text, native

from ssdreg.data import issues as kinds
from ssdreg.data.dataset import Box, Dataset, Sample
from ssdreg.data.issues import DataIssue, describe_issues
from ssdreg.data.packed import Packed, open_rec, write_sidecar
from ssdreg.data.pictures import UNREADABLE, UPRIGHT, orientation_of, turn
from ssdreg.data.reading import read_dataset
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

_OPENCV_FORMATS = ("JPEG", "PNG", "BMP")
_OPENCV_MODES = ("1", "L", "P", "RGB", "RGBA")
_QUALITY = 95
#: How far two decoders of JPEG may be apart, which round in their own ways: levels of 256, on
#: average. Those of other formats agree to the bit.
_ROUNDING = 2.0


def load(path: str | os.PathLike[str], split: str | None = None,
         classes: Sequence[str] | None = None, format: str | None = None, *,
         progress: Progress | None = None) -> Packed:
    """Open `path` for training or evaluation: a ``.rec`` file, or a data set, packed if need be.

    A ``.rec`` file is one split already, so `split` is not looked at for it. `progress` is told
    how far packing is, see `ssdreg.progress`. Raises `DataError` as `read_dataset`, `pack` and
    `open_rec` do.
    """
    path = Path(path)
    if path.suffix == ".rec":
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
    rec = folder / f"{name}.rec"
    issues = (*dataset.issues, *_write_rec(dataset, rec, shorter_side, progress))
    packed = attrs.evolve(open_rec(rec, dataset.classes), issues=issues)
    write_sidecar(packed)
    return packed


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
               progress: Progress | None) -> list[DataIssue]:
    """Write ``.rec`` and ``.idx`` beside their places, move them there, and return complaints."""
    from ssdreg.mx import mx

    issues: list[DataIssue] = []
    usable = objects = 0
    with replacing(rec, ".idx") as new_rec:
        writer = mx.recordio.MXIndexedRecordIO(native(new_rec.with_suffix(".idx")),
                                               native(new_rec), "w")
        work = Work(what=f"packing {dataset.split}", unit="images", total=len(dataset.samples))
        for sample in Telling(progress, work).over(dataset.samples):
            content = usable_content(sample, shorter_side, issues)
            if content is None:
                continue
            label = label_of(sample.boxes, (sample.width, sample.height), dataset.classes,
                             LOST_ROW if sample.lost else NO_OBJECT_ROW)
            header = mx.recordio.IRHeader(0, label, usable, 0)
            writer.write_idx(usable, mx.recordio.pack(header, content))
            usable, objects = usable + 1, objects + len(sample.boxes)
        writer.close()
        if not objects:
            raise DataError(f"{dataset.root}: no image of split {dataset.split!r} that has a box "
                            f"can be decoded; mend or replace the images\n"
                            f"{describe_issues((*dataset.issues, *issues))}")
    return issues


def prove_images(dataset: Dataset, progress: Progress | None = None) -> list[DataIssue]:
    """Decode every image as packing does, and write nothing; return what packing would say."""
    issues: list[DataIssue] = []
    work = Work(what=f"looking at {dataset.split}", unit="images", total=len(dataset.samples))
    for sample in Telling(progress, work).over(dataset.samples):
        usable_content(sample, None, issues)
    return issues


def usable_content(sample: Sample, shorter_side: int | None,
                   issues: list[DataIssue]) -> bytes | None:
    """Return what is packed of an image, and report what it lacks; None where it is damaged."""
    try:
        content, cut = _encoded(sample, shorter_side)
    except UNREADABLE as error:
        issues.append(DataIssue(sample.image, kinds.UNREADABLE_IMAGE, f"{error}; left out"))
        return None
    if cut:
        issues.append(DataIssue(sample.image, kinds.CUT_IMAGE, cut, action=kinds.KEPT))
    return content


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


def _encoded(sample: Sample, shorter_side: int | None) -> tuple[bytes, str]:
    """Return the file's bytes, proven to decode, or the image encoded again; and what it lacks.

    Raises one of `UNREADABLE` for a damaged file, and for one of which two decoders make two
    pictures.
    """
    image, content, cut = decode(sample.image.read_bytes())
    pixels = to_rgb(image)
    shrink = shorter_side is not None and min(image.size) > shorter_side
    # whether an orientation is heeded is not left to decoders, which differ in it
    turned = orientation_of(image) != UPRIGHT
    if (image.format in _OPENCV_FORMATS and image.mode in _OPENCV_MODES
            and not (shrink or turned)):
        _prove(content, pixels, image.format)
        return content, cut
    pixels = turn(pixels, sample.orientation)
    if shorter_side is not None and shrink:
        scale = shorter_side / min(pixels.size)
        width, height = (max(1, round(side * scale)) for side in pixels.size)
        pixels = pixels.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    if image.format == "JPEG":
        # colors as fine as the rest, which costs little and loses less
        pixels.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    else:
        pixels.save(stream, "PNG")
    return stream.getvalue(), cut


def _prove(content: bytes, pixels: Image.Image, encoding: str | None) -> None:
    """Raise ValueError where MXNet does not decode a file to these pixels."""
    from ssdreg.mx import mx
    try:
        decoded = mx.image.imdecode(content).asnumpy()
    except mx.base.MXNetError as error:
        raise ValueError("it is damaged: OpenCV, which MXNet decodes with, cannot decode it, "
                         "though Pillow does; save it anew") from error
    expected = np.asarray(pixels)
    if decoded.shape != expected.shape:
        raise ValueError(f"it is damaged: OpenCV, which MXNet decodes with, makes "
                         f"{decoded.shape[1]}x{decoded.shape[0]} pixels of it and Pillow "
                         f"{pixels.width}x{pixels.height}; save it anew")
    apart = np.abs(decoded.astype(np.int16) - expected).mean()
    if apart > (_ROUNDING if encoding == "JPEG" else 0):
        raise ValueError("it is damaged: OpenCV, which MXNet decodes with, makes other pixels "
                         "of it than Pillow; save it anew")
