"""Where commands are run: by users without a home, in systems without a locale, in log files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from attrs import frozen
from support import in_turn
from support.in_turn import THEN

#: Runs commands in turn.
IN_TURN = Path(in_turn.__file__)
#: A user that no system has.
NOBODY = 12345
#: Ways to run a program as that user, who may write nothing of ours. Root may read what only root
#: may read, so that user may too: it is root's Python.
_AS_ROOT = (("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
             "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
            ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"))
_AS_OTHERS = (("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"),)

#: A system without a locale, with what Python would do about that switched off.
BARE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ASCII = {"PYTHONIOENCODING": "ascii"}
#: What decides where the home is and how letters are written.
_LEFT_OUT = ("HOME", "XDG_", "MPLCONFIGDIR", "MXNET_HOME", "LC_", "LANG", "PYTHON", "CI", "COLUMNS")


@cache
def to_nobody() -> Sequence[str]:
    """Return what to put before a command, so that an unknown user runs it; () without a way."""
    ask = "import os, ssdreg; print(os.getuid())"
    for prefix in _AS_OTHERS if os.getuid() else _AS_ROOT:
        try:
            done = subprocess.run([*prefix, sys.executable, "-c", ask], capture_output=True,
                                  encoding="utf-8", check=False)
        except FileNotFoundError:
            continue
        if done.stdout == f"{NOBODY}\n":
            return prefix
    return ()


def as_nobody() -> Sequence[str]:
    """Return the same; skips the test without a way."""
    if prefix := to_nobody():
        return prefix
    pytest.skip("a program cannot be run as an unknown user here: that takes root with setpriv, or "
                "user namespaces with unshare")


def kept_in(folder: Path) -> str:
    """Return what is said of where that user's caches are when the home cannot have them."""
    return f"so caches are kept in {folder / f'ssdreg-{NOBODY}'}; XDG_CACHE_HOME moves them"


@frozen
class Ended:
    """What a process wrote, and how it ended."""

    status: int
    out: bytes
    err: bytes

    @property
    def told(self) -> list[str]:
        """The lines on standard error, which are ASCII in the worlds where that is asked for."""
        return self.err.decode("utf-8").splitlines()


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that every user may write to, away from pytest's, which are closed."""
    with tempfile.TemporaryDirectory(prefix="ssdreg-tests-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def start(program: str, *arguments: object, cwd: Path, environ: Mapping[str, str],
          prefix: Sequence[str] = ()) -> Ended:
    """Run ``ssdreg`` or ``ssdreg-detect`` as a process of its own, with output to a pipe."""
    module = {"ssdreg": "ssdreg", "ssdreg-detect": "ssdreg_runtime"}[program]
    return _process("-m", module, *arguments, cwd=cwd, environ=environ, prefix=prefix)


def start_in_turn(*commands: Sequence[object], cwd: Path, environ: Mapping[str, str],
                  prefix: Sequence[str] = ()) -> list[Ended]:
    """Run commands of ``ssdreg`` one after the other, all in one process; MXNet is imported once.

    For commands that need the world and no process of their own; what is done once in a process,
    as saying where caches are, is done for the first of them.
    """
    with open_folder() as folder:
        words = [word for command in commands for word in (THEN, *command)][1:]
        whole = _process(IN_TURN, folder, *words, cwd=cwd, environ=environ, prefix=prefix)
        assert whole == Ended(0, b"", b""), (
            whole, *(file.read_bytes() for file in sorted(folder.glob("*.err"))))
        return [_checked(Ended(int((folder / f"{number}.status").read_text()),
                               *((folder / f"{number}.{name}").read_bytes()
                                 for name in ("out", "err"))))
                for number in range(len(commands))]


def _process(*arguments: object, cwd: Path, environ: Mapping[str, str],
             prefix: Sequence[str]) -> Ended:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    done = subprocess.run(
        [*prefix, sys.executable, *map(str, arguments)], cwd=cwd,
        env={**kept, "OMP_NUM_THREADS": "1", "TMPDIR": str(cwd), **environ},
        stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return _checked(Ended(done.returncode, done.stdout, done.stderr))


def _checked(ended: Ended) -> Ended:
    assert b"Traceback" not in ended.err, ended.err.decode("utf-8", "replace")
    assert b"\r" not in ended.out + ended.err
    return ended
