"""One writer a folder: the lock ends with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
import warnings

import pytest

from ssdreg.errors import RunError, SsdregWarning
from ssdreg.runs.lock import FILE, holder, writing

#: Holds the lock until it is killed; with "fork" a child of it lives on.
HOLDER = """
import os, sys, time
from pathlib import Path
from ssdreg.runs.lock import writing
with writing(Path(sys.argv[1]), "a test"):
    if sys.argv[2:] and not os.fork():
        time.sleep(100)
    print("locked", flush=True)
    time.sleep(100)
"""


def hold(folder, *options):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder, *options],
                               stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_second_writer_is_refused_and_told_by_whom(tmp_path):
    with hold(tmp_path) as process:
        wanted = (rf"{re.escape(str(tmp_path))} is being written by process {process.pid} on "
                  rf"{re.escape(socket.gethostname())} \(a test\), since "
                  r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}: wait for it, end it, or choose")
        with pytest.raises(RunError, match=wanted), writing(tmp_path, "another"):
            pass
        assert holder(tmp_path).process == process.pid
        process.kill()
    # the file is left, and keeps nobody out
    assert (tmp_path / FILE).is_file()
    assert holder(tmp_path) is None
    with writing(tmp_path, "another"):
        assert holder(tmp_path).process == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_that_lives_on_does_not_keep_it(tmp_path):
    with hold(tmp_path, "fork") as process:
        process.kill()
        process.wait()
        with writing(tmp_path, "another"):
            pass
        os.killpg(process.pid, 9)


def test_one_process_does_not_write_twice_either(tmp_path):
    with writing(tmp_path, "one"), pytest.raises(RunError, match=r"\(one\)"), \
            writing(tmp_path, "two"):
        pass
    with writing(tmp_path, "three"):
        pass


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path):
    with writing(tmp_path / "a" / "b", "a test"):
        assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [FILE]
    assert list(tmp_path.iterdir()) == []
    with writing(tmp_path / "a" / "b", "a test"):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]


def test_a_lock_whose_name_goes_while_it_is_taken_is_taken_anew(tmp_path, monkeypatch):
    """As where the holder ends between the opening of its file and the lock."""
    take, gone = fcntl.flock, []

    def late(descriptor, operation):
        if not gone:
            gone.append((tmp_path / FILE).unlink())
        take(descriptor, operation)
    monkeypatch.setattr(fcntl, "flock", late)
    with writing(tmp_path, "a test"):
        assert (tmp_path / FILE).is_file()


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(SsdregWarning, match="knows no locks: nothing keeps a second training out"), \
            writing(tmp_path, "a test"):
        pass
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with writing(tmp_path, "a test"):
            pass
