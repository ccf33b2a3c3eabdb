"""Small data sets in PASCAL VOC layout, and what is wrong in them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ssdreg.data import read_voc

OBJECT = """<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>
<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def add(root: Path, name: str, *objects: tuple, size: tuple[int, int] = (100, 50)) -> None:
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 60, 30)).save(root / "JPEGImages" / f"{name}.jpg")
    body = "".join(OBJECT.format(*item) for item in objects)
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{body}</annotation>")


def found(root: Path, **options: object) -> set[tuple[str, str]]:
    return {(issue.file.name, issue.kind) for issue in read_voc(root, **options).issues}
