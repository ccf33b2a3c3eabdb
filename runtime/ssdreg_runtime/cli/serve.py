"""The command ``ssdreg-serve MODEL ...``: detection over HTTP."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ssdreg_runtime._version import __version__
from ssdreg_runtime.cli.calling import Defaults, Parser, call
from ssdreg_runtime.cli.common import (
    add_backend_arguments,
    add_device_argument,
    add_limit_arguments,
)
from ssdreg_runtime.errors import DependencyError
from ssdreg_runtime.system.installing import install

PROGRAM = "ssdreg-serve"

DESCRIPTION = ("Answer requests over HTTP with detectors that `ssdreg export` wrote: a JSON API, "
               "and the contract of SageMaker's endpoints.")

#: What the extra `serve` installs, by the names that are imported.
_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return call(PROGRAM, lambda: run(parser().parse_args(argv)))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    command_parser = Parser(prog=PROGRAM, description=DESCRIPTION,
                            formatter_class=Defaults)
    command_parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    add_serve_arguments(command_parser)
    return command_parser


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the models and the settings of the server."""
    parser.add_argument("models", nargs="+", metavar="[NAME=]MODEL",
                        help="detectors, .onnx or OpenVINO's .xml, with the names they are asked "
                             "by, else those of the files; the first is the default")
    parser.add_argument("--host", default="127.0.0.1",
                        help="address to listen at; 0.0.0.0 is reached from other machines")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    add_backend_arguments(parser, ("auto", "onnxruntime", "openvino"), "auto",
                          "auto takes OpenVINO where it is installed")
    add_device_argument(parser)
    add_limit_arguments(parser)
    parser.add_argument("--workers", type=int, default=4, metavar="N",
                        help="threads that decode and draw pictures")
    parser.add_argument("--batch", type=int, default=8, metavar="N",
                        help="pictures that run together at most, where a model takes any number "
                             "(ssdreg export --dynamic-batch)")
    parser.add_argument("--batch-wait", type=float, default=5, metavar="MS",
                        help="how long a picture waits for others that are being decoded, to run "
                             "together with them")
    parser.add_argument("--queue", type=int, default=128, metavar="N",
                        help="pictures that are taken and not yet answered; requests beyond are "
                             "refused with status 429")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS",
                        help="from the head of a request to its answer")
    parser.add_argument("--keep-alive", type=float, default=30, metavar="SECONDS",
                        help="how long a connection may be without a complete request, and "
                             "an answer without a reader")
    parser.add_argument("--max-bytes", type=int, default=32 << 20, metavar="N",
                        help="largest body of a request; eight such are held at the same time")
    parser.add_argument("--max-pixels", type=int, default=50_000_000, metavar="N",
                        help="largest picture, width times height, told before it is decoded")
    parser.add_argument("--reload", type=float, default=2, metavar="SECONDS",
                        help="how often to look whether a model's file was replaced; 0: never")
    parser.add_argument("--browser-runtime", type=Path, metavar="FOLDER",
                        help="the folder dist of the npm package onnxruntime-web: the page then "
                             "detects inside the browser too, with ONNX files of ssdreg export "
                             "--input image")
    parser.add_argument("--token-file", type=Path, metavar="FILE",
                        help="holds the token that clients must send (Authorization: Bearer "
                             "TOKEN); without it, SSDREG_SERVE_TOKEN is taken where it is set")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; raise DependencyError where the extra is not installed."""
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise DependencyError(f"serving needs {' and '.join(missing)}, not installed here: run "
                              f"`{install('serve')}`")
    from ssdreg_runtime.serving.browser import check_browser_runtime
    from ssdreg_runtime.serving.models import model_sources
    from ssdreg_runtime.serving.server import serve
    from ssdreg_runtime.serving.settings import Settings
    from ssdreg_runtime.serving.token import read_token
    settings = Settings(
        host=options.host, port=options.port, backend=options.backend, threads=options.threads,
        precision=options.precision, device=options.device, iou=options.iou,
        max_det=options.max_det, workers=options.workers, batch=options.batch,
        batch_wait=options.batch_wait / 1000, queue=options.queue, timeout=options.timeout,
        keep_alive=options.keep_alive, max_bytes=options.max_bytes, max_pixels=options.max_pixels,
        reload=options.reload,
        browser_runtime=options.browser_runtime and check_browser_runtime(options.browser_runtime),
        token=read_token(options.token_file, os.environ)).check()
    serve(model_sources(options.models), settings, _print_line)
    return 0


def _print_line(text: str) -> None:
    print(text, flush=True)
