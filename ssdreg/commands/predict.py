"""``ssdreg predict``: what does a run see in these pictures?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdreg.commands import arguments
from ssdreg.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

NAME = "predict"
SUMMARY = "detect objects in images and draw them"

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="what `ssdreg train` wrote")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE|DIR",
                        help="images, or folders of images")
    parser.add_argument("--threshold", type=float, default=0.5,
                        help="draw and report objects from this score on, 0 to 1")
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR",
                        help="where the drawn pictures go")
    parser.add_argument("--epoch", type=int, help="the epoch to take; the best by default")
    parser.add_argument("--json", action="store_true",
                        help="print the objects as JSON, boxes in pixels, and draw nothing")
    arguments.add_context(parser)


def run(options: argparse.Namespace) -> int:
    """Detect in every image; a bad one is named and passed over, and the status is then 1."""
    from ssdreg.inference import detect_images, open_inference
    from ssdreg.run import open_run
    found = open_run(options.run_folder)
    files = find_images(options.images)
    inference = open_inference(found, 1, options.epoch, arguments.contexts(options.ctx)[0])
    targets = output_files(files, options.out)
    results, failed = [], 0
    for file, target in zip(files, targets):
        try:
            image = read_image(file)
        except DataError as error:
            print(f"ssdreg: {error}", file=sys.stderr)
            failed += 1
            continue
        rows = detect_images(inference, found, [image])[0]
        rows = rows[rows[:, 1] >= options.threshold]
        if options.json:
            results.append({"image": str(file), "width": image.width, "height": image.height,
                            "objects": _objects(rows, image, found.classes)})
        else:
            _draw(image, rows, found.classes, options.threshold, target)
            print(f"{file}: {_summary(rows, found.classes)} -> {target}")
    if options.json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    return 1 if failed else 0


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List the images among files and folders; raise DataError when a path has none."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise DataError(f"{path} holds no image ({', '.join(sorted(SUFFIXES))})")
            files.extend(inside)
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} is not there")
    return files


def read_image(file: Path) -> Image.Image:
    """Read an image as RGB, turned upright as its camera noted; raise DataError when it is bad."""
    from PIL import Image, ImageOps, UnidentifiedImageError
    try:
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError,
            Image.DecompressionBombError) as error:
        raise DataError(f"{file} cannot be read as an image and was passed over: {error}"
                        ) from error


def output_files(files: Sequence[Path], out: Path) -> list[Path]:
    """Name the picture of each image: its own name with .png, numbered when two are alike.

    Raises DataError when a picture would replace one of the images.
    """
    inputs = {file.resolve() for file in files}
    seen: dict[str, int] = {}
    targets = []
    for file in files:
        count = seen[file.stem] = seen.get(file.stem, 0) + 1
        target = out / (f"{file.stem}.png" if count == 1 else f"{file.stem}-{count}.png")
        if target.resolve() in inputs:
            raise DataError(f"{target} is one of the images and would be replaced by its picture: "
                            f"choose another --out")
        targets.append(target)
    return targets


def _draw(image: Image.Image, rows: np.ndarray, classes: Sequence[str], threshold: float,
          target: Path) -> None:
    from ssdreg.draw import draw_boxes
    from ssdreg.files import replacing
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as beside:
        draw_boxes(image, rows, classes, threshold).save(beside)


def _objects(rows: np.ndarray, image: Image.Image, classes: Sequence[str]) -> list[dict[str, Any]]:
    scale = (image.width, image.height) * 2
    return [{"class": classes[int(row[0])], "score": round(float(row[1]), 4),
             "box": [round(float(side * size), 1) for side, size in zip(row[2:6], scale)]}
            for row in rows]


def _summary(rows: np.ndarray, classes: Sequence[str]) -> str:
    counts = [(int((rows[:, 0] == index).sum()), name) for index, name in enumerate(classes)]
    return ", ".join(f"{count} {name}" for count, name in counts if count) or "nothing found"
