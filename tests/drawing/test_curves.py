from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from ssdreg.drawing.curves import draw_curves
from ssdreg.errors import DataError
from ssdreg.runs.log import Epoch, read_log, write_log

HEADER = "epoch,steps,seconds,lr,images_per_second,cls_loss,loc_loss,map,map_07\n"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "1,10,2.5,0.001,40.0,4.5,1.5,,\n"
                    "2,20,2.5,0.001,40.0,3.5,1.25,0.5,0.4\n")
    return path


def shows(picture, color):
    """How many pixels of the picture have about this colour."""
    pixels = np.asarray(Image.open(picture).convert("RGB"), dtype=int)
    return int((np.abs(pixels - color).max(axis=2) < 12).sum())


def test_log_is_read(log):
    first, second = read_log(log)
    assert (first.epoch, first.cls_loss, first.loc_loss) == (1, 4.5, 1.5)
    assert math.isnan(first.map)
    assert math.isnan(first.map_07)
    assert second == Epoch(2, 20, 2.5, 0.001, 40.0, 3.5, 1.25, 0.5, 0.4)


def test_log_is_written_as_it_is_read(log, tmp_path):
    write_log(tmp_path / "again.csv", read_log(log))
    assert (tmp_path / "again.csv").read_text() == HEADER + (
        "1,10,2.5,0.001,40,4.5,1.5,,\n2,20,2.5,0.001,40,3.5,1.25,0.5,0.4\n")


def test_curves_of_losses_and_maps_are_drawn(log, tmp_path):
    out = tmp_path / "new" / "curves.png"
    draw_curves(log, out, "resnet_$18")
    assert Image.open(out).format == "PNG"
    # the two losses and the two maps
    for color in [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)]:
        assert shows(out, color) > 50
    assert [path.name for path in out.parent.iterdir()] == ["curves.png"]


def test_curves_run_from_the_first_epoch_to_the_last(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "".join(f"{epoch},1,1,1,1,2,1,0.5,0.4\n" for epoch in range(1, 31)))
    draw_curves(log, tmp_path / "curves.png", "run")
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"), dtype=int)
    for color in [(0, 114, 178), (0, 158, 115)]:
        columns = (np.abs(pixels - color).max(axis=2) < 12).any(axis=0).sum()
        # level solid lines; the axes fill most of the picture's width
        assert columns > 0.7 * pixels.shape[1]


def test_a_run_without_maps_and_with_a_loss_that_is_no_number(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "1,10,2.5,0.001,40.0,4.5,1.5,,\n2,20,2.5,0.001,40.0,nan,inf,,\n")
    draw_curves(log, tmp_path / "curves.png", "run")
    assert shows(tmp_path / "curves.png", (0, 114, 178)) > 20
    assert shows(tmp_path / "curves.png", (0, 158, 115)) == 0


def test_format_follows_the_suffix(log, tmp_path):
    draw_curves(log, tmp_path / "curves.svg", "run")
    assert "<svg" in (tmp_path / "curves.svg").read_text(encoding="utf-8")
    with pytest.raises(DataError, match=r"curves\.what: its suffix"):
        draw_curves(log, tmp_path / "curves.what", "run")


@pytest.mark.parametrize(("text", "message"), [
    ("", "no column epoch, steps"),
    ("name,price\npear,3\n", "no column epoch, steps"),
    (HEADER, "holds no epoch yet"),
    (HEADER + "1,10,2.5,0.001,40.0,4.5,x,,\n", r"line 2: loc_loss is 'x'"),
    (HEADER + "1,10,2.5,0.001,40.0,,1.5,,\n", r"line 2: cls_loss is ''"),
    (HEADER + "1,10,2.5,0.001,40.0,4.5,1.5,,\n2,20,2.5\n", r"line 3: [a-z_]+ is None"),
    (HEADER + "nan,10,2.5,0.001,40.0,4.5,1.5,,\n", r"line 2: epoch is 'nan'"),
])
def test_wrong_logs_are_refused(tmp_path, text, message):
    log = tmp_path / "log.csv"
    log.write_text(text)
    with pytest.raises(DataError, match=message):
        draw_curves(log, tmp_path / "curves.png", "run")
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_missing_and_binary_logs_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path / "log.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path / "binary.csv")
