from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.records import write_rec

from ssdreg.data import Preprocessing, open_eval, open_rec
from ssdreg.data.originals import image_sizes, read_image
from ssdreg.data.proof import proved
from ssdreg.errors import DataError

LABEL = [2, 5, 0, 0.1, 0.1, 0.5, 0.5]
#: The bytes that divide RecordIO files.
MAGIC = np.frombuffer(bytes((0x0A, 0x23, 0xD7, 0xCE)), np.uint8)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_sizes_and_pixels(tiny_shapes):
    from ssdreg.data import load
    packed = load(tiny_shapes, "val")
    names = (tiny_shapes / "ImageSets" / "Main" / "val.txt").read_text().split()
    sizes = image_sizes(packed)
    assert len(sizes) == packed.images == len(names)
    for number, name in enumerate(names):
        file, = (tiny_shapes / "JPEGImages").glob(f"{name}.*")
        with Image.open(file) as image:
            assert sizes[number] == image.size
            np.testing.assert_array_equal(read_image(packed, number), image.convert("RGB"))


@pytest.mark.parametrize("shift", range(4))
def test_images_that_hold_the_bytes_which_divide_records(tmp_path, shift):
    pixels = np.resize(np.roll(MAGIC, shift), (8, 12, 3))
    rec = write_rec(tmp_path / "a.rec", LABEL, LABEL,
                    content=encoded(Image.fromarray(pixels), "BMP"))
    packed = open_rec(rec)
    assert image_sizes(packed) == ((12, 8), (12, 8))
    np.testing.assert_array_equal(read_image(packed, 1), pixels)


def test_an_image_is_what_training_sees(tmp_path):
    """As it is stored: packing turns what lies on its side, and a tag in another's is a fault."""
    tag = Image.Exif()
    tag[0x0112] = 6
    rec = write_rec(tmp_path / "a.rec", LABEL,
                    content=encoded(Image.new("RGB", (40, 20), (9, 90, 200)), "JPEG", exif=tag))
    packed = open_rec(rec)
    image = read_image(packed, 0)
    assert image.size == (40, 20)
    (batch,) = open_eval(packed, (20, 40), 1, Preprocessing((0, 0, 0)))
    np.testing.assert_array_equal(batch.data[0].asnumpy()[0].transpose(1, 2, 0), image)
    with pytest.raises(DataError, match="its camera noted orientation 6"):
        proved(packed)


def test_records_without_images_are_refused(tmp_path):
    packed = open_rec(write_rec(tmp_path / "a.rec", LABEL))
    with pytest.raises(DataError, match="record 0 holds no image that can be read"):
        image_sizes(packed)
    cut = encoded(Image.effect_noise((64, 64), 50), "JPEG")[:-200]
    packed = open_rec(write_rec(tmp_path / "b.rec", LABEL, content=cut))
    assert image_sizes(packed) == ((64, 64),)
    with pytest.raises(DataError, match="the image of record 0 cannot be decoded"):
        read_image(packed, 0)
