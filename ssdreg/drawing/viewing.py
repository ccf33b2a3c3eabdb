"""Contact sheets of a data set: its samples as they are trained on, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
from PIL import Image, ImageDraw
from ssdreg_runtime.draw.look import font_of
from ssdreg_runtime.draw.paint import contact_sheet, draw_truths
from ssdreg_runtime.io.decoding import decode_picture
from ssdreg_runtime.io.pixels import to_rgb
from ssdreg_runtime.system.files import replacing, scratch_folder
from ssdreg_runtime.system.names import shown

from ssdreg.data.annotation import AnnotatedPicture
from ssdreg.data.augmentation import Augmentation
from ssdreg.data.checking import check
from ssdreg.data.dataset import Dataset, Sample
from ssdreg.data.issues import KEPT, LEFT_OUT, PUT_RIGHT, SET_ASIDE, DataIssue
from ssdreg.data.iterator import open_train
from ssdreg.data.packed import open_rec
from ssdreg.data.packing import pack
from ssdreg.data.pictures import UNREADABLE, turn
from ssdreg.data.reading import annotated_set, read_dataset
from ssdreg.data.shards import is_packed
from ssdreg.data.unpacking import unpack
from ssdreg.errors import DataError
from ssdreg.progress import Progress
from ssdreg.registry.preprocessing import Preprocessing

#: Pictures of a sheet, and how often each is shown augmented.
COUNT, VERSIONS = 12, 3
#: A cell of a sheet in pixels (width, height), and how many stand in a row of plain samples.
_CELL, _COLUMNS = (320, 240), 4
#: What is looked at first: what was lost, what was changed, what is doubtful.
_ORDER = (LEFT_OUT, PUT_RIGHT, KEPT, SET_ASIDE)
_RED, _DARK, _PAPER = (214, 39, 40), (32, 32, 32), (255, 255, 255)
_FONT, _LINE = 13, 17
_EXTENSIONS = (".png", ".jpg", ".jpeg")


def view(data: str | os.PathLike[str], out: str | os.PathLike[str], *, split: str | None = None,
         data_format: str | None = None, count: int = COUNT, seed: int = 0,
         augmentation: Augmentation | None = None, data_shape: tuple[int, int] = (300, 300)
         ) -> None:
    """Draw samples with their boxes into a picture, `count` of them drawn by `seed`.

    With an `augmentation` each is a row: as it is, and three times as training sees it, at
    `data_shape` (height, width). Raises DataError for what cannot be read, and for a file that is
    neither .png nor .jpg.
    """
    file = _checked(out, count)
    with scratch_folder() as folder:
        chosen = _chosen(Path(data), split, data_format, count, seed, folder)
        pictures = [_annotated(sample, chosen) for sample in chosen.samples]
        captions = [_caption(sample) for sample in chosen.samples]
        versions = [] if augmentation is None else list(
            _augmented(chosen, augmentation, data_shape, seed))
    columns = _COLUMNS
    if versions:
        rows = [(picture, *(version[number] for version in versions))
                for number, picture in enumerate(pictures)]
        pictures = [picture for row in rows for picture in row]
        captions = [caption for name in captions
                    for caption in (name, *["as trained on"] * VERSIONS)]
        columns = 1 + VERSIONS
    _write(contact_sheet(pictures, columns, captions, _CELL), file)


def view_issues(data: str | os.PathLike[str], out: str | os.PathLike[str], *,
                split: str | None = None, data_format: str | None = None, count: int = COUNT,
                progress: Progress | None = None) -> int:
    """Draw what `check` complains of, the worst first: pictures with the boxes that are meant.

    Returns the number of complaints that are shown; nothing is written where there is none. Boxes
    are drawn where the annotation has them, before anything was put right. Raises DataError as
    `view` does.
    """
    file = _checked(out, count)
    path = Path(data)
    if is_packed(path):
        raise DataError(f"{path} is packed already, and its annotations are not there: --worst "
                        f"looks at what it was packed from")
    issues = check(path, split, data_format, progress=progress).issues
    worst = _worst(issues, count)
    if worst:
        annotated = annotated_set(path, split, data_format)
        by_file = {key: picture for picture in (*annotated.pictures, *annotated.others)
                   for key in (picture.annotation, picture.image)}
        _write(_issue_sheet([(issue, by_file.get(issue.file)) for issue in worst]), file)
    return len(worst)


def _checked(out: str | os.PathLike[str], count: int) -> Path:
    file = Path(out)
    if file.suffix.lower() not in _EXTENSIONS:
        raise DataError(f"{file}: a contact sheet is a .png or .jpg file")
    if count < 1:
        raise DataError(f"{count} pictures make no sheet: 1 or more")
    return file


def _chosen(path: Path, split: str | None, data_format: str | None, count: int, seed: int,
            folder: Path) -> Dataset:
    """Return the samples to show; those of a packed data set are written into `folder`."""
    if not is_packed(path):
        return _choose(read_dataset(path, split, format=data_format), count, seed)
    if split is not None:
        raise DataError(f"{path} is one split already: leave --split {split} out")
    return _choose(unpack(open_rec(path), folder), count, seed)


def _choose(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Return `count` samples, those with boxes first, in the order of the data set."""
    random = np.random.default_rng(seed)
    with_boxes = [number for number, sample in enumerate(dataset.samples) if sample.boxes]
    without = [number for number, sample in enumerate(dataset.samples) if sample.negative]
    drawn = random.permutation(with_boxes)[:count].tolist()
    # some negatives where there are any, as they are trained on
    spare = max(count - len(drawn), min(len(without), count // 6))
    drawn = [*drawn[:count - min(spare, len(without))],
             *random.permutation(without)[:spare].astype(int).tolist()]
    return attrs.evolve(dataset, samples=tuple(dataset.samples[number]
                                               for number in sorted(drawn)))


def _caption(sample: Sample) -> str:
    objects = "no object" if not sample.boxes else f"{len(sample.boxes)} objects"
    return f"{shown(Path(sample.image.name))}: {sample.width}x{sample.height}, {objects}"


def _annotated(sample: Sample, dataset: Dataset) -> Image.Image:
    """Return a sample as it is trained on, with its boxes."""
    image = decode_picture(sample.image.read_bytes()).image
    rows = [(dataset.classes.index(box.label), box.x1 / sample.width, box.y1 / sample.height,
             box.x2 / sample.width, box.y2 / sample.height, box.difficult) for box in sample.boxes]
    return draw_truths(turn(to_rgb(image), sample.orientation), np.array(rows).reshape(-1, 6),
                       dataset.classes)


def _augmented(dataset: Dataset, augmentation: Augmentation, data_shape: tuple[int, int], seed: int
               ) -> Iterator[list[Image.Image]]:
    """Give the samples as training sees them, once for each version."""
    with scratch_folder() as folder:
        packed = pack(dataset, folder)
        for version in range(VERSIONS):
            batches = open_train(packed, data_shape, 1, augmentation, Preprocessing((0, 0, 0)),
                                 seed=seed * VERSIONS + version, threads=1)
            pictures: dict[int, Image.Image] = {}
            try:
                for batch in batches:
                    pixels = batch.data[0].asnumpy()[0].transpose(1, 2, 0)
                    image = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
                    pictures[int(batch.index[0])] = draw_truths(
                        image, batch.label[0].asnumpy()[0], dataset.classes)
            finally:
                batches.close()
            yield [pictures[number] for number in range(len(dataset.samples))]


def _worst(issues: Sequence[DataIssue], count: int) -> list[DataIssue]:
    """Return issues in the order of what was done, each kind in turn, so that all are seen."""
    ranked: list[DataIssue] = []
    for action in _ORDER:
        by_kind: dict[str, list[DataIssue]] = {}
        for issue in issues:
            if issue.action == action:
                by_kind.setdefault(issue.kind, []).append(issue)
        longest = max(map(len, by_kind.values()), default=0)
        ranked += [group[place] for place in range(longest) for group in by_kind.values()
                   if place < len(group)]
    return ranked[:count]


def _issue_sheet(entries: Sequence[tuple[DataIssue, AnnotatedPicture | None]]) -> Image.Image:
    """Lay the complaints out in rows: a picture, and beside it what is said of it."""
    width, height = _CELL
    gap, text_width = 12, 620
    sheet = Image.new("RGB", (width + text_width + 3 * gap, len(entries) * (height + gap) + gap),
                      _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, (issue, picture) in enumerate(entries):
        top = gap + row * (height + gap)
        image = _offender(issue, picture)
        if image is not None:
            image.thumbnail(_CELL)
            sheet.paste(image, (gap + (width - image.width) // 2,
                                top + (height - image.height) // 2))
        else:
            pen.rectangle((gap, top, gap + width, top + height), outline=_DARK)
            pen.text((gap + width / 2, top + height / 2), "no picture to show", fill=_DARK,
                     font=font_of(_FONT), anchor="mm")
        words = [f"{row + 1}. {issue.kind}: {issue.action}", shown(Path(issue.file.name)), "",
                 *_wrapped(issue.detail, text_width)]
        for line, text in enumerate(words[:height // _LINE]):
            pen.text((2 * gap + width, top + line * _LINE), text, fill=_RED if not line else _DARK,
                     font=font_of(_FONT))
    return sheet


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font_of(_FONT).getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _offender(issue: DataIssue, picture: AnnotatedPicture | None) -> Image.Image | None:
    """Return the picture that a complaint is about, with the boxes as they are written."""
    file = issue.file if picture is None else picture.image
    try:
        decoded = decode_picture(file.read_bytes())
        image = to_rgb(decoded.image)
    except UNREADABLE:
        return None
    if picture is None:
        return image
    scale = max(image.size) / max(_CELL)
    pen = ImageDraw.Draw(image)
    for item in picture.objects:
        numbers = item.numbers if item.outline else picture.coordinates.corners(item.numbers)
        if not np.isfinite(numbers).all():
            continue
        # a large picture may be decoded at a part of its size
        full = (1, 1) if picture.coordinates.shares else decoded.size
        width, height = image.width / full[0], image.height / full[1]
        x1, y1, x2, y2 = (number * side for number, side in zip(numbers, (width, height) * 2))
        meant = issue.object in ("", item.name)
        pen.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)),
                      outline=_RED if meant else (255, 220, 60),
                      width=max(1, round((3 if meant else 1.5) * scale)))
    return image


def _write(sheet: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as beside:
        sheet.save(beside, "PNG" if file.suffix.lower() == ".png" else "JPEG", quality=90)


