"""One small data set, drawn, and written in every format: what conformance reads of each.

Each picture is grey with a rectangle of its class's color in every box, so that a box that is wrong
holds something else. Boxes are edges in pixels from 0; every format writes them in its own way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from csv import writer
from pathlib import Path

from attrs import frozen
from PIL import Image

CLASSES = ("cat", "dog")
COLORS = {"cat": (200, 30, 30), "dog": (30, 30, 200)}
GREY = (120, 120, 120)


@frozen
class Drawn:
    """A picture: its name without extension, its size, and its boxes with their labels."""

    name: str
    size: tuple[int, int]
    boxes: tuple[tuple[str, int, int, int, int], ...]


TRAIN = (Drawn("one", (80, 60), (("cat", 10, 5, 40, 45), ("dog", 50, 20, 80, 60))),
         Drawn("two", (60, 90), (("dog", 0, 0, 30, 30),)),
         Drawn("three", (64, 64), (("cat", 8, 16, 32, 48),)))
VAL = (Drawn("four", (80, 60), (("dog", 20, 10, 60, 50),)),
       Drawn("five", (100, 50), (("cat", 1, 2, 30, 40), ("cat", 40, 10, 90, 45))))


def picture(drawn: Drawn) -> Image.Image:
    """Draw a picture."""
    image = Image.new("RGB", drawn.size, GREY)
    for label, x1, y1, x2, y2 in drawn.boxes:
        image.paste(COLORS[label], (x1, y1, x2, y2))
    return image


def draw(folder: Path, pictures: Sequence[Drawn], suffix: str = ".png") -> None:
    """Draw pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for drawn in pictures:
        picture(drawn).save(folder / f"{drawn.name}{suffix}")


def write(path: Path, text: str) -> Path:
    """Write a text file, with its folders; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def voc_xml(drawn: Drawn, suffix: str = ".png") -> str:
    """Return a picture's annotation in PASCAL VOC's XML."""
    objects = "".join(
        f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{x1 + 1}</xmin>"
        f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in drawn.boxes)
    return (f"<annotation><filename>{drawn.name}{suffix}</filename><size><width>{drawn.size[0]}"
            f"</width><height>{drawn.size[1]}</height></size>{objects}</annotation>")


def voc(root: Path) -> Path:
    """Write the data set in PASCAL VOC's layout."""
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        draw(root / "JPEGImages", pictures)
        for drawn in pictures:
            write(root / "Annotations" / f"{drawn.name}.xml", voc_xml(drawn))
        write(root / "ImageSets" / "Main" / f"{split}.txt",
              "".join(f"{drawn.name}\n" for drawn in pictures))
    return root


def coco_json(pictures: Sequence[Drawn], suffix: str = ".png") -> dict:
    """Return the content of an annotation file of COCO."""
    #: numbers of categories have a hole
    numbers = {"cat": 3, "dog": 17}
    entries = [(place, label, edges) for place, drawn in enumerate(pictures, 1)
               for label, *edges in drawn.boxes]
    return {
        "images": [{"id": place, "file_name": f"{drawn.name}{suffix}", "width": drawn.size[0],
                    "height": drawn.size[1]} for place, drawn in enumerate(pictures, 1)],
        "categories": [{"id": numbers[name], "name": name} for name in CLASSES],
        "annotations": [{"id": identity, "image_id": image, "category_id": numbers[label],
                         "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
                        for identity, (image, label, (x1, y1, x2, y2)) in enumerate(entries, 1)]}


def coco(root: Path) -> Path:
    """Write the data set as COCO has it: a file a split."""
    for split, pictures in (("train2017", TRAIN), ("val2017", VAL)):
        draw(root / split, pictures)
        write(root / "annotations" / f"instances_{split}.json", json.dumps(coco_json(pictures)))
    return root


def yolo_lines(drawn: Drawn) -> str:
    """Return a picture's annotation for YOLO."""
    width, height = drawn.size
    return "".join(f"{CLASSES.index(label)} {(x1 + x2) / 2 / width:.6f} "
                   f"{(y1 + y2) / 2 / height:.6f} {(x2 - x1) / width:.6f} "
                   f"{(y2 - y1) / height:.6f}\n" for label, x1, y1, x2, y2 in drawn.boxes)


def yolo(root: Path) -> Path:
    """Write the data set as Ultralytics has it."""
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        draw(root / "images" / split, pictures)
        for drawn in pictures:
            write(root / "labels" / split / f"{drawn.name}.txt", yolo_lines(drawn))
    write(root / "data.yaml", "path: .\ntrain: images/train\nval: images/val\n"
                              "names:\n  0: cat\n  1: dog\n")
    return root


def csv(root: Path) -> Path:
    """Write the data set as a table a split."""
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        draw(root / "images", pictures)
        with (root / f"{split}_labels.csv").open("w", newline="") as stream:
            lines = writer(stream)
            lines.writerow(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"])
            lines.writerows([f"{drawn.name}.png", *drawn.size, *box]
                            for drawn in pictures for box in drawn.boxes)
    return root


def labelme_json(drawn: Drawn, suffix: str = ".png") -> dict:
    """Return a picture's annotation as LabelMe writes it."""
    return {"version": "5.4.1", "flags": {}, "imageData": None,
            "imagePath": f"{drawn.name}{suffix}", "imageWidth": drawn.size[0],
            "imageHeight": drawn.size[1],
            # the lower right corner first, as somebody may have drawn it
            "shapes": [{"label": label, "points": [[x2, y2], [x1, y1]], "shape_type": "rectangle"}
                       for label, x1, y1, x2, y2 in drawn.boxes]}


def labelme(root: Path) -> Path:
    """Write the data set as LabelMe has it: a file a picture."""
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        draw(root / split, pictures)
        for drawn in pictures:
            write(root / split / f"{drawn.name}.json", json.dumps(labelme_json(drawn)))
    return root


def cvat(root: Path) -> Path:
    """Write the data set as CVAT for images has it: one file."""
    images = ""
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        draw(root / "images" / split, pictures)
        for drawn in pictures:
            boxes = "".join(f'<box label="{label}" xtl="{x1}.00" ytl="{y1}.00" xbr="{x2}.00" '
                            f'ybr="{y2}.00" occluded="0"/>'
                            for label, x1, y1, x2, y2 in drawn.boxes)
            images += (f'<image id="0" name="{drawn.name}.png" subset="{split}" '
                       f'width="{drawn.size[0]}" height="{drawn.size[1]}">{boxes}</image>')
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    write(root / "annotations.xml",
          f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task>'
          f"<labels>{labels}</labels></task></meta>{images}</annotations>")
    return root


def _sagemaker_boxes(drawn: Drawn) -> dict:
    return {"image_size": [{"width": drawn.size[0], "height": drawn.size[1], "depth": 3}],
            "annotations": [{"class_id": CLASSES.index(label), "left": x1, "top": y1,
                             "width": x2 - x1, "height": y2 - y1}
                            for label, x1, y1, x2, y2 in drawn.boxes]}


def manifest_line(drawn: Drawn) -> str:
    """Return a picture's line of an augmented manifest."""
    return json.dumps({
        "source-ref": f"s3://bucket/somewhere/{drawn.name}.png", "pets": _sagemaker_boxes(drawn),
        "pets-metadata": {"class-map": {str(place): name for place, name in enumerate(CLASSES)},
                          "type": "groundtruth/object-detection"}})


def manifest(root: Path) -> Path:
    """Write the data set as SageMaker's augmented manifest, a file a split."""
    for split, pictures in (("train", TRAIN), ("validation", VAL)):
        draw(root / "images", pictures)
        write(root / f"{split}.manifest",
              "".join(f"{manifest_line(drawn)}\n" for drawn in pictures))
    return root


def sagemaker(root: Path) -> Path:
    """Write the data set in SageMaker's image format: a JSON file a picture."""
    for split, pictures in (("train", TRAIN), ("validation", VAL)):
        draw(root / split, pictures)
        for drawn in pictures:
            write(root / f"{split}_annotation" / f"{drawn.name}.json", json.dumps({
                "file": f"{drawn.name}.png", **_sagemaker_boxes(drawn),
                "categories": [{"class_id": place, "name": name}
                               for place, name in enumerate(CLASSES)]}))
    return root
