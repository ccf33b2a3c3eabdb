"""The arguments and the work that ``ssdreg-detect`` and ``ssdreg predict`` share.

Declaring arguments imports nothing that only detection needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.errors import DataError

if TYPE_CHECKING:
    from ssdreg_runtime.cli.stream_progress import StreamProgress
    from ssdreg_runtime.inference.detector import Detector
    from ssdreg_runtime.inference.tracking import Tracker
    from ssdreg_runtime.io.frame import Stream
    from ssdreg_runtime.io.saving import CocoFile, Saver
    from ssdreg_runtime.io.sinks import JsonWriter, PrintLine, Sink

SOURCES = "IMAGE|DIR|VIDEO|CAMERA|-"

#: The exit status when an input could not be read and was passed over.
SOME_FAILED = 1


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs and the target of the drawn pictures."""
    # "+", because with "*" argparse would end the list at the first option
    parser.add_argument("sources", nargs="+", metavar=SOURCES,
                        help="images, folders of images, videos; cameras: a number, as 0, or the "
                             "address of a stream, as rtsp://HOST/PATH; - is standard input: JPEG "
                             "or PNG pictures one after another")
    parser.add_argument("--list", dest="listed", action="store_true",
                        help="look at what is named in these files, a name a line; - reads the "
                             "names from standard input")
    parser.add_argument("--recursive", action="store_true",
                        help="take the images of the folders in a folder too")
    parser.add_argument("--reconnect", type=float, default=60, metavar="SECONDS",
                        help="how long a camera or stream that was lost is tried again")
    parser.add_argument("--threshold", type=float, default=0.5,
                        help="draw and report objects from this score on, 0 to 1")
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR|FILE.mp4",
                        help="where the drawn pictures go; a video becomes an .mp4 in that folder, "
                             "or the one that is named")


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which objects are wanted: how many, of which classes, how far apart."""
    add_limit_arguments(parser)
    parser.add_argument("--track", action="store_true",
                        help="follow objects from frame to frame of a video or camera: each has a "
                             "number, drawn behind its name, `track` in JSON")
    parser.add_argument("--only", metavar="A,B,C",
                        help="look for these classes alone, by their names; all by default")


def add_limit_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how far apart objects are wanted, and how many."""
    parser.add_argument("--iou", type=float, metavar="SHARE",
                        help="of two boxes of a class that overlap by this or more, drop the "
                             "lesser; by default what the detector was made with")
    parser.add_argument("--max-det", type=int, metavar="N",
                        help="objects of a picture at most, the best; all by default")


def add_saving_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is saved besides, in the folder of ``--out``."""
    parser.add_argument("--save-crops", action="store_true",
                        help="save each object as a picture of its own, in the folder of --out: "
                             "crops/CLASS/NAME-1.png")
    parser.add_argument("--save-txt", action="store_true",
                        help="save the objects of each picture as YOLO's text files, without "
                             "scores: labels/NAME.txt, and the classes in classes.txt")
    parser.add_argument("--save-coco", action="store_true",
                        help="save all objects in one file, as COCO has annotations, with scores: "
                             "coco.json")


def only(options: argparse.Namespace) -> list[str] | None:
    """Return the names of the classes that are looked for; None for all."""
    return None if options.only is None else options.only.split(",")


def add_json_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that print objects as JSON instead of drawing them."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true",
                       help="print the objects as JSON, boxes in pixels, and draw nothing")
    group.add_argument("--json-lines", action="store_true",
                       help="the same, but not as one array: an object a line for each picture, "
                              "as soon as it is done")


def objects_of(options: argparse.Namespace) -> Callable[[PrintLine], JsonWriter] | None:
    """Return the JSON writer that the options name; None where pictures are drawn."""
    from ssdreg_runtime.io.sinks import JsonArray, JsonLines
    return JsonArray if options.json else JsonLines if options.json_lines else None


def add_look_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of drawn boxes and labels."""
    parser.add_argument("--line-width", type=int, metavar="PIXELS",
                        help="width of the boxes' lines, 1 to 100; by default it follows the "
                             "picture's size")
    parser.add_argument("--font-size", type=int, metavar="PIXELS",
                        help="size of the labels' letters, 6 to 400; by default it follows the "
                             "picture's size, and is smaller where labels are many")
    parser.add_argument("--hide-labels", action="store_true", help="draw the boxes alone")
    parser.add_argument("--hide-scores", action="store_true",
                        help="leave the scores out of the labels")


def add_backend_arguments(parser: argparse.ArgumentParser, backends: Sequence[str],
                          default: str | None, words: str) -> None:
    """Declare backend, threads and precision; `words` end the help of the backend."""
    parser.add_argument("--backend", choices=backends, default=default,
                        help=f"what runs the network; {words}")
    add_computation_arguments(parser)


def add_computation_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare threads and precision."""
    parser.add_argument("--threads", type=int, metavar="N",
                        help="threads that the network runs with; the real cores by default")
    parser.add_argument("--precision", default="auto",
                        help="what the network is computed in: float32, bfloat16 where the "
                             "processor has it; auto is what the model was made for")


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Declare what computes, of the devices that run model files."""
    parser.add_argument("--device", default="cpu", metavar="NAME",
                        help="what computes: cpu; cuda, cuda:1 or tensorrt by ONNX "
                             "Runtime; openvino:GPU or another device of OpenVINO's")


def add_ray_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of detection on a cluster."""
    group = parser.add_argument_group("many pictures, on Ray")
    group.add_argument("--ray", metavar="ADDRESS",
                       help="detect in pictures and folders by the workers of a Ray cluster, and "
                            "write a row a picture into files in the folder of --out, nothing "
                            "drawn; what is in there is not detected again. local starts a cluster "
                            "on this machine, auto takes the one that runs here, HOST:PORT another")
    group.add_argument("--format", metavar="NAME", choices=("parquet", "jsonl"),
                       help="with --ray, of the files: parquet, the default, or jsonl, an object a "
                            "line")
    group.add_argument("--workers", type=int, metavar="N",
                       help="with --ray, processes that detect, each with --threads, 1 by default; "
                            "as many as the cluster has processors for, by default")


def detect_sources(options: argparse.Namespace, open_detector: Callable[[], Detector],
                   program: str, make_writer: Callable[[PrintLine], JsonWriter] | None) -> int:
    """Detect in all sources and return the exit status.

    A picture that cannot be read is named on standard error and passed over, and the status is
    then `SOME_FAILED`. With `make_writer`, the objects are written as
    JSON and nothing is drawn; an array of JSON is closed also where a stream ends in an error.
    """
    if options.ray is not None:
        from ssdreg_runtime.cli.many import detect_on_ray
        return detect_on_ray(options, source_names(options))
    if options.format or options.workers is not None:
        raise DataError("--format and --workers are of --ray ADDRESS: give that too, or leave them "
                        "out")
    from ssdreg_runtime.cli.stream_progress import StreamProgress
    from ssdreg_runtime.draw.look import Look
    from ssdreg_runtime.inference.streams import open_streams
    from ssdreg_runtime.io.pictures import find_images, find_images_below
    from ssdreg_runtime.io.saving import Names, SavingSink
    from ssdreg_runtime.io.sinks import JsonSink
    from ssdreg_runtime.io.targets import drawing_sinks
    if not 0 <= options.threshold <= 1:
        raise DataError(f"--threshold {options.threshold:g} is no score: give one of 0 to 1")
    look = Look(line_width=options.line_width, font_size=options.font_size,
                hide_labels=options.hide_labels, hide_scores=options.hide_scores)
    savers, coco = _savers(options)
    streams = open_streams(source_names(options),
                           find_images_below if options.recursive else find_images,
                           options.reconnect)
    with StreamProgress(streams) as progress:
        writer = make_writer and make_writer(progress.print_line)
        sinks: Sequence[Sink]
        if writer is None:
            sinks = drawing_sinks(streams, options.out, options.threshold, look,
                                  progress.print_line)
        else:
            sinks = [JsonSink(writer, options.threshold)] * len(streams)
        if savers:
            names = Names()
            sinks = [SavingSink(sink, savers, options.threshold, names.of) for sink in sinks]
        detector = open_detector()
        picture_count = failed_count = 0
        # a camera is only ever ended by an interruption, or lost, and any stream may end in an
        # error: what was found is whole then too
        with ExitStack() as ends:
            if writer is not None:
                ends.callback(writer.end)
            if coco is not None:
                ends.callback(coco.write)
            for stream, sink in zip(streams, sinks):
                tracker = _tracker(stream, options) if options.track else None
                done, bad = _detect_stream(detector, stream, sink, progress, program, tracker)
                picture_count, failed_count = picture_count + done, failed_count + bad
    if failed_count and picture_count > 1:
        print(f"{failed_count} of {picture_count} pictures could not be read", file=sys.stderr)
    return SOME_FAILED if failed_count else 0


def _savers(options: argparse.Namespace) -> tuple[list[Saver], CocoFile | None]:
    """Return what saves objects besides, and among it the file that is written at the end."""
    from ssdreg_runtime.io.saving import COCO, CROPS, CocoFile, Crops, YoloLabels, folder_of
    savers: list[Saver] = []
    if not (options.save_crops or options.save_txt or options.save_coco):
        return savers, None
    folder = folder_of(options.out)
    coco = CocoFile(folder / COCO) if options.save_coco else None
    if options.save_crops:
        savers.append(Crops(folder / CROPS))
    if options.save_txt:
        savers.append(YoloLabels(folder))
    if coco is not None:
        savers.append(coco)
    return savers, coco


def _tracker(stream: Stream, options: argparse.Namespace) -> Tracker:
    """Return what follows the objects of a stream; raise DataError where nothing moves."""
    from ssdreg_runtime.inference.tracking import Tracker
    from ssdreg_runtime.io.video import FRAME_RATE, Video
    if stream.unit != "frame":
        raise DataError(f"--track follows objects from frame to frame, and {stream.name} is no "
                        f"video and no camera: leave it out")
    return Tracker(options.threshold,
                   float(stream.rate if isinstance(stream, Video) else FRAME_RATE))


def _detect_stream(detector: Detector, stream: Stream, sink: Sink, progress: StreamProgress,
                   program: str, tracker: Tracker | None) -> tuple[int, int]:
    """Detect in one stream, and follow its objects with a tracker.

    Return the number of its pictures, and of those that failed.
    """
    from contextlib import closing

    from ssdreg_runtime.inference.streams import decoder_count, detect_stream
    from ssdreg_runtime.inference.tracking import follow
    from ssdreg_runtime.io.frame import FrameResult
    from ssdreg_runtime.io.pipeline import in_background, in_pool, without_pauses

    def plan(in_order: Generator[FrameResult | None, None, None]
             ) -> Generator[tuple[FrameResult, object] | None, None, None]:
        with closing(in_order):
            for result in in_order if tracker is None else follow(in_order, tracker):
                yield None if result is None else (
                    result, None if result.error else sink.plan(result))

    def draw(planned: tuple[FrameResult, object]) -> tuple[FrameResult, object]:
        result, plan_of_result = planned
        return result, None if result.error else sink.draw(result, plan_of_result)

    done = bad = 0
    workers = decoder_count()
    # the network has its own thread, so that it never waits for planning
    results_ahead = in_background(detect_stream(detector, stream, workers), 1)
    stages = in_pool(draw, plan(results_ahead), workers, workers)
    with sink, closing(without_pauses(stages)) as drawn_results:
        for result, drawn in drawn_results:
            done += 1
            if result.error:
                bad += 1
                progress.print_error(f"{program}: {result.error}")
            else:
                sink.write(result, drawn)
            progress.advance()
    return done, bad


def source_names(options: argparse.Namespace) -> list[str]:
    """Return the inputs' names: the arguments, or with ``--list`` the lines of those files."""
    from ssdreg_runtime.inference.streams import STANDARD_INPUT
    sources: list[str] = list(options.sources)
    if options.listed:
        sources = [name for file in sources for name in _file_names(
            sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes())]
        if not sources:
            raise DataError(f"{', '.join(options.sources)} names nothing to look at: --list takes "
                            f"a file with the name of an image, folder or video a line")
    return sources


def _file_names(lines: bytes) -> list[str]:
    # file names are bytes, and may not be text in any encoding
    return [os.fsdecode(line) for line in lines.splitlines() if line]
