"""The channels of a job, whatever form they have, as packed files to train and validate on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen
from ssdreg_runtime.system.names import native

from ssdreg.data.json_file import parse_json
from ssdreg.data.packed import open_rec
from ssdreg.data.packing import pack
from ssdreg.data.reading import read_dataset
from ssdreg.data.recordio import index_records
from ssdreg.data.shards import REC
from ssdreg.data.text import read_lines
from ssdreg.errors import DataError
from ssdreg.progress import Progress
from ssdreg.sagemaker.annotations import (
    Annotation,
    class_names,
    default_names,
    of_attributes,
    of_files,
    write_annotations,
)
from ssdreg.sagemaker.contract import ANNOTATION, TRAIN, VALIDATION, Channel, Job
from ssdreg.sagemaker.pipes import PipedPicture, read_pipe

#: Extensions of what describes pictures.
_MANIFESTS = (".manifest", ".jsonl")
_ANNOTATIONS = (*_MANIFESTS, ".json")
#: The longest line of a manifest, in bytes.
_LONGEST = 2**32


@frozen
class JobData:
    """Packed files: what a job trains on, and what it validates on, if anything."""

    train: Path
    validation: Path | None


@frozen
class _Pictures:
    """A channel of pictures: their folder, and a way to go through their annotations."""

    name: str
    folder: Path
    annotations: Callable[[], Sequence[Annotation]]


@frozen
class _Records:
    """A channel that is packed already, in one or several files."""

    name: str
    files: tuple[Path, ...]


def open_channels(job: Job, num_classes: int, work: Path, progress: Progress) -> JobData:
    """Bring the channels of a job to packed files of `num_classes` classes, below `work`.

    A channel holds ``.rec`` files (``application/x-recordio``), pictures whose annotations are in
    the channel ``NAME_annotation``, pictures with an augmented manifest beside them, or, as a
    pipe, either. `progress` is told how far packing is.

    Raises DataError for a channel that is missing or holds nothing of this, for classes whose
    numbers are not below `num_classes`, and what reading a data set raises.
    """
    if TRAIN not in job.channels:
        raise DataError(f"the job has no channel {TRAIN!r} to train on: its channels are "
                        f"{', '.join(job.channels) or 'none'}")
    contents = [_look(job, job.channels[name], work) for name in (TRAIN, VALIDATION)
                if name in job.channels]
    names = _class_names(contents, num_classes)
    packed = [_pack(channel, names, work, progress) if isinstance(channel, _Pictures)
              else _link(channel, names, work) for channel in contents]
    return JobData(packed[0], packed[1] if len(packed) > 1 else None)


def _look(job: Job, channel: Channel, work: Path) -> _Pictures | _Records:
    """Find out what a channel holds."""
    if channel.piped:
        return _keep(channel, work / f"{channel.name}-piped")
    if not channel.folder.is_dir():
        raise DataError(f"{channel.folder} is not there: the channel {channel.name!r} is "
                        f"configured, and holds nothing")
    files = sorted(file for file in channel.folder.rglob("*") if file.is_file())
    records = tuple(file for file in files if file.suffix == REC)
    beside = job.channels.get(f"{channel.name}{ANNOTATION}")
    manifests = [file for file in files if file.suffix in _MANIFESTS]
    if records:
        return _Records(channel.name, records)
    if beside is not None:
        if not any(beside.folder.rglob("*.json")):
            raise DataError(f"{beside.folder} holds no annotations: the channel {beside.name!r} is "
                            f"to have a JSON file for each picture of {channel.name!r}")
        return _Pictures(channel.name, channel.folder,
                         lambda: tuple(of_files(beside.folder)))
    if len(manifests) == 1:
        return _Pictures(channel.name, channel.folder, lambda: _lines(manifests[0]))
    raise DataError(f"the channel {channel.name!r} holds no {REC} file and no augmented manifest, "
                    f"and there is no channel {channel.name}{ANNOTATION} with the annotations of "
                    f"its pictures")


def _lines(manifest: Path) -> tuple[Annotation, ...]:
    """Read an augmented manifest whose pictures lie beside it."""
    try:
        entries = [parse_json(line) for line in read_lines(manifest, _LONGEST) if line.strip()]
    except ValueError as error:
        raise DataError(f"{manifest}: {error}") from error
    read = []
    for number, entry in enumerate(entries, start=1):
        where = f"{manifest}, line {number},"
        if not isinstance(entry, dict) or not isinstance(entry.get("source-ref"), str):
            raise DataError(f"{where} has no source-ref")
        read.append(of_attributes(entry.values(), f"{number:08d}.json", entry["source-ref"],
                                  where))
    return tuple(read)


def _keep(channel: Channel, folder: Path) -> _Pictures | _Records:
    """Read a pipe once, into files."""
    if not channel.pipe.exists():
        raise DataError(f"{channel.pipe} is not there: the channel {channel.name!r} is configured "
                        f"as a pipe")
    folder.mkdir(parents=True)
    with channel.pipe.open("rb") as pipe:
        piped = read_pipe(channel, pipe)
        if piped.records is not None:
            from ssdreg.mx import mx
            rec = folder / f"{channel.name}{REC}"
            writer = mx.recordio.MXRecordIO(native(rec), "w")
            for record in piped.records:
                writer.write(record)
            writer.close()
            return _Records(channel.name, (rec,))
        kept = tuple(_keep_picture(picture, number, folder, channel)
                     for number, picture in enumerate(piped.pictures or ()))
    return _Pictures(channel.name, folder, lambda: kept)


def _keep_picture(picture: PipedPicture, number: int, folder: Path, channel: Channel
                  ) -> Annotation:
    name = f"{number:08d}"
    file = folder / f"{name}{picture.suffix}"
    file.write_bytes(picture.content)
    return of_attributes(picture.attributes, f"{name}.json", file.name,
                                     f"{channel.pipe}: picture {number}")


def _class_names(found: Sequence[_Pictures | _Records], count: int) -> tuple[str, ...]:
    """Return the names of the classes: those of annotations, or of packed files, or numbers."""
    pictures = [channel for channel in found if isinstance(channel, _Pictures)]
    if pictures:
        return class_names((each for channel in pictures for each in channel.annotations()), count)
    names = default_names(count)
    for channel in found:
        for file in channel.files if isinstance(channel, _Records) else ():
            used = index_records(file).class_count
            if used > count:
                raise DataError(f"{file} has objects of class {used - 1}, and num_classes is "
                                f"{count}: classes count from 0")
            own = open_rec(file).classes
            if len(own) == count:
                names = own
    return names


def _pack(channel: _Pictures, names: Sequence[str], work: Path, progress: Progress) -> Path:
    """Pack pictures by their annotations as they hold for the whole job."""
    staged = work / channel.name
    for file in channel.folder.rglob("*"):
        # annotations may lie beside their pictures, and are not to be read a second time
        if file.is_file() and file.suffix not in _ANNOTATIONS:
            link = staged / channel.name / file.relative_to(channel.folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.absolute())
    write_annotations(channel.annotations(), names, staged / f"{channel.name}{ANNOTATION}")
    dataset = read_dataset(staged, channel.name, names, "sagemaker")
    return pack(dataset, work / "packed", progress=progress).rec


def _link(channel: _Records, names: Sequence[str], work: Path) -> Path:
    """Name packed files, joined to one, in a folder where their classes have names."""
    folder = work / f"{channel.name}-packed"
    folder.mkdir()
    rec = folder / f"{channel.name}{REC}"
    if len(channel.files) == 1:
        rec.symlink_to(channel.files[0].absolute())
    else:
        with rec.open("wb") as joined:
            for file in channel.files:
                with file.open("rb") as part:
                    shutil.copyfileobj(part, joined)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return rec
