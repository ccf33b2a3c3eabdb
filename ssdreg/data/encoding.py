"""Pictures as they are packed: the bytes of their files, proven to decode, or encoded again.

Decoding is most of the work, and Pillow and MXNet let other threads run while they do it: several
pictures are in work at once, and come out in their order.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from attrs import field, frozen
from PIL import Image
from ssdreg_runtime.io.decoding import decode_picture
from ssdreg_runtime.io.pixels import to_rgb
from ssdreg_runtime.system.caches import Cache, cache
from ssdreg_runtime.system.files import write_json
from ssdreg_runtime.system.threads import usable_processors

from ssdreg.data import issues as kinds
from ssdreg.data.dataset import Dataset, Sample
from ssdreg.data.issues import DataIssue
from ssdreg.data.pictures import UNREADABLE, UPRIGHT, orientation_of, turn
from ssdreg.progress import Progress, Telling, Work

_OPENCV_FORMATS = ("JPEG", "PNG", "BMP")
_OPENCV_MODES = ("1", "L", "P", "RGB", "RGBA")
_QUALITY = 95
#: How far two decoders of JPEG may be apart, which round in their own ways: levels of 256, on
#: average. Those of other formats agree to the bit.
_ROUNDING = 2.0
#: Pictures in work for each thread: enough that none waits, few enough to be kept in memory.
_AHEAD = 4
#: Pictures after which what was found is written, so that a kill loses no more.
_WRITTEN_AFTER = 20_000
#: Raise it when a picture is proven otherwise.
_VERSION = 1


@frozen
class Encoded:
    """A picture as it is packed, None where it cannot be, and what is to be said of it."""

    content: bytes | None = field(repr=False)
    issue: DataIssue | None = None


def encode_all(samples: Iterable[Sample], shorter_side: int | None = None
               ) -> Iterator[tuple[Sample, Encoded]]:
    """Give the samples, each with its picture as it is packed, in their order."""
    return in_order(lambda sample: encode(sample, shorter_side), samples)


def in_order(work: Callable[[Sample], Encoded], samples: Iterable[Sample]
             ) -> Iterator[tuple[Sample, Encoded]]:
    """Give what `work` makes of each sample, by as many threads as there are processors."""
    threads, left = len(usable_processors()), iter(samples)
    ahead: deque[tuple[Sample, Future[Encoded]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ssdreg-encode") as pool:
        try:
            for sample in itertools.islice(left, threads * _AHEAD):
                ahead.append((sample, pool.submit(work, sample)))
            while ahead:
                sample, future = ahead.popleft()
                yield sample, future.result()
                for following in itertools.islice(left, 1):
                    ahead.append((following, pool.submit(work, following)))
        finally:
            for _, future in ahead:
                future.cancel()


def encode(sample: Sample, shorter_side: int | None = None) -> Encoded:
    """Return a sample's picture as it is packed: at most `shorter_side` pixels on that side."""
    try:
        content, cut = _content(sample, shorter_side)
    except UNREADABLE as error:
        return Encoded(None, DataIssue(sample.image, kinds.UNREADABLE_IMAGE, f"{error}; left out"))
    issue = DataIssue(sample.image, kinds.CUT_IMAGE, cut, action=kinds.KEPT) if cut else None
    return Encoded(content, issue)


def prove_images(dataset: Dataset, progress: Progress | None = None) -> list[DataIssue]:
    """Decode every picture as packing does, and return what packing would say.

    What was found is remembered in the cache, and a picture is decoded again when its file's size
    or time has changed.
    """
    memory = _Memory(dataset.root)
    work = Work(what=f"looking at {dataset.split}", unit="images", total=len(dataset.samples))
    issues = []
    with Telling(progress, work) as told:
        new = [sample for sample in dataset.samples if not memory.knows(sample)]
        told.tell(done=len(dataset.samples) - len(new))
        try:
            for sample, encoded in in_order(lambda sample: Encoded(None, encode(sample).issue),
                                            new):
                memory.keep(sample, encoded.issue)
                told.advance()
                if memory.unwritten >= _WRITTEN_AFTER:
                    memory.write()
        finally:
            if new:
                memory.write()
        issues = [issue for sample in dataset.samples if (issue := memory.issue(sample))]
    return issues


class _Memory:
    """What was found of the pictures of a data set, by their files, sizes and times."""

    def __init__(self, root: Path) -> None:
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
        self._cache: Cache = cache("proofs")
        self._file = f"{name}.pictures"
        kept = self._cache.find(self._file)
        self._known: dict[str, list[str]] = _remembered(kept) if kept and kept.is_file() else {}
        self._keys: dict[Sample, str] = {}
        self.unwritten = 0

    def _key(self, sample: Sample) -> str:
        if sample not in self._keys:
            status = sample.image.stat()
            self._keys[sample] = repr((os.fsencode(sample.image.absolute()), status.st_size,
                                       status.st_mtime_ns, sample.orientation))
        return self._keys[sample]

    def knows(self, sample: Sample) -> bool:
        """Tell whether a picture was looked at, and has not changed."""
        return self._key(sample) in self._known

    def keep(self, sample: Sample, issue: DataIssue | None) -> None:
        """Remember what was found of a picture."""
        self._known[self._key(sample)] = [issue.kind, issue.detail, issue.action] if issue else []
        self.unwritten += 1

    def issue(self, sample: Sample) -> DataIssue | None:
        """Return what was found of a picture, None for nothing."""
        words = self._known[self._key(sample)]
        return DataIssue(sample.image, words[0], words[1], action=words[2]) if words else None

    def write(self) -> None:
        """Write what is known."""
        self.unwritten = 0
        write_json(self._cache.folder() / self._file, {"version": _VERSION, "known": self._known})


def _remembered(file: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        return {str(key): [str(word) for word in words] for key, words in content["known"].items()
                if len(words) in (0, 3)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # it is made again


def _content(sample: Sample, shorter_side: int | None) -> tuple[bytes, str]:
    """Return the file's bytes, proven to decode, or the image encoded again; and what it lacks.

    Encoded again is also a picture so large that it was decoded at a part of its size.

    Raises one of `UNREADABLE` for a damaged file, and for one of which two decoders make two
    pictures.
    """
    picture = decode_picture(sample.image.read_bytes())
    image, content, cut = picture.image, picture.content, picture.missing
    pixels = to_rgb(image)
    shrink = shorter_side is not None and min(image.size) > shorter_side
    # whether an orientation is heeded is not left to decoders, which differ in it
    turned = orientation_of(image) != UPRIGHT
    if (image.format in _OPENCV_FORMATS and image.mode in _OPENCV_MODES
            and not (shrink or turned or picture.is_reduced)):
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
    # by rows, because 16 bits of a whole picture take as much memory as all of the rest
    apart = sum(int(np.abs(row.astype(np.int16) - other).sum())
                for row, other in zip(decoded, expected))
    if apart > (_ROUNDING if encoding == "JPEG" else 0) * expected.size:
        raise ValueError("it is damaged: OpenCV, which MXNet decodes with, makes other pixels "
                         "of it than Pillow; save it anew")
