"""``ssdreg-detect ... --ray ADDRESS``, and the same of ``ssdreg predict``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ssdreg_runtime.cli.common import SOME_FAILED, only
from ssdreg_runtime.errors import DataError, ModelError
from ssdreg_runtime.io.pictures import find_images, find_images_below
from ssdreg_runtime.many.job import detect_files, picture_files
from ssdreg_runtime.many.recipe import Recipe
from ssdreg_runtime.many.results import PARQUET, Results
from ssdreg_runtime.system.progress import Work, progress

#: Options that print, draw or save something else than rows, or look at more than one picture.
_OTHERS = ("json", "json_lines", "track", "save_crops", "save_txt", "save_coco", "line_width",
           "font_size", "hide_labels", "hide_scores")
#: What `ssdreg export` writes.
_EXPORTED = (".onnx", ".xml")


def detect_on_ray(options: argparse.Namespace, sources: Sequence[str]) -> int:
    """Detect in pictures on a cluster, print a line at the end, and return the exit status."""
    others = [f"--{name.replace('_', '-')}" for name in _OTHERS if getattr(options, name)]
    if others:
        raise DataError(f"{', '.join(others)} cannot be had with --ray, which writes a row a "
                        f"picture and draws nothing: leave it out")
    if options.model.suffix not in _EXPORTED:
        raise ModelError(f"{options.model} is no exported detector, which --ray needs: `ssdreg "
                         f"export {options.model}` writes one")
    recipe = Recipe(
        model=options.model, threshold=options.threshold, backend=options.backend or "auto",
        threads=1 if options.threads is None else options.threads, precision=options.precision,
        device=options.device, iou=options.iou, max_det=options.max_det, only=only(options))
    files = picture_files(sources, find_images_below if options.recursive else find_images,
                          listed=options.listed)
    with progress(Work("", "images"), stays=True) as shown:
        def show(done: int, total: int) -> None:
            shown.work.done, shown.work.total = done, total
            shown.show()

        found = detect_files(recipe, files, Results(Path(options.out).absolute(),
                                                    options.format or PARQUET),
                             options.ray, options.workers, show)
    before = f", {found.before:,} before" if found.before else ""
    print(f"{found.pictures:,} images{before} -> {options.out}")
    if found.failed:
        print(f"{found.failed} of {found.pictures} pictures could not be read; their rows say why",
              file=sys.stderr)
    return SOME_FAILED if found.failed else 0
