"""``ssdreg sagemaker serve``: an endpoint, as SageMaker starts it in a container."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ssdreg_runtime.cli import serve
from ssdreg_runtime.cli.common import add_device_argument
from ssdreg_runtime.system.files import scratch_folder

from ssdreg.sagemaker.contract import ROOT, Folders

NAME = "serve"
SUMMARY = "serve the model in the folder of SageMaker's contract, at its port"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR",
                        help="the folder that holds the folder of the model")
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, with what the environment says and else as `ssdreg serve`."""
    from ssdreg.sagemaker.serve import HOST, NAME, read_environment, served_file
    environment = read_environment(os.environ)
    with scratch_folder() as work:
        file = served_file(Folders(options.root).model, work)
        words = [f"{NAME}={file}", "--host", HOST, "--port", str(environment.port),
                 f"--device={options.device}"]
        if environment.workers is not None:
            words += ["--workers", str(environment.workers)]
        if environment.timeout is not None:
            words += ["--timeout", str(environment.timeout)]
        return serve.run(serve.parser().parse_args(words))
