"""A member of a job: ``python -m ssdreg.cli.member ... -- train ...``.

It is told, or finds out, which member it is, sets the environment, and trains or serves. Tied to
what launched it, it reads standard input: a line asks it to stop as Ctrl-C does, and the end means
that the launcher is gone, on whatever machine; then it ends too, with all that it started.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

from ssdreg_runtime.system.threads import VARIABLE, usable_processors

from ssdreg.cli.main import main as command
from ssdreg.launching.finding import own_number, own_place
from ssdreg.launching.layout import WORKER, Layout, Place
from ssdreg.launching.telling import MODULE


def main(arguments: Sequence[str]) -> int:
    """Be a member of a job; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.tied:
        _tie()
    layout = Layout(workers=options.workers, servers=options.servers, root=options.root,
                    port=options.port)
    member = own_number(os.environ) if options.member is None else options.member
    if options.place is None:
        place = own_place(layout, os.environ, _address())
    else:
        rank, count, address = options.place
        place = Place(int(rank), int(count), address)
    os.environ.update(layout.environment(member, place))
    if layout.role(member) != WORKER:
        # Ctrl-C is for the workers, which save and then end the servers
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        import ssdreg.mx  # noqa: F401  # serves, and ends this process when all have ended
        return 0
    os.environ.setdefault(VARIABLE, str(max(1, len(usable_processors()) // place.count)))
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


def _address() -> str:
    """Return this machine's address as the others see it; empty where it has no name."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return ""


def _tie() -> None:
    with suppress(PermissionError):  # it leads its group already
        os.setpgid(0, 0)
    Thread(target=_obey, daemon=True).start()


def _obey() -> None:
    while os.read(sys.stdin.fileno(), 1):
        os.kill(os.getpid(), signal.SIGINT)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
