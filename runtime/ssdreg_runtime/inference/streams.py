"""Detection in folders, videos and standard input, with decoding and drawing done meanwhile.

    detector = Detector("cells.onnx")
    for seen in stream(detector, "clip.mp4"):
        print(seen.frame.time, seen.detections.names)
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Union

from attrs import evolve, field, frozen

from ssdreg_runtime.boxes.detections import Detections, failed
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.io.frame import Decode, Frame, Seen, Stream
from ssdreg_runtime.io.images import ImageLike, Prepared
from ssdreg_runtime.io.pictures import ImageFiles, Images, find_images
from ssdreg_runtime.io.pipeline import in_background, in_pool, without_pauses
from ssdreg_runtime.io.video import VIDEO_SUFFIXES, open_video
from ssdreg_runtime.system.threads import usable_processors

#: What stands for standard input among names of files.
STANDARD_INPUT = "-"

Streamable = Union[str, "os.PathLike[str]", Iterable[ImageLike], Stream]


def stream(detector: Detector, source: Streamable, workers: int | None = None
           ) -> Generator[Seen, None, None]:
    """Detect in all pictures of a stream, in order, as far ahead as a few pictures.

    `source` is a folder of images, a video file, ``-`` for standard input (see `open_streams`), or
    any iterable of images as `Detector.detect` takes them. They are read and decoded by `workers`
    threads (as many as there are processors, 4 at most), and looked at in one thread in groups of
    the detector's batch; those of standard input one by one, so that none waits for the next. What
    is held at a time does not grow with the stream: three groups and twice `workers` pictures.

    A picture that cannot be read is given with its `error`, and the rest goes on. Anything else
    that goes wrong is raised, and all threads have then ended; so they have when the generator is
    closed before its end, which `contextlib.closing` and leaving a loop over it do. Raises
    DataError for what is no stream, or has no picture.
    """
    return without_pauses(looked_at(detector, as_stream(source), workers or decoders()))


def looked_at(detector: Detector, source: Stream, workers: int
              ) -> Generator[Seen | None, None, None]:
    """Do what `stream` does, as a stage of `ssdreg_runtime.io.pipeline`, which gives None too."""
    group = 1 if source.live else detector.batch_size
    ready = in_pool(partial(_prepare, detector), source.frames(), workers, workers)
    return in_background(_detect(detector, ready, group), group)


def decoders() -> int:
    """How many threads decode, and as many draw: the processors, 4 at most."""
    return min(4, len(usable_processors()))


def as_stream(source: Streamable) -> Stream:
    """Make a stream of what `stream` takes."""
    if isinstance(source, (str, os.PathLike)):
        return open_streams([source])[0]
    if isinstance(source, Stream):
        return source
    if isinstance(source, Iterable):
        return Images(source)
    raise DataError(f"{type(source).__name__} is no stream: give the name of a folder or video, "
                    f"or an iterable of images")


def open_streams(sources: Sequence[str | os.PathLike[str]]) -> list[Stream]:
    """Open images, folders of images, videos and ``-``, standard input, in this order.

    Images that stand together are one stream, in which each is once; the name's extension tells a
    video from an image. Standard input has JPEG or PNG pictures one after another. Raises
    DataError for a name of nothing, a folder without images, a file that is no video; raises
    DependencyError for a video where PyAV is not installed.
    """
    streams: list[Stream] = []
    images: dict[Path, None] = {}  # an ordered set
    seen: set[Path] = set()

    def close_images() -> None:
        if images:
            streams.append(ImageFiles(tuple(images)))
            images.clear()

    for source in dict.fromkeys(os.fspath(each) for each in sources):
        path = Path(source)
        if source == STANDARD_INPUT:
            from ssdreg_runtime.io.piped import standard_input
            close_images()
            streams.append(standard_input())
        elif path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
            close_images()
            streams.append(open_video(path))
        else:
            new = [file for file in _images(path) if file not in seen]
            seen.update(new)
            images.update(dict.fromkeys(new))
    close_images()
    return streams


def _images(path: Path) -> list[Path]:
    if path.is_dir():
        return find_images(path)
    if path.is_file():
        return [path]
    raise DataError(f"{path} is not there: give an image or a folder of images, or a video")


@frozen(eq=False)
class _Ready:
    """A frame, and what the network takes of it where there is something to take."""

    frame: Frame
    prepared: Prepared | None = field(repr=False)


def _prepare(detector: Detector, decode: Decode) -> _Ready:
    frame = decode()
    return _Ready(frame, None if frame.pixels is None else detector.prepare(frame.pixels))


def _detect(detector: Detector, ready: Generator[_Ready | None, None, None], group: int
            ) -> Iterator[Seen | None]:
    with closing(ready):
        waiting: list[_Ready] = []
        for each in ready:
            if each is None:
                yield None
                continue
            waiting.append(each)
            if len(waiting) == group:
                yield from _look(detector, waiting)
                waiting = []
        yield from _look(detector, waiting)


def _look(detector: Detector, group: Sequence[_Ready]) -> Iterator[Seen]:
    found = iter(_found(detector, [each.prepared for each in group if each.prepared is not None]))
    for each in group:
        frame = each.frame
        detections = (failed(frame.error, detector.classes) if each.prepared is None
                      else next(found))
        if detections.error and not frame.error:
            frame = evolve(frame, error=f"{frame.name}: {detections.error}")
        yield Seen(frame, detections)


def _found(detector: Detector, batch: Sequence[Prepared]) -> Sequence[Detections]:
    if not batch:
        return ()
    try:
        return detector.detect(batch)
    except DataError as error:  # for none of them did the network give numbers that are finite
        return [failed(str(error), detector.classes)] * len(batch)
