"""Files whose names begin with a dot are passed over wherever names are listed, and only there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from ssdreg_runtime.io.pictures import find_images
from ssdreg_runtime.system.files import is_hidden, visible
from support import checkpoints as files
from support.checkpoints import SIDE as SMALL
from support.checkpoints import archive_of, member, own_symbol, tarred

import ssdreg
from ssdreg.bench.workload import read_images
from ssdreg.checkpoints.archive import unpack
from ssdreg.data import available_splits, read_voc
from ssdreg.runs.run import open_run

#: What macOS writes beside a file on a disk of another system; no text, no image, no XML.
FORK = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \xff\xfe"


def litter(folder):
    """Put a fork beside every file of a folder and below, as copying from a Mac does."""
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(FORK)
    (folder / ".DS_Store").write_bytes(FORK)


@pytest.mark.parametrize(("name", "hidden"), [
    ("._a.xml", True), (".DS_Store", True), (".a.jpg", True), ("a.xml", False), ("_a", False)])
def test_the_rule(name, hidden):
    assert is_hidden(name) == hidden


def test_every_folder_of_a_data_set(tmp_path, tiny_shapes):
    plain = read_voc(tiny_shapes, "train")
    root = Path(shutil.copytree(tiny_shapes, tmp_path / "shapes"))
    litter(root)
    found = read_voc(root, "train")
    assert found.issues == plain.issues
    assert len(found.samples) == len(plain.samples)
    assert read_voc(root).issues == read_voc(tiny_shapes).issues
    assert available_splits(root) == available_splits(tiny_shapes)


def test_a_split_that_is_asked_for_by_name_is_taken(tmp_path, tiny_shapes):
    root = Path(shutil.copytree(tiny_shapes, tmp_path / "shapes"))
    main = root / "ImageSets" / "Main"
    shutil.copy(main / "train.txt", main / ".mine.txt")
    assert ".mine" not in available_splits(root)
    assert len(read_voc(root, ".mine").samples) == len(read_voc(root, "train").samples)


def test_folders_of_images(tmp_path):
    for name in ("b.png", "a.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    litter(tmp_path)
    assert [file.name for file in find_images(tmp_path)] == ["a.png", "b.png"]
    assert len(read_images(tmp_path, (8, 8))) == 2
    assert [file.name for file in visible(tmp_path)] == ["a.png", "b.png"]


def test_unpacked_models(tmp_path):
    """The same folder, packed and not, with and without what the Mac left."""
    folder = tmp_path / "model"
    folder.mkdir()
    files.write(folder / "model_algo_1", own_symbol("train"), SMALL, epoch=0)
    plain = ssdreg.load_checkpoint(folder, data_shape=SMALL)
    litter(folder)
    (folder / "._model_algo_1-0000.params").write_bytes(FORK)
    assert ssdreg.load_checkpoint(folder, data_shape=SMALL).describe() == plain.describe()
    assert ssdreg.load_checkpoint(folder / "model_algo_1",
                                  data_shape=SMALL).describe() == plain.describe()
    packed = tarred(folder, tmp_path / "model.tar.gz")
    assert ssdreg.load_checkpoint(packed, data_shape=SMALL).describe() == plain.describe()


def test_a_model_that_is_named_is_taken(tmp_path):
    files.write(tmp_path / ".mine", own_symbol("train"), SMALL, epoch=0)
    assert ssdreg.load_checkpoint(tmp_path / ".mine", data_shape=SMALL).epoch == 0


def test_members_of_archives(tmp_path):
    target = archive_of(tmp_path / "model.tar.gz", member("./net-symbol.json"),
                        member("./._net-symbol.json"), member("__MACOSX/._net-symbol.json"),
                        member(".ipynb_checkpoints/net-symbol.json"))
    (tmp_path / "out").mkdir()
    assert [path.name for path in unpack(target, tmp_path / "out", lambda name: True)] == [
        "net-symbol.json"]


def test_runs(tiny_run, tmp_path):
    copy = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    litter(copy)
    assert open_run(copy).epochs() == open_run(tiny_run).epochs() == (1,)
