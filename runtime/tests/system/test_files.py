"""Files that are either whole or not there, whoever else writes at the same time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from ssdreg_runtime.system import files
from ssdreg_runtime.system.files import replacing, write_json


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_the_file_is_there_when_all_went_well(tmp_path):
    file = tmp_path / "table.csv"
    with replacing(file) as beside:
        beside.write_text("new")
        assert beside.suffix == ".csv"
        assert beside.parent == tmp_path
        assert not file.exists()
    assert file.read_text() == "new"
    assert names(tmp_path) == ["table.csv"]


def test_nothing_changes_when_it_failed(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")

    def fail():
        with replacing(file) as beside:
            beside.write_text("half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_what_was_never_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


def test_files_of_one_name_go_together(tmp_path):
    for content in ("one", "two"):
        with replacing(tmp_path / "net.xml", ".bin") as beside:
            beside.write_text(content)
            beside.with_suffix(".bin").write_text(content * 2)
        assert (tmp_path / "net.xml").read_text() == content
        assert (tmp_path / "net.bin").read_text() == content * 2
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "net.xml", ".bin") as beside:
        beside.write_text("without its weights")
    assert (tmp_path / "net.xml").read_text() == "two"
    assert names(tmp_path) == ["net.bin", "net.xml"]


def test_writers_do_not_meet(tmp_path, monkeypatch):
    """In containers every process is number 1, and threads share theirs."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    file = tmp_path / "a.json"
    with replacing(file) as one, replacing(file) as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    failures = []

    def write(value):
        try:
            for _ in range(30):
                write_json(file, [value] * 1000)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(file.read_text().split()[1:-1])) <= 2  # all of one writer; the last has no comma
    assert names(tmp_path) == ["a.json"]


def test_it_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    happened = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (
        happened.append(str(Path(f"/proc/self/fd/{descriptor}").readlink())), sync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (
        happened.append("renamed"), replace(self, target)))
    with replacing(tmp_path / "a.txt") as beside:
        beside.write_text("1")
    assert happened == [str(beside), "renamed", str(tmp_path)]


def test_a_file_system_that_cannot_wait_is_no_error(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(files.errno.EINVAL, "Invalid argument")
    monkeypatch.setattr(os, "fsync", refuse)
    write_json(tmp_path / "a.json", {"a": 1})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'

    def full(descriptor):
        raise OSError(files.errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "a.json", {"a": 2})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'
