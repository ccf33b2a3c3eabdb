"""A member of a job: ``python -m ssdreg.cli.member ... -- train ...``.

It is told, or finds out, which member it is, sets the environment, and trains or serves. Tied to
what launched it, it reads standard input: a line asks it to stop as Ctrl-C does, and the end means
that the launcher is gone, on whatever machine; then it ends too, with all that it started. What
keeps it from its part is said in one sentence.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

from ssdreg_runtime.cli.calling import call
from ssdreg_runtime.system.threads import VARIABLE, usable_processors

from ssdreg.cli.main import main as command
from ssdreg.errors import LaunchError
from ssdreg.graph.symbol_file import reason_of
from ssdreg.launching.addresses import interface_of, located, refuse_taken
from ssdreg.launching.finding import TASK, own_number, own_place
from ssdreg.launching.layout import SCHEDULER, WORKER, Layout, Place
from ssdreg.launching.telling import MODULE

#: By which network interface gloo tells other machines where it listens.
GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"


def main(arguments: Sequence[str]) -> int:
    """Be a member of a job; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.tied:
        _tie()
    return call("ssdreg", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    layout = Layout(workers=options.workers, servers=options.servers, root=options.root,
                    port=options.port)
    member = own_number(os.environ) if options.member is None else options.member
    if options.place is None:
        place = own_place(layout, os.environ)
    else:
        rank, count, address = options.place
        place = Place(int(rank), int(count), address)
    layout, place = located(layout, place)
    os.environ.update(layout.environment(member, place))
    if layout.role(member) != WORKER:
        _serve(layout, member, place)
        return 0
    os.environ.setdefault(VARIABLE, str(max(1, len(usable_processors()) // place.count)))
    interface = interface_of(place.address)
    if interface:
        os.environ.setdefault(GLOO_INTERFACE, interface)
    return command(options.command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    for name in ("workers", "servers", "port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--member", type=int)
    parser.add_argument("--place", nargs=3, metavar=("RANK", "COUNT", "ADDRESS"))
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("command", nargs="+")
    return parser


def _serve(layout: Layout, member: int, place: Place) -> None:
    """Be the scheduler or a server until all workers have ended."""
    if layout.role(member) == SCHEDULER:
        refuse_taken(place.address, layout.port)
    # Ctrl-C is for the workers, which save and then end the servers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import ssdreg.mx  # noqa: F401  # serves, and ends this process when all have ended
    except RuntimeError as error:
        raise LaunchError(f"the {layout.title(member)} at {place.address} failed: "
                          f"{reason_of(error)}") from error


def _tie() -> None:
    # a task of Slurm's stays in its group, by which Slurm may find what to end
    if TASK not in os.environ:
        with suppress(PermissionError):  # it leads its group already
            os.setpgid(0, 0)
    Thread(target=_obey, daemon=True).start()


def _obey() -> None:
    while os.read(sys.stdin.fileno(), 1):
        os.kill(os.getpid(), signal.SIGINT)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
