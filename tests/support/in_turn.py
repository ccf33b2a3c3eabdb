"""Run commands of ``ssdreg`` in one process, one after the other; started by `support.worlds`.

    python in_turn.py FOLDER ARGUMENT ... [--then-- ARGUMENT ...] ...

What the third of them writes goes to FOLDER/2.out and FOLDER/2.err, its status to FOLDER/2.status.
The arguments come as those of any command do, decoded as the system's locale has it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssdreg.cli.main import main

#: Stands between two commands.
THEN = "--then--"


def commands(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the arguments of each command."""
    command: list[str] = []
    for word in words:
        if word == THEN:
            yield command
            command = []
        else:
            command.append(word)
    yield command


def run(arguments: Sequence[str], folder: Path, number: int) -> None:
    """Run one command, with the process's own streams led to files."""
    for stream, suffix in ((sys.stdout, "out"), (sys.stderr, "err")):
        stream.flush()
        file = os.open(folder / f"{number}.{suffix}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream.fileno())
        os.close(file)
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    (folder / f"{number}.status").write_text(str(status), encoding="ascii")


if __name__ == "__main__":
    for number, arguments in enumerate(commands(sys.argv[2:])):
        run(arguments, Path(sys.argv[1]), number)
