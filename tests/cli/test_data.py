"""``ssdreg data anchors``: what it measures, prints and draws."""

from __future__ import annotations

import json
import shutil

import attrs
import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.draw.palette import class_colors
from support.runs import DETECTOR, TRAIN_IMAGES, command, refused

import ssdreg
from ssdreg.anchors.fit import fit_sizes
from ssdreg.anchors.match import matches
from ssdreg.anchors.report import size_list
from ssdreg.cli.commands.arguments import sizes as read_sizes
from ssdreg.data import load, pack, read_voc, splits
from ssdreg.data.boxes import boxes
from ssdreg.drawing.anchors import MAX_POINTS, draw_anchors
from ssdreg.errors import DataError
from ssdreg.runs.run import open_run


@pytest.fixture(scope="module")
def planned(tiny_shapes):
    """The plan that training makes of the tests' detector for the drawn shapes, and its boxes."""
    source = read_voc(tiny_shapes, "train")
    plan = ssdreg.plan("resnet18", len(source.classes), 64, tap_strides=(8, 16))
    rows = boxes(source)
    return attrs.evolve(plan, sizes=fit_sizes(rows, plan)), rows


def test_anchors_are_measured_for_people(capsys, tiny_shapes, planned):
    plan, rows = planned
    done = command(capsys, "data", "anchors", *DETECTOR, "--data", tiny_shapes)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"{tiny_shapes}, split train"
    assert lines[1].startswith(f"{len(rows)} boxes: ")
    assert "resnet18 with ssd at 64x64, sizes: data" in lines
    found = matches(rows, plan)
    start = next(index for index, line in enumerate(lines) if line.startswith("level "))
    for index, (level, match) in enumerate(zip(plan.levels, found.levels)):
        line = lines[start + 1 + index].split()
        assert line[:3] == [str(index), f"{level.height}x{level.width}",
                            str(level.anchors_per_cell)]
        assert lines[start + 1 + index].endswith(
            f"{match.matched} ({match.matched / len(rows):.1%})")
    assert f"{int(found.matched.sum())} ({found.share:.1%})" in lines[start + 1 + len(plan.levels)]
    lost = len(rows) - int(found.matched.sum())
    assert any(line.startswith(f"matched by no level: {lost} of {len(rows)} boxes")
               for line in lines)
    assert lines[-1] == f"--sizes {size_list(fit_sizes(rows, plan))}"


def test_anchors_are_measured_for_machines(capsys, tiny_shapes, planned):
    plan, rows = planned
    done = command(capsys, "data", "anchors", *DETECTOR, "--data", tiny_shapes, "--json")
    told = json.loads(done.out)
    assert (done.status, done.err) == (0, "")
    assert told["boxes"]["count"] == len(rows) == sum(told["boxes"]["classes"].values())
    assert [tuple(level["map"]) for level in told["levels"]] == [
        (level.height, level.width) for level in plan.levels]
    assert sum(level["best"] for level in told["levels"]) == len(rows)
    assert list(told["schemes"]) == ["example", "paper", "data"]
    for scheme in told["schemes"].values():
        sizes = tuple(tuple(level) for level in scheme["sizes"])
        found = matches(rows, attrs.evolve(plan, sizes=sizes))
        assert scheme["share"] == pytest.approx(found.share)
        assert scheme["mean_iou"] == pytest.approx(found.mean_overlap)
        assert scheme["anchors_per_box"] == pytest.approx(found.positives)
    assert told["schemes"]["data"]["mean_iou"] > told["schemes"]["example"]["mean_iou"]


def test_the_line_at_the_end_is_what_train_takes(capsys, tiny_shapes):
    told = [json.loads(command(capsys, "data", "anchors", *DETECTOR, "--data", tiny_shapes,
                               "--json", "--sizes", sizes).out) for sizes in ("data", "example")]
    assert [each["chosen"] for each in told] == ["data", "example"]
    assert told[0]["fitted"] == told[1]["fitted"]
    given = json.loads(command(capsys, "data", "anchors", *DETECTOR, "--data", tiny_shapes,
                               "--json", "--sizes", told[0]["fitted"]).out)
    assert given["chosen"] == "given"
    assert given["levels"] == told[0]["levels"]
    assert given["schemes"]["given"] == told[0]["schemes"]["data"]
    sizes = read_sizes(given["fitted"])
    assert [list(level) for level in sizes] == given["schemes"]["data"]["sizes"]


def test_what_is_reported_is_what_would_be_trained(capsys, tiny_shapes, tiny_run, tmp_path):
    """Of a folder without splits a tenth is left out, as in training, and sizes are fitted."""
    folder = tmp_path / "without splits"
    shutil.copytree(tiny_shapes, folder)
    shutil.rmtree(folder / "ImageSets")
    learnt = splits.open_data(splits.choose(folder))[0]
    told = json.loads(command(capsys, "data", "anchors", *DETECTOR, "--data", folder,
                              "--json").out)
    assert told["data"] == f"{folder}, split all but for a tenth, by name (held-out)"
    assert told["boxes"]["count"] == learnt.objects
    assert told["chosen"] == "data"
    # a run, with the anchors and the images that it had
    run = json.loads(command(capsys, "data", "anchors", "--run", tiny_run, "--json").out)
    plan = open_run(tiny_run).plan
    assert (run["chosen"], run["data"]) == ("given", f"{tiny_shapes}, split train")
    assert [level["sizes"] for level in run["levels"]] == [list(each) for each in plan.sizes]
    assert run["boxes"]["count"] == load(tiny_shapes, "train").objects
    other = json.loads(command(capsys, "data", "anchors", "--run", tiny_run, "--data", tiny_shapes,
                               "--split", "val", "--json").out)
    assert other["boxes"]["count"] == load(tiny_shapes, "val").objects


@pytest.mark.parametrize(("arguments", "sentence"), [
    ([], "name a --backbone or a --run, one of the two"),
    (["--backbone", "resnet18", "--run", "RUN"], "name a --backbone or a --run, one of the two"),
    (["--backbone", "resnet18"], "--data is needed: a --backbone alone has no boxes"),
    (["--run", "RUN", "--tap-strides", "8"],
     "--tap-strides, --sizes and --loss go with --backbone"),
    (["--run", "RUN", "--split", "val"], "--split names a split of --data: give --data too"),
    (["--run", "nowhere"], "nowhere"),
])
def test_what_is_measured_must_be_clear(capsys, tiny_run, arguments, sentence):
    arguments = [str(tiny_run) if each == "RUN" else each for each in arguments]
    assert refused(command(capsys, "data", "anchors", *arguments), sentence)


def test_a_record_file_and_a_split(capsys, tiny_shapes):
    counts = {}
    for split in ("train", "val"):
        source = read_voc(tiny_shapes, split)
        told = [json.loads(command(capsys, "data", "anchors", *DETECTOR, "--json", *data).out)
                for data in (("--data", tiny_shapes, "--split", split),
                             ("--data", pack(source).rec))]
        # records hold float32, which moves no box across a threshold here
        assert told[0]["boxes"]["classes"] == told[1]["boxes"]["classes"]
        assert [level["matched"] for level in told[0]["levels"]] == [
            level["matched"] for level in told[1]["levels"]]
        counts[split] = told[0]["boxes"]["count"]
    assert counts["train"] > counts["val"]
    assert counts["train"] >= TRAIN_IMAGES


def test_the_picture_shows_every_level_and_both_kinds_of_boxes(capsys, tiny_shapes, planned,
                                                               tmp_path):
    plan, _ = planned
    out = tmp_path / "new" / "anchors.png"
    done = command(capsys, "data", "anchors", *DETECTOR, "--data", tiny_shapes, "--out", out)
    # matplotlib may have warnings of its own there
    assert (done.status, done.err.splitlines()[-1]) == (0, f"drawn: {out}")
    assert [file.name for file in out.parent.iterdir()] == ["anchors.png"]
    pixels = np.asarray(Image.open(out).convert("RGB"), dtype=int)
    assert pixels.shape[0] >= 600
    assert pixels.shape[1] >= 1000
    for color in (*class_colors(len(plan.levels)), (158, 158, 158)):
        assert (np.abs(pixels - color).max(axis=2) < 12).sum() > 50, color


def test_very_many_boxes_make_no_larger_picture(planned, tmp_path):
    plan, rows = planned
    sizes = []
    for count in (4 * MAX_POINTS, 8 * MAX_POINTS):
        many = rows[np.arange(count) % len(rows)]
        draw_anchors(many, plan, matches(many, plan), tmp_path / "anchors.svg", "many $boxes")
        sizes.append((tmp_path / "anchors.svg").stat().st_size)
    assert sizes[1] < 1.2 * sizes[0]


def test_a_picture_of_no_format_is_refused(planned, tmp_path):
    plan, rows = planned
    with pytest.raises(DataError, match="suffix is no picture format"):
        draw_anchors(rows, plan, matches(rows, plan), tmp_path / "anchors.xyz", "boxes")
    assert not list(tmp_path.iterdir())


def test_small_boxes_are_said_to_need_a_finer_level(capsys, tiny_shapes):
    arguments = ("data", "anchors", "--backbone", "resnet18", "--data-shape", "64",
                 "--data", tiny_shapes, "--tap-strides")
    coarse = command(capsys, *arguments, "16")
    assert "smaller than 1.5 cells of the finest level: " in coarse.out
    assert "a finer stride in --tap-strides or a larger --data-shape" in coarse.out
    assert "smaller than 1.5 cells" not in command(capsys, *arguments, "4,8").out


def test_problems_of_the_data_are_told(capsys, tiny_shapes, tmp_path):
    for name in ("JPEGImages", "ImageSets"):
        (tmp_path / name).symlink_to(tiny_shapes / name)
    (tmp_path / "Annotations").mkdir()
    names = sorted((tiny_shapes / "Annotations").iterdir())
    for number, file in enumerate(names):
        text = file.read_text() if number else "no XML"
        (tmp_path / "Annotations" / file.name).write_text(text)
    done = command(capsys, "data", "anchors", *DETECTOR, "--data", tmp_path, "--split", "train")
    assert done.status == 0
    assert "1 x unreadable annotation" in done.err
    assert f"{names[0].name}: unreadable annotation" in done.err


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--sizes", "huge"], "sizes='huge' is no scheme"),
    (["--sizes", "0.1/0.2"], "sizes has 2 entries"),
    (["--split", "nowhere"], "nowhere.txt: there is no such split"),
    (["--backbone", "resnet-51"], "no backbone is called 'resnet-51'"),
    (["--tap-strides", "7"], "has no tap at stride 7"),
    (["--out", "anchors.xyz"], "its suffix is no picture format"),
])
def test_what_cannot_be_is_one_sentence(capsys, tiny_shapes, arguments, sentence):
    done = command(capsys, "data", "anchors", *DETECTOR, "--data", tiny_shapes, *arguments)
    assert refused(done, sentence)


def test_a_folder_that_is_not_there_is_refused(capsys, tmp_path):
    done = command(capsys, "data", "anchors", *DETECTOR, "--data", tmp_path / "none")
    assert refused(done, "there is no such folder")


def test_the_commands_of_data_are_told(capsys):
    done = command(capsys, "data", "--help")
    assert done.status == 0
    assert "anchors" in done.out
    own = command(capsys, "data", "anchors", "--help")
    assert "(default: 300)" in own.out
    assert "(default: None)" not in own.out
    assert command(capsys, "data").status == 2
