"""``ssdreg predict``: what does a run see in these pictures?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import chain, count
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
    if not 0 <= options.threshold <= 1:
        raise DataError(f"--threshold {options.threshold:g} is no score: give one of 0 to 1")
    found = open_run(options.run_folder)
    files = find_images(options.images)
    targets = {} if options.json else output_files(files, options.out)
    inference = open_inference(found, 1, options.epoch, arguments.contexts(options.ctx)[0])
    results, failed = [], 0
    for file in files:
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
            _draw(image, rows, found.classes, options.threshold, targets[file])
            print(f"{file}: {_summary(rows, found.classes)} -> {targets[file]}")
    if options.json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    return 1 if failed else 0


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List the images among files and folders, each once; raise DataError when a path has none."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir()
                            if file.suffix.lower() in SUFFIXES and file.is_file())
            if not inside:
                raise DataError(f"{path} holds no image ({', '.join(sorted(SUFFIXES))})")
            files.extend(inside)
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} is not there: give an image or a folder of images")
    return list(dict.fromkeys(files))


def read_image(file: Path) -> Image.Image:
    """Read an image as RGB, turned upright as its camera noted; raise DataError when it is bad."""
    from PIL import Image, ImageOps, UnidentifiedImageError
    from ssdreg_runtime.pixels import to_rgb
    try:
        with Image.open(file) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError,
            Image.DecompressionBombError) as error:
        raise DataError(f"{file} cannot be read as an image and was passed over: {error}"
                        ) from error


def output_files(files: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Name the picture of each image: its own name with .png, numbered when two are alike.

    Raises DataError when a picture would replace one of the images.
    """
    inputs = {file.resolve() for file in files}
    targets: dict[Path, Path] = {}
    taken: set[Path] = set()
    for file in files:
        names = chain((file.stem,), (f"{file.stem}-{number}" for number in count(2)))
        target = next(path for name in names if (path := out / f"{name}.png") not in taken)
        if target.resolve() in inputs:
            raise DataError(f"{target} is one of the images and would be replaced by its picture: "
                            f"choose another --out")
        taken.add(target)
        targets[file] = target
    return targets


def _draw(image: Image.Image, rows: np.ndarray, classes: Sequence[str], threshold: float,
          target: Path) -> None:
    from ssdreg_runtime.draw import draw_boxes
    from ssdreg_runtime.files import replacing
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
