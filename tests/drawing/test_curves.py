from __future__ import annotations

import math

import attrs
import numpy as np
import pytest
from PIL import Image

from ssdreg.drawing.curves import draw_curves
from ssdreg.errors import DataError
from ssdreg.metrics.coco import CocoFigures
from ssdreg.runs.log import Epoch, read_log, write_log

HEADER = "epoch,steps,seconds,lr,images_per_second,cls_loss,loc_loss,map,map_07\n"
COCO_HEADER = HEADER[:-1] + (",ap,ap50,ap75,ap_small,ap_medium,ap_large,ar1,ar10,ar100,ar_small,"
                             "ar_medium,ar_large\n")


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
    # an older log gets the columns of COCO's figures, empty ones
    assert (tmp_path / "again.csv").read_text() == COCO_HEADER + (
        f"1,10,2.5,0.001,40,4.5,1.5,,{',' * 12}\n2,20,2.5,0.001,40,3.5,1.25,0.5,0.4{',' * 12}\n")
    assert repr(read_log(tmp_path / "again.csv")) == repr(read_log(log))  # nan is not itself


def test_cocos_figures_are_written_as_they_are_read(tmp_path):
    # without large objects there is no figure of them
    figures = CocoFigures(*(0.05 * place for place in range(1, 12)), math.nan)
    epoch = Epoch(1, 10, 2.5, 0.001, 40.0, 4.5, 1.5, 0.5, 0.4, figures)
    write_log(tmp_path / "log.csv", [epoch])
    assert (tmp_path / "log.csv").read_text() == COCO_HEADER + (
        "1,10,2.5,0.001,40,4.5,1.5,0.5,0.4,0.05,0.1,0.15,0.2,0.25,0.3,0.35,0.4,0.45,0.5,0.55,\n")
    found, = read_log(tmp_path / "log.csv")
    assert attrs.astuple(found.coco) == pytest.approx(attrs.astuple(figures), nan_ok=True)
    assert attrs.evolve(found, coco=None) == attrs.evolve(epoch, coco=None)


def test_cocos_curve_is_drawn_where_it_was_measured(log, tmp_path):
    draw_curves(log, tmp_path / "without.png", "run")
    assert shows(tmp_path / "without.png", (230, 159, 0)) == 0
    epochs = [attrs.evolve(epoch, coco=CocoFigures(*[0.3] * 12)) for epoch in read_log(log)]
    write_log(log, epochs)
    draw_curves(log, tmp_path / "with.png", "run")
    assert shows(tmp_path / "with.png", (230, 159, 0)) > 20


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
    (COCO_HEADER + "1,10,2.5,0.001,40.0,4.5,1.5,0.5,0.4,0.1,x,,,,,,,,,,\n",
     r"line 2: ap50 is 'x'"),
    (COCO_HEADER + "1,10,2.5,0.001,40.0,4.5,1.5,0.5,0.4,0.1\n", r"line 2: ap50 is None"),
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
