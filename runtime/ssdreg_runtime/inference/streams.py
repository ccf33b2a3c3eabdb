"""Detection in folders, videos and standard input, with decoding and drawing in parallel.

    detector = Detector("cells.onnx")
    for result in stream(detector, "clip.mp4"):
        print(result.frame.time, result.detections.names)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Union

from attrs import evolve, field, frozen

from ssdreg_runtime.boxes.detections import Detections, failed_detections
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.io.camera import PATIENCE_SECONDS, Camera, is_camera
from ssdreg_runtime.io.frame import Decode, Frame, FrameResult, Stream
from ssdreg_runtime.io.images import ImageLike, PreparedImage
from ssdreg_runtime.io.pictures import ImageFiles, Images, find_images
from ssdreg_runtime.io.pipeline import in_background, in_pool, without_pauses
from ssdreg_runtime.io.video import VIDEO_SUFFIXES, open_video
from ssdreg_runtime.system.threads import usable_processors

#: What stands for standard input among names of files.
STANDARD_INPUT = "-"

Streamable = Union[str, "os.PathLike[str]", Iterable[ImageLike], Stream]


def stream(detector: Detector, source: Streamable, workers: int | None = None
           ) -> Generator[FrameResult, None, None]:
    """Detect in all pictures of a stream, in order, a few pictures ahead of the consumer.

    `source` is a folder of images, a video file, ``-`` for standard input (see `open_streams`), or
    any iterable of images as `Detector.detect` takes them. They are read and decoded by `workers`
    threads (as many as there are processors, 4 at most), and detection runs in one thread in
    batches of the detector's size; on standard input one by one, so that no picture waits for the
    next. Memory does not grow with the stream: three batches and twice `workers` pictures are held.

    A picture that cannot be read is yielded with its `error`, and the others follow. Any other
    exception is raised after all threads have ended; they have ended, too, when the generator is
    closed before its end, which `contextlib.closing` and leaving a loop over it do. Raises
    DataError for a source that is no stream, or has no picture.
    """
    return without_pauses(detect_stream(detector, as_stream(source), workers or decoder_count()))


def detect_stream(detector: Detector, source: Stream, workers: int
                  ) -> Generator[FrameResult | None, None, None]:
    """Detect as `stream` does, as a stage of `ssdreg_runtime.io.pipeline`: it yields None too."""
    batch_size = 1 if source.live else detector.batch_size
    prepared = in_pool(partial(_prepare, detector), source.frames(), workers, workers)
    return in_background(_detect_batches(detector, prepared, batch_size), batch_size)


def decoder_count() -> int:
    """Return how many threads decode, and how many draw: one a processor, 4 at most."""
    return min(4, len(usable_processors()))


def as_stream(source: Streamable) -> Stream:
    """Return the stream of a source as `stream` takes it; raise DataError for what is none."""
    if isinstance(source, (str, os.PathLike)):
        return open_streams([source])[0]
    if isinstance(source, Stream):
        return source
    if isinstance(source, Iterable):
        return Images(source)
    raise DataError(f"{type(source).__name__} is no stream: give the name of a folder or video, "
                    f"or an iterable of images")


def open_streams(sources: Sequence[str | os.PathLike[str]],
                 find: Callable[[Path], list[Path]] = find_images,
                 patience: float = PATIENCE_SECONDS) -> list[Stream]:
    """Open images, folders of images, videos, cameras and ``-``, standard input, in this order.

    Consecutive images form one stream, which has each file once; the name's extension tells a video
    from an image. `find` lists the images of a folder. A camera is its number, as ``0``, or the
    address of a stream, as ``rtsp://HOST/PATH``; one that is lost is connected to again for
    `patience` seconds. Standard input holds JPEG or PNG pictures one after another. Raises
    DataError for a name that does not exist, a folder without images, and a file that is no video;
    raises DependencyError for a video where PyAV is not installed.
    """
    streams: list[Stream] = []
    images: dict[Path, None] = {}  # an ordered set
    known: set[Path] = set()

    def close_images() -> None:
        if images:
            streams.append(ImageFiles(tuple(images)))
            images.clear()

    for source in dict.fromkeys(os.fspath(source) for source in sources):
        path = Path(source)
        if source == STANDARD_INPUT:
            from ssdreg_runtime.io.piped import standard_input
            close_images()
            streams.append(standard_input())
        elif is_camera(source):
            close_images()
            streams.append(Camera(source, patience))
        elif path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
            close_images()
            streams.append(open_video(path))
        else:
            new_files = [file for file in _image_files(path, find) if file not in known]
            known.update(new_files)
            images.update(dict.fromkeys(new_files))
    close_images()
    return streams


def _image_files(path: Path, find: Callable[[Path], list[Path]]) -> list[Path]:
    if path.is_dir():
        return find(path)
    if path.is_file():
        return [path]
    raise DataError(f"{path} is not there: give an image or a folder of images, or a video")


@frozen(eq=False)
class _PreparedFrame:
    """A frame, and its image prepared for the network; None where it could not be read."""

    frame: Frame
    prepared: PreparedImage | None = field(repr=False)


def _prepare(detector: Detector, decode: Decode) -> _PreparedFrame:
    frame = decode()
    if frame.pixels is None:
        return _PreparedFrame(frame, None)
    prepared = detector.prepare(frame.pixels)
    return _PreparedFrame(frame, evolve(prepared, size=frame.size or prepared.size))


def _detect_batches(detector: Detector, prepared: Generator[_PreparedFrame | None, None, None],
                    batch_size: int) -> Iterator[FrameResult | None]:
    with closing(prepared):
        pending: list[_PreparedFrame] = []
        for frame in prepared:
            if frame is None:
                yield None
                continue
            pending.append(frame)
            if len(pending) == batch_size:
                yield from _detect_batch(detector, pending)
                pending = []
        yield from _detect_batch(detector, pending)


def _detect_batch(detector: Detector, batch: Sequence[_PreparedFrame]) -> Iterator[FrameResult]:
    results = iter(detect_prepared(detector, [item.prepared for item in batch
                                              if item.prepared is not None]))
    for item in batch:
        frame = item.frame
        detections = (failed_detections(frame.error, detector.classes) if item.prepared is None
                      else next(results))
        if detections.error and not frame.error:
            frame = evolve(frame, error=f"{frame.name}: {detections.error}")
        yield FrameResult(frame, detections)


def detect_prepared(detector: Detector, batch: Sequence[PreparedImage]) -> Sequence[Detections]:
    """Detect in prepared images; a result for each, with its `error` where none can be used."""
    if not batch:
        return ()
    try:
        return detector.detect(batch)
    except DataError as error:  # the network's outputs are finite for none of them
        return [failed_detections(str(error), detector.classes)] * len(batch)
