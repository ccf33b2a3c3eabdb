"""Members of a job that run: watched together, stopped together, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import IO

from attrs import frozen

from ssdreg.errors import LaunchError
from ssdreg.launching.hosts import Member
from ssdreg.launching.layout import WORKER

#: Seconds between two looks at the members; until servers must have ended behind the workers; and
#: in which a member may say why it failed, when another has failed already.
LOOK, SERVERS_END, SAY = 0.2, 10.0, 1.0
#: The lines of a member's output that are shown when it fails.
SHOWN = 20
#: The exit statuses of a worker that has ended as it should: done, or stopped and saved.
DONE, STOPPED = 0, 130


@frozen(eq=False)
class Running:
    """A member that was started; `lines` are the last ones it wrote, unless all were shown."""

    member: Member
    process: subprocess.Popen[bytes]
    lines: deque[str]
    reader: Thread | None

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """Ask it to stop as Ctrl-C does."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """End it at once, with all that it started, here or on another machine."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            # by this a member that runs elsewhere learns that it is over
            self.process.stdin.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.reader is not None:
            self.reader.join(SAY)

    def how(self) -> str:
        """Say how it ended."""
        status = self.process.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        ending = "\n".join(self.lines)
        if self.reader is None:
            return f"{self.member.title} {how}; what it said stands above"
        return f"{self.member.title} {how}" + (f"; the end of its log:\n{ending}" if ending else "")


def supervise(members: Sequence[Member]) -> int:
    """Run the members of a job to its end; return the exit status of its workers.

    The first worker writes to this process's output, and of the others the last lines are kept.
    Ctrl-C asks the workers to stop, which they do together, and a second one ends them. Whatever
    happens, none is left when this returns. Raises LaunchError where a member fails, with the end
    of its log; the others are ended then.
    """
    with _ended_on_sigterm(), _started(members) as running:
        workers = [one for one in running if one.member.role == WORKER]
        is_stopping = False
        while True:
            try:
                time.sleep(LOOK)
                _refuse_failed(running)
                if all(worker.status is not None for worker in workers):
                    break
            except KeyboardInterrupt:
                if is_stopping:
                    raise
                is_stopping = True
                for worker in workers:
                    worker.stop()
        _await_servers(running)
        return max(worker.process.returncode for worker in workers)


def _refuse_failed(running: Sequence[Running]) -> None:
    # servers end as they should with the last of the workers, or a moment before it
    failed = [one for one in running if one.status not in (None, DONE, STOPPED)]
    if not failed:
        return
    time.sleep(SAY)
    first = failed[0]
    if first.reader is not None:
        first.reader.join(SAY)
    raise LaunchError(first.how())


def _await_servers(running: Sequence[Running]) -> None:
    until = time.monotonic() + SERVERS_END
    while time.monotonic() < until and any(one.status is None for one in running):
        time.sleep(LOOK)


@contextmanager
def _started(members: Sequence[Member]) -> Iterator[Sequence[Running]]:
    """Start members, and end at the end those that still run."""
    running: list[Running] = []
    shown = next(member for member in members if member.role == WORKER)
    try:
        for member in members:
            running.append(_start(member, member is shown))
        yield running
    finally:
        for one in running:
            one.end()


def _start(member: Member, is_shown: bool) -> Running:
    output, errors = (None, None) if is_shown else (subprocess.PIPE, subprocess.STDOUT)
    try:
        # a session of its own: the terminal's Ctrl-C comes to this process alone, which hands it on
        process = subprocess.Popen(member.command, stdin=subprocess.PIPE, start_new_session=True,
                                   stdout=output, stderr=errors)
    except OSError as error:
        raise LaunchError(f"{member.title} cannot be started: {member.command[0]}: "
                          f"{error.strerror}") from error
    lines: deque[str] = deque(maxlen=SHOWN)
    reader = None
    if process.stdout is not None:
        reader = Thread(target=_keep, args=(process.stdout, lines), daemon=True)
        reader.start()
    return Running(member, process, lines, reader)


def _keep(stream: IO[bytes], lines: deque[str]) -> None:
    for line in stream:
        lines.append(line.decode("utf-8", "replace").rstrip())


@contextmanager
def _ended_on_sigterm() -> Iterator[None]:
    """End the members on SIGTERM as well, which else would end this process alone."""
    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
