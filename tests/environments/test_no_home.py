"""Commands where there is no home folder, or one that cannot be written, or no such user.

Real processes of a user whom the system does not know; only the tests that need none run as us.
That such a user trains and uses a detector is shown in test_no_locale.py: where there is no home
there is often no locale either.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.worlds import NOBODY, as_nobody, kept_in, open_folder, start

#: Below a file there is no folder, for root neither.
UNDER_A_FILE = str(Path(__file__) / "home")


@pytest.fixture
def folder():
    with open_folder() as made:
        yield made


@pytest.mark.parametrize(("home", "why"), [
    (None, "there is no home folder"),
    ("/", "/.cache/ssdreg/matplotlib cannot be written (Permission denied)"),
    ("/nonexistent", "/nonexistent/.cache/ssdreg/matplotlib cannot be written "
                     "(Permission denied)"),
    ("{}/mine", "{}/mine/.cache/ssdreg/matplotlib cannot be written (Permission denied)")])
def test_a_picture_is_drawn_and_one_line_says_where_caches_are(folder, home, why):
    (folder / "mine").mkdir(mode=0o555)
    environ = {} if home is None else {"HOME": home.format(folder)}
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder, environ=environ,
                 prefix=as_nobody())
    assert done.status == 0, done.told
    assert done.told == [f"ssdreg: {why.format(folder)}, {kept_in(folder)}"]
    assert (folder / "taps.svg").is_file()
    assert (folder / f"ssdreg-{NOBODY}").stat().st_mode & 0o077 == 0


def test_matplotlibs_own_variable_is_named_where_it_is_set(folder):
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder,
                 environ={"HOME": str(folder), "MPLCONFIGDIR": UNDER_A_FILE})
    assert (done.status, len(done.told)) == (0, 1)
    assert done.told[0].endswith("; MPLCONFIGDIR moves them")


def test_a_cache_elsewhere_is_used_without_a_word(folder):
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder,
                 environ={"HOME": UNDER_A_FILE, "XDG_CACHE_HOME": str(folder / "caches")})
    assert (done.status, done.told) == (0, [])
    assert list((folder / "caches" / "ssdreg" / "matplotlib").iterdir())


def test_matplotlib_keeps_its_folders_where_they_can_be_written(folder):
    done = start("ssdreg", "draw", "resnet18", "-o", "taps.svg", cwd=folder,
                 environ={"HOME": str(folder)})
    assert (done.status, done.told) == (0, [])
    assert (folder / ".cache" / "matplotlib").is_dir()


def test_the_environment_is_left_as_it_was(folder):
    code = ("import os; before = dict(os.environ); import ssdreg.drawing.mpl\n"
            "assert dict(os.environ) == before")
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, env={
        "HOME": UNDER_A_FILE, "TMPDIR": str(folder), "PATH": os.environ["PATH"]})
