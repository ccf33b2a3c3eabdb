"""Worker processes, seen from the one who asks: started, given turns, and always ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import IO, Any

from attrs import field, frozen

from ssdreg.errors import BenchError

#: How long a worker that was told to go may take before it is killed, in seconds.
PATIENCE = 3.0


@frozen
class Task:
    """What a worker is to be: how it is started, and the job it reads, see `ssdreg.bench.protocol`.

    `environ` is its whole environment.
    """

    name: str
    command: tuple[str, ...]
    job: Mapping[str, Any]
    environ: Mapping[str, str] = field(factory=lambda: dict(os.environ), repr=False)


class Worker:
    """A process that works when it is its turn; use it in a ``with``, which ends it.

    It has a session of its own: Ctrl-C in the terminal reaches only us, and its own children end
    with it. Raises BenchError, a sentence without the task's name, where the process fails.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed with it)
        try:
            self._process = subprocess.Popen(
                task.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=dict(task.environ), text=True, encoding="utf-8", start_new_session=True)
        except OSError as error:
            self._errors.close()
            raise BenchError(f"{task.command[0]} cannot be started: {error.strerror}"
                             ) from error

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._end_now()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def prepare(self) -> Mapping[str, Any]:
        """Give it its job and wait until it is ready; return the facts that it answers."""
        facts: Mapping[str, Any] = self._ask(self.task.job, "ready")
        return facts

    def turn(self, untimed: int, timed: int) -> list[float]:
        """Let it work; return the seconds of each of the `timed` times."""
        seconds: list[float] = self._ask({"untimed": untimed, "timed": timed}, "seconds")
        return seconds

    def close(self) -> None:
        """Tell the process to end, and end it where it does not."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it may have gone before us
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._end_now()

    def _end_now(self) -> None:
        """End the process and its children without asking."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def _ask(self, question: Mapping[str, Any], kind: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchError(self._end())
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer[kind]

    def _end(self) -> str:
        """Say how the process ended that should have answered."""
        status = self._process.wait()
        how = (f"was ended by {signal.Signals(-status).name}" if status < 0
               else f"ended with exit status {status}")
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process {how}{f': {last}' if last else ''}"
