"""``ssdreg launch``: train one network in several processes, on one machine or several."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ssdreg.errors import LaunchError

NAME = "launch"
SUMMARY = "train in several processes, on one machine or several"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = ("The command behind -- is that of one process; --batch-size is that of all "
                     "workers together. docs/scaling.md has recipes.")
    parser.add_argument("--workers", type=int, required=True, metavar="N",
                        help="processes that train, each with its part of every batch")
    parser.add_argument("--servers", type=int, metavar="M",
                        help="processes that sum up for MXNet's workers; one on each machine when "
                             "not given")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--hosts", type=Path, metavar="FILE",
                       help="start them by ssh on the machines of this file: a name a line, and "
                            "how many workers it takes")
    where.add_argument("--slurm", action="store_true",
                       help="start them by srun in the allocation this runs in")
    where.add_argument("--kubernetes", action="store_true",
                       help="start nothing, and print manifests for kubectl")
    parser.add_argument("--port", type=int,
                        help="where they find each other on the first machine; by default a free "
                             "one here, 29500 elsewhere")
    parser.add_argument("--dry-run", action="store_true",
                        help="start nothing, and print the commands")
    cluster = parser.add_argument_group("with --kubernetes")
    cluster.add_argument("--image", metavar="IMAGE", help="of the pods, with ssdreg in it")
    cluster.add_argument("--claim", metavar="CLAIM",
                         help="the PersistentVolumeClaim with data and runs, mounted at /work")
    cluster.add_argument("--name", default="ssdreg", metavar="NAME", help="the name of the job")
    cluster.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs of each pod")
    parser.add_argument("command", nargs="+", metavar="train ...",
                        help="behind --: the training, as `ssdreg` takes it")


def run(options: argparse.Namespace) -> int:
    """Launch a training."""
    from ssdreg.launching.launch import PORT, launch, members, written
    training = _training(options.command)
    engine = _engine(training, options.workers)
    command = (*options.command, *(() if training.engine == engine else ("--engine", engine)))
    if options.kubernetes:
        from ssdreg.launching.kubernetes import Cluster, manifests
        from ssdreg.launching.layout import Layout
        if not options.image or not options.claim:
            raise LaunchError("--kubernetes needs --image, which has ssdreg in it, and --claim, "
                              "where data and runs are")
        layout = Layout.of(engine, options.workers, options.servers, "", options.port or PORT,
                           machines=options.workers)
        print(manifests(layout, Cluster(name=options.name, image=options.image,
                                        claim=options.claim, gpus=options.gpus), command))
        return 0
    started = members(engine, options.workers, command, servers=options.servers,
                      hosts=options.hosts, slurm=options.slurm, port=options.port)
    if options.dry_run:
        print(written(started))
        return 0
    try:
        return launch(started)
    except LaunchError as error:
        raise LaunchError(f"{error}{_advice(options, training)}") from error


def _training(command: list[str]) -> argparse.Namespace:
    """Return the options of the training, which are refused here before anything is started."""
    from ssdreg.cli.main import parser
    if command[0] != "train":
        raise LaunchError(f"`ssdreg launch` starts trainings, and behind -- stands "
                          f"{command[0]!r}: write -- train ...")
    return parser(("train",)).parse_args(command)


def _engine(training: argparse.Namespace, workers: int) -> str:
    """Return the engine that all workers choose."""
    from ssdreg.engines.choice import choose_engine
    from ssdreg.engines.processes import Processes
    from ssdreg.runs.run import open_run
    from ssdreg.training import state
    before = state.load_engine(open_run(training.out)) if training.resume else None
    # on a machine for each worker, as far as the choice goes
    return choose_engine(training.engine, training.device, before,
                         Processes(count=max(1, workers))).engine.name


def _advice(options: argparse.Namespace, training: argparse.Namespace) -> str:
    """Say how to go on, where there is something to go on from."""
    from ssdreg.training import restarting
    if not restarting.is_saved(training.out):
        return ""
    words = ["ssdreg", "launch", "--workers", str(options.workers)]
    for name, value in (("servers", options.servers), ("hosts", options.hosts),
                        ("port", options.port)):
        words += [f"--{name}", str(value)] if value is not None else []
    words += ["--slurm"] if options.slurm else []
    words += ["--", "train", "--resume", "--out", str(training.out)]
    return f"\n{training.out} is whole; go on with: {shlex.join(words)}"
