"""``ssdreg serve``: exported detectors, asked over HTTP."""

from __future__ import annotations

import argparse

from ssdreg_runtime.cli import serve

NAME = "serve"
SUMMARY = "answer requests over HTTP with exported detectors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    serve.add_serve_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until the process is told to end; the runtime does it, without MXNet."""
    return serve.run(options)
