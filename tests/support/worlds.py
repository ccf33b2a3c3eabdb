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
def as_nobody() -> Sequence[str]:
    """Return what to put before a command, so that an unknown user runs it; skips without a way."""
    ask = "import os, ssdreg; print(os.getuid())"
    for prefix in _AS_OTHERS if os.getuid() else _AS_ROOT:
        try:
            done = subprocess.run([*prefix, sys.executable, "-c", ask], capture_output=True,
                                  encoding="utf-8", check=False)
        except FileNotFoundError:
            continue
        if done.stdout == f"{NOBODY}\n":
            return prefix
    pytest.skip("a program cannot be run as an unknown user here: that takes root with setpriv, or "
                "user namespaces with unshare")


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
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    module = {"ssdreg": "ssdreg", "ssdreg-detect": "ssdreg_runtime"}[program]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", module, *map(str, arguments)], cwd=cwd,
        env={**kept, "OMP_NUM_THREADS": "1", "TMPDIR": str(cwd), **environ},
        stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    assert b"\r" not in done.stdout + done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)
