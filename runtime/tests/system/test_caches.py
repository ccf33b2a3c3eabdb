"""Where caches are: below the home folder, where a variable says, or in a temporary folder."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ssdreg_runtime.errors import CacheError
from ssdreg_runtime.system import caches
from ssdreg_runtime.system.caches import VARIABLE, Cache, cache

#: Below a file no folder can be made, not even by root, whom permissions do not bind.
NOWHERE = Path(__file__) / "home"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """A home folder that cannot be written, a temporary folder, and nothing said so far."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(NOWHERE))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    caches._notified.clear()
    caches._process_folder.cache_clear()
    return tmp_path


@pytest.fixture
def temporary(world):
    return world / "tmp" / f"ssdreg-{os.getuid()}"


def said(caplog):
    return [record.getMessage() for record in caplog.records
            if record.levelno >= logging.WARNING]


def test_a_cache_is_in_the_home_folder(world, monkeypatch, caplog):
    monkeypatch.setenv("HOME", str(world / "home"))
    assert cache("weights").folder() == world / "home" / ".cache" / "ssdreg" / "weights"
    assert cache("weights").folder().is_dir()
    assert not said(caplog)


def test_the_variable_moves_it(world, monkeypatch, caplog):
    monkeypatch.setenv(VARIABLE, str(world / "there"))
    assert cache("weights").folder() == world / "there" / "ssdreg" / "weights"
    assert not said(caplog)


@pytest.mark.parametrize("variables", [{"HOME": str(NOWHERE)}, {VARIABLE: str(NOWHERE)}])
def test_what_cannot_be_written_is_replaced_and_said_once(monkeypatch, caplog, temporary,
                                                          variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache("one").folder() == temporary / "one"
    assert cache("one").folder().is_dir()
    cache("one").folder()
    (line,) = said(caplog)
    assert line.startswith(f"ssdreg: {NOWHERE}")
    assert line.endswith(f"cannot be written (Not a directory), so caches are kept in {temporary}; "
                         f"XDG_CACHE_HOME moves them")
    assert "\n" not in line


def test_a_user_without_a_home(monkeypatch, caplog, temporary):
    # what it does where HOME is not set, and no user has this number
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache().folder() == temporary
    assert said(caplog) == [f"ssdreg: there is no home folder, so caches are kept in {temporary}; "
                            f"XDG_CACHE_HOME moves them"]


def test_the_sentence_is_a_line_on_standard_error(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from ssdreg_runtime.system.caches import cache\n"
                               "cache('a').folder(), cache('b').folder()"],
        env={"HOME": str(NOWHERE), "TMPDIR": str(tmp_path / "tmp"), "PATH": os.environ["PATH"],
             VARIABLE: str(NOWHERE)},
        capture_output=True, encoding="utf-8", check=True)
    (line,) = done.stderr.splitlines()  # although two folders were wanted
    assert (done.stdout, line.endswith("; XDG_CACHE_HOME moves them")) == ("", True)


def test_nobody_else_can_look_into_the_temporary_folder(temporary):
    before = os.umask(0)
    try:
        cache("one").folder()
    finally:
        os.umask(before)
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700


def test_it_is_the_same_the_next_time(temporary):
    (cache("one").folder() / "kept").write_bytes(b"here")
    assert cache("one").find("kept") == temporary / "one" / "kept"


def a_link(temporary):
    temporary.with_name("elsewhere").mkdir(mode=0o700)
    temporary.symlink_to(temporary.with_name("elsewhere"))


def open_to_all(temporary):
    temporary.mkdir()
    temporary.chmod(0o777)


def of_somebody_else(temporary):
    if os.getuid():
        pytest.skip("only root can give a folder to somebody else")
    temporary.mkdir(mode=0o700)
    os.chown(temporary, 12345, 12345)


def a_file(temporary):
    temporary.touch(mode=0o600)


@pytest.mark.parametrize("trap", [a_link, open_to_all, of_somebody_else, a_file])
def test_what_somebody_has_put_there_is_neither_read_nor_written(temporary, trap):
    trap(temporary)
    before = sorted(temporary.parent.rglob("*"))
    folder = cache("one").folder()
    assert temporary.parent in folder.parents
    assert temporary not in folder.parents
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    (folder / "mine").touch()
    assert [path for path in sorted(temporary.parent.rglob("*"))
            if folder.parent not in (path, *path.parents)] == before
    if temporary.is_dir():
        (temporary / "one").mkdir(exist_ok=True)
        (temporary / "one" / "kept").touch()
    assert cache("one").find("kept") is None


def test_such_a_folder_is_gone_at_the_end(tmp_path):
    folder = tmp_path / "tmp" / f"ssdreg-{os.getuid()}"
    folder.touch()
    code = "from ssdreg_runtime.system.caches import cache\nprint(cache().folder())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True,
        env={"HOME": str(NOWHERE), "TMPDIR": str(tmp_path / "tmp"), "PATH": os.environ["PATH"]})
    assert not Path(done.stdout.strip()).exists()
    assert [each.name for each in (tmp_path / "tmp").iterdir()] == [folder.name]


def test_a_cache_to_read_from_is_read_from(world, caplog):
    brought = world / "image"
    brought.mkdir()
    (brought / "net.params").touch()
    kept = Cache(brought, VARIABLE, "weights")
    assert kept.find("net.params") == brought / "net.params"
    assert kept.find("other.params") is None
    assert not said(caplog)


def test_a_home_that_may_not_be_looked_into_has_no_files(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o000)
    # permissions do not bind root, who becomes somebody else once everything is imported
    code = ("import os, ssdreg_runtime.system.caches as caches\n"
            "if not os.getuid():\n    os.setgid(12345); os.setuid(12345)\n"
            "print(caches.cache('one').find('file'), caches.is_unwritable(caches.home() / 'x'))")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False,
        env={"HOME": str(home), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]})
    assert (done.stdout, done.stderr) == ("None True\n", "")


def test_looking_makes_nothing(world):
    before = list(world.rglob("*"))
    assert cache("one").find("file") is None
    assert cache("one").default_path("file") == NOWHERE / ".cache" / "ssdreg" / "one" / "file"
    assert list(world.rglob("*")) == before


def test_without_a_temporary_folder_it_is_a_sentence(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(NOWHERE))
    with pytest.raises(CacheError, match=r"cannot be written \(Not a directory\), and no temporary "
                                         r"folder can be made \(Not a directory\): set "
                                         r"XDG_CACHE_HOME to a folder that can be written"):
        cache().folder()
