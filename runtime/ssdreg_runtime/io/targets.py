"""The target files of drawn pictures and videos, none of which replaces an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path

from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.io.camera import file_name
from ssdreg_runtime.io.frame import FrameResult, Stream
from ssdreg_runtime.io.pictures import ImageFiles
from ssdreg_runtime.io.sinks import PictureSink, PrintLine, Sink, VideoSink
from ssdreg_runtime.io.video import VIDEO_SUFFIXES, Video

_VIDEO = ".mp4"


def drawing_sinks(streams: Sequence[Stream], out: Path, threshold: float, look: Look,
                  print_line: PrintLine) -> list[Sink]:
    """Make the sink of each stream: `out` is the folder they draw into, or one video's own .mp4.

    Raises DataError when a picture would replace one of the inputs, and for a video's name as `out`
    unless the only input is one video.
    """
    files = [file for stream in streams for file in _files(stream)]
    if out.suffix.lower() in VIDEO_SUFFIXES and not out.is_dir():
        targets = {_one_video(streams, out).file: out}
    else:
        targets = output_files(files, out)
    return [VideoSink(stream, targets[stream.file], threshold, look, print_line)
            if isinstance(stream, Video)
            else PictureSink(partial(_picture_file, targets, out), threshold, look, print_line)
            for stream in streams]


def output_files(files: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Name the picture of each file: its own name with .png, numbered when two are alike.

    That of a video ends with .mp4. Raises DataError when one would replace one of the files.
    """
    inputs = {file.resolve() for file in files}
    targets: dict[Path, Path] = {}
    taken: set[Path] = set()
    for file in files:
        suffix = _VIDEO if file.suffix.lower() in VIDEO_SUFFIXES else ".png"
        names = chain((file.stem,), (f"{file.stem}-{number}" for number in count(2)))
        target = next(path for name in names if (path := out / f"{name}{suffix}") not in taken)
        if target.resolve() in inputs:
            raise DataError(f"{target} is one of the images and would be replaced by its picture: "
                            f"choose another --out")
        taken.add(target)
        targets[file] = target
    return targets


def _files(stream: Stream) -> Sequence[Path]:
    if isinstance(stream, ImageFiles):
        return stream.files
    return (stream.file,) if isinstance(stream, Video) else ()


def _one_video(streams: Sequence[Stream], out: Path) -> Video:
    if out.suffix.lower() != _VIDEO:
        raise DataError(f"--out {out}: videos are written as {_VIDEO} only")
    first, *others = streams
    if others or not isinstance(first, Video):
        raise DataError(f"--out {out} is a video, which is drawn from one video only: give a "
                        f"folder for the pictures of anything else")
    if out.resolve() == first.file.resolve():
        raise DataError(f"--out {out} is the video that is looked at: choose another name")
    return first


def _picture_file(targets: Mapping[Path, Path], out: Path, result: FrameResult) -> Path:
    frame = result.frame
    if frame.number is None:
        return targets[Path(frame.stream)]
    return out / f"{file_name(frame.stream)}-{frame.number:06d}.png"
