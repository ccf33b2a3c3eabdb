"""What killed processes leave beside files: swept when they are dead, and not before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ssdreg_runtime.system import leftovers
from ssdreg_runtime.system.files import replacing, replacing_folder, scratch_folder
from ssdreg_runtime.system.leftovers import ABANDONED, own_mark, sweep

#: Writes beside a file, a folder and in a folder for a while, says so, and waits.
WRITER = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from ssdreg_runtime.system.files import replacing, replacing_folder, scratch_folder
folder = Path(sys.argv[1])
with ExitStack() as stack:
    stack.enter_context(replacing(folder / "a.b.json", ".bin")).write_text("half")
    (stack.enter_context(replacing_folder(folder / "made")) / "half").write_text("half")
    (stack.enter_context(scratch_folder()) / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(100)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE) as it:
        assert it.stdout.readline() == b"writing\n"
        yield it
        it.kill()


def test_what_a_living_process_writes_stays_and_goes_with_it(tmp_path, writer):
    written = names(tmp_path)
    assert len(written) == 3
    assert sweep(tmp_path) == ()
    assert names(tmp_path) == written
    writer.kill()
    # it is dead before anybody has waited for it
    removed, end = [], time.monotonic() + 30
    while len(removed) < 3 and time.monotonic() < end:
        removed += sweep(tmp_path)
    assert sorted(path.name for path in removed) == written
    assert names(tmp_path) == []


def test_the_next_writer_sweeps(tmp_path, writer):
    writer.kill()
    writer.wait()
    leftovers._swept.discard(tmp_path)
    with replacing(tmp_path / "other.json") as beside:
        beside.write_text("1")
    assert names(tmp_path) == ["other.json"]


def test_a_number_that_was_given_out_again_is_told_apart(tmp_path):
    place, pid, start, _ = own_mark().split("-")
    (tmp_path / f".a.{place}-{pid}-{int(start) + 1}-0.json").touch()
    (tmp_path / f".b.{place}-{pid}-{start}-0.json").touch()
    sweep(tmp_path)
    assert names(tmp_path) == [f".b.{place}-{pid}-{start}-0.json"]


def test_those_of_another_machine_stay_for_a_week(tmp_path):
    old, new = (tmp_path / f".{name}.00000000-1-1-0.json" for name in ("old", "new"))
    for path, age in ((old, ABANDONED + 60), (new, ABANDONED - 60)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    assert sweep(tmp_path) == (old,)
    assert names(tmp_path) == [new.name]


def test_other_hidden_files_and_links_are_left_alone(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "a").touch()
    mark = own_mark().split("-")
    (tmp_path / f".link.{mark[0]}-999999999-1-0").symlink_to(kept)
    for name in (".bashrc", ".a.json", ".ssd-0001.12.params", "a.00000000-1-1-0.json"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == [".a.json", ".bashrc", ".ssd-0001.12.params",
                               "a.00000000-1-1-0.json", "kept"]
    assert names(kept) == ["a"]


def test_a_folder_that_made_way_for_one_that_never_came_goes_back(tmp_path):
    """As a kill between the two renames leaves it."""
    place, _, start, _ = own_mark().split("-")
    dead = f"{place}-999999999-{start}-0"
    before, new = tmp_path / f".run.{dead}.before", tmp_path / f".run.{dead}"
    for folder, content in ((before, "old"), (new, "new")):
        folder.mkdir()
        (folder / "a").write_text(content)
    sweep(tmp_path)
    assert names(tmp_path) == ["run"]
    assert (tmp_path / "run" / "a").read_text() == "old"
    # one whose place is taken is an old one
    before.mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == ["run"]


def test_a_folder_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    happened = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (
        happened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name), sync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (
        happened.append("renamed"), replace(self, target)))
    with replacing_folder(tmp_path / "made") as beside:
        (beside / "in").mkdir()
        (beside / "in" / "a.txt").write_text("1")
    assert happened == ["a.txt", "in", beside.name, "renamed", tmp_path.name]
    assert names(tmp_path) == ["made"]


def test_a_folder_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").touch()
    assert names(tmp_path) == []
