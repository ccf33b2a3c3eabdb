"""Tables of boxes: with and without a header, in common orders, and what is broken in them."""

from __future__ import annotations

import pytest
from support import drawn
from support.drawn import TRAIN, draw, write

from ssdreg.data import available_splits, read_dataset
from ssdreg.errors import DataError

WANTED = drawn.drawn_boxes(TRAIN)


def lines(form: str) -> str:
    """Write a line a box; ``w`` and ``h`` are the box's, ``W`` and ``H`` the picture's."""
    return "".join(form.format(name=each.name, label=label, x1=x1, y1=y1, x2=x2, y2=y2, w=x2 - x1,
                               h=y2 - y1, cx=(x1 + x2) / 2, cy=(y1 + y2) / 2, W=each.size[0],
                               H=each.size[1], sx1=x1 / each.size[0], sy1=y1 / each.size[1],
                               sx2=x2 / each.size[0], sy2=y2 / each.size[1]) + "\n"
                   for each in TRAIN for label, x1, y1, x2, y2 in each.boxes)


@pytest.mark.parametrize(("header", "form"), [
    ("", "{name}.png,{x1},{y1},{x2},{y2},{label}"),
    ("", "images/{name}.png,{label},{x1},{y1},{x2},{y2}"),
    ("", "{name}.png,{W},{H},{label},{x1},{y1},{x2},{y2}"),
    ("", "TRAIN,gs://bucket/images/{name}.png,{label},{sx1},{sy1},,,{sx2},{sy2},,"),
    ("filename,width,height,class,xmin,ymin,xmax,ymax",
     "{name}.png,{W},{H},{label},{x1},{y1},{x2},{y2}"),
    ("image_path;label;xmin;ymin;xmax;ymax", "{name}.png;{label};{x1};{y1};{x2};{y2}"),
    ("path\tlabel\tx\ty\twidth\theight", "{name}.png\t{label}\t{x1}\t{y1}\t{w}\t{h}"),
    ("image_id,width,height,bbox,label", '{name},{W},{H},"[{x1}, {y1}, {w}, {h}]",{label}'),
    ("ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf",
     "{name},x,{label},1,{sx1},{sx2},{sy1},{sy2},0"),
    ("Image, Label, x_center, y_center, w, h", "{name}.png, {label}, {cx}, {cy}, {w}, {h}"),
    ("label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
     "{label},{x1},{y1},{w},{h},{name}.png,{W},{H}")])
def test_orders_of_columns(tmp_path, header, form):
    draw(tmp_path / "images", TRAIN)
    write(tmp_path / "boxes.csv", (f"{header}\n" if header else "") + lines(form))
    for path in (tmp_path, tmp_path / "boxes.csv"):
        found = read_dataset(path)
        assert found.issues == ()
        assert drawn.boxes_of(found) == WANTED
    assert available_splits(tmp_path) == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets(tmp_path, encoding):
    draw(tmp_path, TRAIN)
    text = "filename,class,xmin,ymin,xmax,ymax\n" + lines("{name}.png,{label},{x1},{y1},{x2},{y2}")
    (tmp_path / "boxes.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert drawn.boxes_of(read_dataset(tmp_path)) == WANTED


def test_columns_that_are_named(tmp_path):
    draw(tmp_path, TRAIN)
    write(tmp_path / "boxes.csv", lines("{label},9,{x2},{y2},{x1},{y1},{name}.png"))
    with pytest.raises(DataError, match=r"not known which column is what, .*name them by --col"):
        read_dataset(tmp_path / "boxes.csv", format="csv")
    for head in ("", "a,b,c,d,e,f,g\n"):
        write(tmp_path / "boxes.csv",
              head + lines("{label},9,{x2},{y2},{x1},{y1},{name}.png"))
        found = read_dataset(tmp_path, format="csv:label,-,x2,y2,x1,y1,image")
        assert drawn.boxes_of(found) == WANTED
    for columns, sentence in (("label,x1", "image is needed, and a box"),
                              ("image,what", "a column is no 'what'; it may be image, label")):
        with pytest.raises(DataError, match=sentence):
            read_dataset(tmp_path, format=f"csv:{columns}")


def test_an_image_without_objects(tmp_path):
    draw(tmp_path, TRAIN)
    text = lines("{name}.png,{x1},{y1},{x2},{y2},{label}")
    write(tmp_path / "boxes.csv",
          "\n".join(line for line in text.splitlines() if "two" not in line) + "\ntwo.png,,,,,\n")
    found = read_dataset(tmp_path)
    assert {sample.image.stem: len(sample.boxes) for sample in found.samples} == {
        "one": 2, "three": 1, "two": 0}
    assert drawn.kinds(found) == [("two.png", "no object", "kept")]


@pytest.mark.parametrize(("group", "crowds"), [(-1, 0), (0, 0), (1, 4)])
def test_a_group_of_objects_is_a_crowd_where_that_is_known(tmp_path, group, crowds):
    """Open Images writes -1 where nobody looked."""
    draw(tmp_path, TRAIN)
    write(tmp_path / "boxes.csv", "image,label,x1,y1,x2,y2,IsGroupOf\n" + lines(
        f"{{name}}.png,{{label}},{{x1}},{{y1}},{{x2}},{{y2}},{group}") + "one.png,cat,1,2,9,9,0\n")
    found = read_dataset(tmp_path)
    assert sum(issue.kind == "crowd" for issue in found.issues) == crowds


@pytest.mark.parametrize(("line", "kind", "sentence"), [
    ("one.png,cat,1,2,x,9", "unreadable annotation", "line 6 (cat) has no four numbers for a box"),
    ("one.png,cat,1,2,9", "unreadable annotation", "line 6 (cat) has no four numbers"),
    ("one.png,,1,2,9,9", "unreadable annotation", "line 6 names no class"),
    (",cat,1,2,9,9", "unreadable annotation", "line 6 names no image"),
    ("nowhere.png,cat,1,2,9,9", "missing image", "no file called nowhere.png"),
    ("one.png,cat,9,9,9,9", "empty box", "object 6 (cat): 9,9,9,9 encloses nothing"),
    ("one.png,background,1,1,9,9", "background as a class", "the background is not annotated")])
def test_a_broken_line(tmp_path, line, kind, sentence):
    draw(tmp_path, TRAIN)
    write(tmp_path / "boxes.csv", "filename,class,xmin,ymin,xmax,ymax\n"
          + lines("{name}.png,{label},{x1},{y1},{x2},{y2}") + line + "\n")
    found = read_dataset(tmp_path)
    assert [(issue.file.name, issue.kind, issue.action) for issue in found.issues] == [
        ("boxes.csv", kind, "left out")]
    assert sentence in found.issues[0].detail
    assert drawn.boxes_of(found) == WANTED


def test_two_tables_of_no_split(tmp_path):
    draw(tmp_path, TRAIN)
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, lines("{name}.png,{x1},{y1},{x2},{y2},{label}"))
    with pytest.raises(DataError, match=r"a\.csv and b\.csv are both tables: give the one"):
        read_dataset(tmp_path)
