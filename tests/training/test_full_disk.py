"""Disks that are full: a sentence with the path, and everything before it whole."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import tarfile

import pytest
from ssdreg_runtime.system.files import write_json
from support.disks import resize, small_disk
from support.runs import DETECTOR, SIDE, SMALL, command

import ssdreg
from ssdreg.data import load
from ssdreg.errors import StorageError
from ssdreg.runs.run import open_run
from ssdreg.training import state

MB = 2**20
FULL = "cannot be written: No space left on device; free some space on its disk. What was there"


def train(data, out, **given):
    return ssdreg.train(**{
        "data": data, "out": out, "backbone": SMALL, "data_shape": SIDE, "tap_strides": (8, 16),
        "epochs": 2, "batch_size": 8, "engine": "mxnet", "precision": "float32", **given}).run


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_run_whose_disk_is_full_goes_on_when_there_is_space(tmp_path, tiny_shapes):
    whole = train(tiny_shapes, tmp_path / "whole")
    sizes = {file.name: file.stat().st_size for file in whole.path.iterdir()}
    epoch, states = sizes["ssd-0001.params"], sizes["ssd-0002.states"]
    others = sum(size for name, size in sizes.items() if not name.startswith("ssd-0"))
    # the second epoch's parameters fit, and its states, written beside those before, do not
    with small_disk(tmp_path / "disk", int(others + 2 * epoch + 1.7 * states)) as disk:
        with pytest.raises(StorageError) as full:
            train(tiny_shapes, disk / "run")
        assert f"{disk}/run/ssd-0002.states {FULL}" in str(full.value)
        run = open_run(disk / "run")
        assert state.load(run).state.epoch == 1
        assert not [name for name in names(run.path) if name.startswith(".")]
        resize(disk, 512 * MB)
        ssdreg.resume(run.path)
        for number in (1, 2):
            assert run.params_file(number).read_bytes() == whole.params_file(number).read_bytes()
        assert names(run.path) == names(whole.path)


def test_a_disk_that_is_full_from_the_start(capsys, tmp_path, tiny_shapes):
    load(tiny_shapes, "train"), load(tiny_shapes, "val")

    def stops(*words):
        done = command(capsys, *words)
        return done.status == 2 and FULL in done.complaints[-1]
    words = ("train", *DETECTOR, "--data", tiny_shapes, "--epochs", 1, "--batch-size", 8, "--out")
    with small_disk(tmp_path / "disk", 100_000) as disk:
        (disk / "filled").write_bytes(bytes(96_000))
        assert stops(*words, disk / "run")
        assert not (disk / "run" / "config.json").exists()
        (disk / "filled").unlink()
        resize(disk, MB)
        # the first checkpoint does not fit: both ways lead on
        assert stops(*words, disk / "run")
        assert stops("train", "--resume", "--out", disk / "run")
        resize(disk, 512 * MB)
        assert command(capsys, "train", "--resume", "--out", disk / "run").status == 0
        assert open_run(disk / "run").epochs() == (1,)


@pytest.mark.parametrize("space", [4096, 12_288, 20_480])
def test_a_cache_whose_disk_is_full(tmp_path, tiny_shapes, monkeypatch, space):
    """At any byte: MXNet, which writes the pictures, does not always say so."""
    with small_disk(tmp_path / "disk", 64 * 4096) as disk:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        (disk / "filled").write_bytes(bytes(64 * 4096 - 5 * 4096 - space))
        with pytest.raises(StorageError, match=FULL) as full:
            load(tiny_shapes, "train")
        assert str(disk / "ssdreg") in str(full.value)
        assert [path for path in (disk / "ssdreg").rglob(".*") if path.is_file()] == []
        (disk / "filled").unlink()
        assert load(tiny_shapes, "train").images == 16


def test_a_temporary_folder_whose_disk_is_full(tmp_path, tiny_run, monkeypatch):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as written:
        for name in ("ssd-symbol.json", "ssd-0001.params"):
            written.add(tiny_run / name, name)
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk))
        with pytest.raises(StorageError, match=f"{disk}.*{FULL}"):
            ssdreg.load_checkpoint(archive, classes=("a", "b", "c"))
        assert names(disk) == set()


def test_a_disk_for_reading_only(tmp_path, tiny_shapes):
    with small_disk(tmp_path / "disk", MB) as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StorageError, match=r"a\.json cannot be written: Read-only file system; "
                                               "choose a place that is not mounted for reading"):
            write_json(disk / "a.json", {})
        with pytest.raises(StorageError, match="Read-only file system"):
            train(tiny_shapes, disk / "run")


def test_a_folder_that_may_not_be_written(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied; choose a folder that you may"):
            write_json(tmp_path / "a.json", {})
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_grows_beyond_the_limit(tmp_path, tiny_shapes):
    """What every user can try: the system refuses parameters, MXNet's writing of them included."""
    load(tiny_shapes, "train"), load(tiny_shapes, "val")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"ssd-0001\.\w+ cannot be written: File too large; "
                                               r"raise the limit .* \(ulimit -f\)") as full:
            train(tiny_shapes, tmp_path / "run", epochs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.errno == errno.EFBIG
    assert ssdreg.resume(tmp_path / "run").best_epoch >= 1
