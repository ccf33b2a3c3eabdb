"""What ``ssdreg-detect`` and ``ssdreg predict`` have in common.

Nothing is imported to declare arguments that is needed to detect only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg_runtime.errors import DataError

if TYPE_CHECKING:
    from ssdreg_runtime.cli.watching import Watching
    from ssdreg_runtime.inference.detector import Detector
    from ssdreg_runtime.io.frame import Stream
    from ssdreg_runtime.io.sinks import Objects, Say, Sink

SOURCES = "IMAGE|DIR|VIDEO|-"

#: Of the exit status: something could not be read and was passed over.
SOME_FAILED = 1


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is looked at and where the drawn pictures go."""
    # one at least: of none, argparse would take the first option for the end of them
    parser.add_argument("sources", nargs="+", metavar=SOURCES,
                        help="images, folders of images, videos; - is standard input: JPEG or PNG "
                             "pictures one after another")
    parser.add_argument("--list", dest="listed", action="store_true",
                        help="look at what is named in these files, a name a line; - reads the "
                             "names from standard input")
    parser.add_argument("--threshold", type=float, default=0.5,
                        help="draw and report objects from this score on, 0 to 1")
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR|FILE.mp4",
                        help="where the drawn pictures go; a video becomes an .mp4 in that folder, "
                             "or the one that is named")


def add_json_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how objects are printed instead of drawn."""
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--json", action="store_true",
                         help="print the objects as JSON, boxes in pixels, and draw nothing")
    written.add_argument("--json-lines", action="store_true",
                         help="the same, but not as one array: an object a line for each picture, "
                              "as soon as it is done")


def objects_of(options: argparse.Namespace) -> Callable[[Say], Objects] | None:
    """Return what writes JSON in the way that was asked for; None where pictures are drawn."""
    from ssdreg_runtime.io.sinks import JsonArray, JsonLines
    return JsonArray if options.json else JsonLines if options.json_lines else None


def add_look_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how boxes and labels are drawn."""
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
    """Declare what the network runs on; `words` are about the backend."""
    parser.add_argument("--backend", choices=backends, default=default,
                        help=f"what runs the network; {words}")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="threads that the network runs with; the real cores by default")
    parser.add_argument("--precision", default="auto",
                        help="what the network is computed in: float32, bfloat16 where the "
                             "processor has it; auto is what the model was made for")


def detect_sources(options: argparse.Namespace, open_detector: Callable[[], Detector],
                   program: str, objects: Callable[[Say], Objects] | None) -> int:
    """Detect in all sources; a bad picture is named and passed over, and the status is then 1.

    `objects` writes JSON, and nothing is drawn; with None, pictures are.
    """
    from ssdreg_runtime.cli.watching import Watching
    from ssdreg_runtime.draw.look import Look
    from ssdreg_runtime.inference.streams import open_streams
    from ssdreg_runtime.io.sinks import JsonSink
    from ssdreg_runtime.io.targets import drawing_sinks
    if not 0 <= options.threshold <= 1:
        raise DataError(f"--threshold {options.threshold:g} is no score: give one of 0 to 1")
    look = Look(line_width=options.line_width, font_size=options.font_size,
                hide_labels=options.hide_labels, hide_scores=options.hide_scores)
    streams = open_streams(_sources(options))
    with Watching(streams) as progress:
        written = objects and objects(progress.say)
        sinks: Sequence[Sink]
        if written is None:
            sinks = drawing_sinks(streams, options.out, options.threshold, look, progress.say)
        else:
            sinks = [JsonSink(written, options.threshold)] * len(streams)
        detector = open_detector()
        looked_at = failed = 0
        for stream, sink in zip(streams, sinks):
            done, bad = _watch(detector, stream, sink, progress, program)
            looked_at, failed = looked_at + done, failed + bad
        if written is not None:
            written.end()
    if failed and looked_at > 1:
        print(f"{failed} of {looked_at} pictures could not be read", file=sys.stderr)
    return SOME_FAILED if failed else 0


def _watch(detector: Detector, source: Stream, sink: Sink, progress: Watching, program: str
           ) -> tuple[int, int]:
    """Detect in one stream; return how many pictures it had, and how many of them were bad."""
    from contextlib import closing

    from ssdreg_runtime.inference.streams import decoders, looked_at
    from ssdreg_runtime.io.frame import Seen
    from ssdreg_runtime.io.pipeline import in_background, in_pool, without_pauses

    def plan(in_order: Generator[Seen | None, None, None]
             ) -> Generator[tuple[Seen, object] | None, None, None]:
        with closing(in_order):
            for seen in in_order:
                yield None if seen is None else (seen, None if seen.error else sink.plan(seen))

    def draw(planned: tuple[Seen, object]) -> tuple[Seen, object]:
        seen, how = planned
        return seen, None if seen.error else sink.draw(seen, how)

    done = bad = 0
    workers = decoders()
    # a thread of its own for the network, which waits for nothing that is planned
    found = in_background(looked_at(detector, source, workers), 1)
    stages = in_pool(draw, plan(found), workers, workers)
    with sink, closing(without_pauses(stages)) as results:
        for seen, drawn in results:
            done += 1
            if seen.error:
                bad += 1
                progress.complain(f"{program}: {seen.error}")
            else:
                sink.write(seen, drawn)
            progress.step()
    return done, bad


def _sources(options: argparse.Namespace) -> list[str]:
    """Return the names that are given, or those in the files that are given."""
    from ssdreg_runtime.inference.streams import STANDARD_INPUT
    sources: list[str] = list(options.sources)
    if options.listed:
        sources = [name for file in sources for name in _names(
            sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes())]
        if not sources:
            raise DataError(f"{', '.join(options.sources)} names nothing to look at: --list takes "
                            f"a file with the name of an image, folder or video a line")
    return sources


def _names(lines: bytes) -> list[str]:
    # names of files are bytes, and need not be letters
    return [os.fsdecode(line) for line in lines.splitlines() if line]
