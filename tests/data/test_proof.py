"""Records of files that were packed elsewhere: damaged ones, bare labels, and what cannot be."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image

from ssdreg.data import Augmentation, open_eval, open_rec, open_train
from ssdreg.data import proof as module
from ssdreg.data.boxes import boxes
from ssdreg.data.proof import proved
from ssdreg.data.recordio import image_of, index_records
from ssdreg.errors import DataError
from ssdreg.mx import mx

LABEL = [2, 5, 0, .1, .2, .5, .6]
MAGIC = (0xCED7230A).to_bytes(4, "little")


def png(value: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (value, 20, 20)).save(stream, "PNG")
    return stream.getvalue()


def write(path, *records, keys=None):
    """Write records of a label and the bytes of an image; with `keys`, an index too."""
    if keys is None:
        writer = mx.recordio.MXRecordIO(os.fspath(path), "w")
    else:
        writer = mx.recordio.MXIndexedRecordIO(os.fspath(path.with_suffix(".idx")),
                                               os.fspath(path), "w")
    for place, (label, content) in enumerate(records):
        record = mx.recordio.pack(mx.recordio.IRHeader(0, label, 100 + place, 0), content)
        if keys is None:
            writer.write(record)
        else:
            writer.write_idx(keys[place], record)
    writer.close()
    return path


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"an image", png()[:60]])
def test_a_record_without_an_image(tmp_path, content):
    rec = write(tmp_path / "a.rec", (LABEL, png()), (LABEL, content), (LABEL, png(9)),
                keys=(7, 8, 9))
    for _ in range(2):  # found, and remembered
        packed = proved(open_rec(rec))
        assert (packed.images, packed.objects, packed.rec != rec) == (2, 2, True)
        (issue,) = packed.issues
        assert (issue.file, issue.object, issue.action) == (rec, "record 1", "left out")
        assert "record 1 (key 8): " in issue.detail
    assert len(list(open_eval(packed, (32, 32), 1))) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.idx", "a.rec"]


def test_without_an_index_the_key_is_the_records_own(tmp_path):
    rec = write(tmp_path / "a.rec", (LABEL, b"nothing"), (LABEL, png()))
    assert "record 0 (key 100)" in proved(open_rec(rec)).issues[0].detail


def test_a_good_file_is_decoded_once_and_taken_as_it_is(tmp_path, monkeypatch):
    rec = write(tmp_path / "a.rec", (LABEL, png()))
    packed = open_rec(rec)
    assert proved(packed) is packed
    # what is remembered is not looked at again, until the file changes
    monkeypatch.setattr(module, "image_of", lambda *_: b"")
    assert proved(packed) is packed
    os.utime(rec, ns=(1, 1))
    with pytest.raises(DataError, match=r"a\.rec: no record that has an object holds an image"):
        proved(open_rec(rec))


def test_an_image_that_was_split_at_the_magic_number(tmp_path):
    content = png() + b"1234" + MAGIC + b"5678" + MAGIC
    # parts begin at whole words
    content = png() + b"\0" * (-len(png()) % 4) + MAGIC + b"5678" + MAGIC
    index = index_records(write(tmp_path / "a.rec", (LABEL, content)))
    assert image_of(index, 0) == content


# Labels that are a header alone

@pytest.mark.parametrize("header", [[2, 5], [4, 6, 40, 30]])
@pytest.mark.parametrize("content", [png(), png() + b"\0" * (-len(png()) % 4) + MAGIC + b"1234"])
def test_a_label_without_objects_is_a_negative(tmp_path, header, content):
    width = int(header[1])
    row = [1, .1, .2, .5, .6, 1][:width]
    rec = write(tmp_path / "a.rec", (header, content), ([*header, *row], png()),
                (header, content))
    packed = proved(open_rec(rec))
    assert (packed.images, packed.objects, packed.negatives) == (3, 1, 2)
    np.testing.assert_allclose(boxes(packed), [[1, .1, .2, .5, .6]], atol=1e-6)
    labels = np.concatenate([batch.label[0].asnumpy() for batch in open_eval(packed, (32, 32), 1)])
    assert (labels[:, 0, 0] >= 0).tolist() == [False, True, False]
    for negatives, numbers in ((True, [[0], [1], [2]]), (False, [[1]])):
        batches = open_train(packed, (32, 32), 1, Augmentation(), seed=1, negatives=negatives)
        assert sorted(batch.index.tolist() for batch in batches) == numbers


def test_nothing_but_negatives_is_opened_and_not_trained_on(tmp_path):
    packed = open_rec(write(tmp_path / "a.rec", ([2, 5], png())), ("cat",))
    assert (packed.images, packed.objects) == (1, 0)
    assert len(list(open_eval(packed, (32, 32), 1))) == 1
    with pytest.raises(DataError, match="no image has an object"):
        open_train(packed, (32, 32), 1)


@pytest.mark.parametrize(("row", "sentence"), [
    ([1e9, .1, .2, .5, .6], r"record 1 has the class 1e\+09, and no data set has more than"),
    ([30000, .1, .2, .5, .6], "record 1 has the class 30000"),
    ([.5, .1, .2, .5, .6], r"record 1 has the class 0\.5; classes are whole numbers"),
    ([float("nan"), .1, .2, .5, .6], "record 1 has a label with numbers that are none"),
    ([0, .1, .2, float("inf"), .6], "record 1 has a label with numbers that are none")])
def test_labels_that_cannot_be(tmp_path, row, sentence):
    with pytest.raises(DataError, match=sentence):
        open_rec(write(tmp_path / "a.rec", (LABEL, png()), ([2, 5, *row], png())))


# What MXNet decodes in silence

def jpeg(cut: int = 0, **options: object) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG", **options)
    return stream.getvalue()[:-cut or None]


def test_a_jpeg_that_is_cut_is_decided_as_everywhere(tmp_path):
    rec = write(tmp_path / "a.rec", (LABEL, jpeg()), (LABEL, jpeg(3)), (LABEL, jpeg(3000)))
    packed = proved(open_rec(rec))
    assert packed.images == 2
    assert "record 2 (key 102): its image is damaged: image file is truncated" in (
        packed.issues[0].detail)


def test_a_photo_on_its_side_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    rec = write(tmp_path / "a.rec", (LABEL, jpeg(exif=exif)), (LABEL, jpeg()))
    packed = proved(open_rec(rec))
    assert packed.images == 1
    assert "orientation 6, and a record does not tell" in packed.issues[0].detail
