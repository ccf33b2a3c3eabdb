from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image
from support.records import write_rec

from ssdreg.data import Box, DataIssue, Dataset, Packed, Sample, load, open_rec, pack
from ssdreg.errors import DataError
from ssdreg.mx import mx

CLASSES = ("cat", "dog")


def image(path: Path, size: tuple[int, int] = (40, 20), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(str(options.pop("mode", "RGB")), size).save(path, **options)
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    boxes = (Box("dog", 10, 5, 30, 20), Box("cat", 0, 0, 40, 10, True))
    samples = (Sample(image(tmp_path / "a.jpg"), 40, 20, boxes),
               Sample(image(tmp_path / "b.png"), 40, 20, boxes[:1]),
               Sample(image(tmp_path / "c.jpg"), 40, 20))
    return Dataset(tmp_path, "train", CLASSES, samples,
                   (DataIssue(tmp_path / "x.xml", "empty box", "left out"),))


def records(rec: Path) -> list[tuple[np.ndarray, bytes]]:
    reader, found = mx.recordio.MXRecordIO(os.fspath(rec), "r"), []
    while (record := reader.read()) is not None:
        header, content = mx.recordio.unpack(record)
        found.append((header.label, content))
    reader.close()
    return found


def test_records_hold_the_boxes_in_0_to_1_and_the_bytes_of_the_files(dataset):
    packed = pack(dataset)
    first, second, third = records(packed.rec)
    np.testing.assert_allclose(first[0], [2, 6, 1, .25, .25, .75, 1, 0, 0, 0, 0, 1, .5, 1])
    np.testing.assert_allclose(second[0], [2, 6, 1, .25, .25, .75, 1, 0])
    np.testing.assert_allclose(third[0], [2, 6, -1, 0, 0, 0, 0, 0])
    assert [content for _, content in (first, second, third)] == [
        sample.image.read_bytes() for sample in dataset.samples]
    assert attrs.evolve(packed, rec=Path(), idx=None) == attrs.evolve(
        packed, rec=Path(), idx=None, classes=CLASSES, images=3, objects=3, label_width=14,
        max_objects=2, issues=dataset.issues, negatives=1)


def test_the_index_finds_each_record(dataset):
    packed = pack(dataset)
    reader = mx.recordio.MXIndexedRecordIO(os.fspath(packed.idx), os.fspath(packed.rec), "r")
    assert mx.recordio.unpack(reader.read_idx(1))[1] == dataset.samples[1].image.read_bytes()
    reader.close()


def test_a_second_call_takes_the_cache_and_reports_the_problems_again(dataset):
    packed = pack(dataset)
    written = packed.rec.stat().st_ino
    assert pack(dataset) == packed
    assert packed.rec.stat().st_ino == written
    assert Path(os.environ["XDG_CACHE_HOME"], "ssdreg") in packed.rec.parents
    assert {file.suffix for file in packed.rec.parent.iterdir()} == {".rec", ".idx", ".json"}


def test_a_changed_image_box_class_or_size_packs_anew(dataset):
    names = [pack(dataset).rec.name]
    os.utime(dataset.samples[0].image, ns=(1, 1))
    names.append(pack(dataset).rec.name)
    names.append(pack(attrs.evolve(dataset, classes=("dog", "cat"))).rec.name)
    names.append(pack(attrs.evolve(dataset, samples=dataset.samples[:2])).rec.name)
    names.append(pack(dataset, shorter_side=10).rec.name)
    assert len(set(names)) == 5


def test_a_cache_without_its_side_car_is_packed_again(dataset):
    packed = pack(dataset)
    packed.rec.with_suffix(".json").unlink()
    packed.rec.write_bytes(b"half written")
    assert pack(dataset) == packed
    assert len(records(packed.rec)) == 3


def test_a_truncated_image_is_reported_and_left_out_from_the_cache_too(dataset):
    file = dataset.samples[0].image
    Image.effect_noise((40, 20), 90).save(file)
    file.write_bytes(file.read_bytes()[:-200])
    for _ in range(2):
        packed = pack(dataset)
        assert (packed.images, packed.objects) == (2, 1)
        assert [(p.file.name, p.kind) for p in packed.issues] == [
            ("x.xml", "empty box"), ("a.jpg", "unreadable image")]


def test_no_decodable_image_is_an_error(dataset):
    for sample in dataset.samples[:2]:
        sample.image.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"can be decoded(.|\n)*2 x unreadable image"):
        pack(dataset)


def test_images_opencv_would_read_otherwise_are_encoded_again(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    files = (image(tmp_path / "turned.jpg", exif=exif), image(tmp_path / "ink.jpg", mode="CMYK"),
             image(tmp_path / "web.gif", mode="L"))
    samples = tuple(Sample(file, 40, 20, (Box("cat", 0, 0, 9, 9),)) for file in files)
    packed = pack(Dataset(tmp_path, "all", CLASSES, samples))
    for _, content in records(packed.rec):
        assert mx.image.imdecode(content).shape == (20, 40, 3)
        with Image.open(io.BytesIO(content)) as again:
            assert again.getexif().get(0x0112, 1) == 1


def test_a_large_image_is_shrunk_to_its_shorter_side(dataset):
    packed = pack(dataset, shorter_side=10)
    label, content = records(packed.rec)[0]
    with Image.open(io.BytesIO(content)) as shrunk:
        assert shrunk.size == (20, 10)
    np.testing.assert_allclose(label[2:8], [1, .25, .25, .75, 1, 0])


def test_packing_at_once_from_two_threads_leaves_one_whole_cache(dataset):
    results: list[Packed] = []
    workers = [threading.Thread(target=lambda: results.append(pack(dataset))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results[0] == results[1] == pack(dataset)
    assert len(list(results[0].rec.parent.iterdir())) == 3


def test_packing_leaves_the_data_set_as_it_was(dataset):
    before = sorted(dataset.root.rglob("*"))
    pack(dataset)
    assert sorted(dataset.root.rglob("*")) == before


def test_a_foreign_rec_file_gets_names_from_beside_it_or_numbers(tmp_path):
    rec = write_rec(tmp_path / "own.rec", [2, 5, 1, .1, .1, .5, .5], [4, 5, 0, 0, 0, 0, 0, .5, .5])
    with pytest.raises(DataError, match="differ in header or object width"):
        open_rec(rec)
    write_rec(rec, [4, 5, 9, 9, 1, .1, .1, .5, .5], [4, 5, 9, 9, 0, 0, 0, .5, .5, 2, 0, 0, 1, 1])
    packed = load(rec, split="ignored")
    assert packed.classes == ("class0", "class1", "class2")
    assert (packed.images, packed.objects, packed.label_width, packed.max_objects) == (2, 3, 14, 2)
    assert packed.idx is None
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert load(rec).classes == ("a", "b", "c")
    (tmp_path / "own.names").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"use 3 classes but there are 2 class names \(a, b\)"):
        load(rec)


def test_a_payload_split_at_the_magic_number_is_one_record(tmp_path):
    magic = (0xCED7230A).to_bytes(4, "little")
    rec = write_rec(tmp_path / "a.rec", [2, 5, 0, 0, 0, 1, 1], [2, 5, 0, 0, 0, 1, 1],
                    content=b"1234" + magic + b"5678" + magic)
    assert open_rec(rec).images == 2


@pytest.mark.parametrize(("label", "message"), [
    (3.0, "no detection label"), ([1.0, 2.0, 3.0], "no detection label"),
    ([2, 5, 0, 0, 0, 1, 1, 1], "no detection label"), ([2, 5, -2, 0, 0, 1, 1], "class -2"),
    ([2, 5, 0, 0, 0, 20, 30], "outside 0 to 1")])
def test_labels_that_are_not_for_detection_are_refused(tmp_path, label, message):
    with pytest.raises(DataError, match=message):
        open_rec(write_rec(tmp_path / "a.rec", label))


def test_files_that_are_no_rec_files_are_refused(tmp_path):
    rec = write_rec(tmp_path / "a.rec", [2, 5, 0, 0, 0, 1, 1])
    whole = rec.read_bytes()
    for content, message in (
            (whole[:-4], "ends inside record 0"), (whole + b"\n", "ends inside record 1"),
            (b"x" * 80, "not a RecordIO file"), (b"", "no records")):
        rec.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_rec(rec)
    with pytest.raises(DataError, match="no such"):
        open_rec(tmp_path / "absent.rec")


def test_a_side_car_of_another_program_is_refused(tmp_path):
    rec = write_rec(tmp_path / "a.rec", [2, 5, 0, 0, 0, 1, 1])
    rec.with_suffix(".json").write_text("[]")
    with pytest.raises(DataError, match="not what packing wrote"):
        open_rec(rec)


def test_a_jpeg_that_lacks_a_few_bytes_is_taken_and_said(dataset):
    """As detection takes it: the same pixels."""
    from ssdreg_runtime.io.images import read
    file = dataset.samples[0].image
    Image.linear_gradient("L").resize((40, 20)).convert("RGB").save(file)
    file.write_bytes(file.read_bytes()[:-3])
    packed = pack(dataset)
    assert packed.images == 3
    assert [(issue.file.name, issue.kind, issue.action) for issue in packed.issues[1:]] == [
        ("a.jpg", "image cut short", "kept")]
    assert np.array_equal(mx.image.imdecode(records(packed.rec)[0][1]).asnumpy(), read(file))
