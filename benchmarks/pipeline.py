"""How fast batches are made, beside MXNet's own iterator over the same file.

    python benchmarks/pipeline.py DATA [--split S] [--size 300] [--batch 16] [--rounds 3]

In turns, in one run: ssdreg's batches and ``mx.io.ImageDetRecordIter``, by threads and recipe.
Images a second, and processor time an image, which is what training has less of where it learns on
the same processors. MXNet's iterator gets what is nearest to each recipe among its parameters.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ssdreg_runtime.system.tables import text_table

from ssdreg.data import RECIPES, Augmentation, Packed, load, open_train

#: Floats of an object and of the header in the labels that ssdreg packs.
_OBJECT_WIDTH, _HEADER_WIDTH = 6, 2


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    packed = load(options.data, options.split)
    shape = (options.size, options.size)
    subjects: dict[tuple[str, str, int], Callable[[], Iterator[object]]] = {}
    for name, recipe in RECIPES.items():
        for threads in (1, 2):
            subjects["ssdreg", name, threads] = (
                lambda recipe=recipe, threads=threads: open_train(
                    packed, shape, options.batch, recipe, seed=1, threads=threads))
            subjects["MXNet's iterator", name, threads] = (
                lambda recipe=recipe, threads=threads: _mxnet(
                    packed, shape, options.batch, recipe, threads))
    measured: dict[tuple[str, str, int], list[tuple[float, float]]] = {key: [] for key in subjects}
    for _ in range(options.rounds):
        for key, opened in subjects.items():
            measured[key].append(_measure(opened, options.batch))
    heading = ("batches by", "augmentation", "threads", "images/s", "processor ms an image")
    print(text_table(heading, [
        (who, name, str(threads), f"{statistics.median(rate for rate, _ in runs):.0f}",
         f"{statistics.median(cost for _, cost in runs) * 1e3:.2f}")
        for (who, name, threads), runs in measured.items()]))


def _measure(opened: Callable[[], Iterator[object]], size: int) -> tuple[float, float]:
    """Return images a second and processor seconds an image of one pass, opening included."""
    # MXNet's iterator reads ahead from the moment it is opened
    images, began, processor = 0, time.perf_counter(), time.process_time()
    batches = opened()
    for batch in batches:
        batch.data[0].wait_to_read()  # type: ignore[attr-defined]
        images += size
    seconds, cost = time.perf_counter() - began, time.process_time() - processor
    if hasattr(batches, "close"):
        batches.close()
    return images / seconds, cost / images


def _mxnet(packed: Packed, shape: tuple[int, int], batch: int, recipe: Augmentation | None,
           threads: int) -> Iterator[object]:
    from ssdreg.mx import mx
    changes = {} if recipe is None else {
        "rand_crop_prob": recipe.crop_probability, "num_crop_sampler": len(recipe.crop_overlaps),
        "min_crop_overlaps": recipe.crop_overlaps,
        **{name: (value,) * len(recipe.crop_overlaps) for name, value in (
            ("max_crop_overlaps", 1.0), ("min_crop_scales", recipe.crop_scale[0]),
            ("max_crop_scales", recipe.crop_scale[1]),
            ("min_crop_aspect_ratios", recipe.crop_aspect[0]),
            ("max_crop_aspect_ratios", recipe.crop_aspect[1]),
            ("max_crop_trials", recipe.crop_trials))},
        "crop_emit_mode": "center", "rand_pad_prob": recipe.pad_probability,
        "max_pad_scale": recipe.pad_scale, "rand_mirror_prob": recipe.mirror_probability,
        "random_hue_prob": recipe.color_probability, "max_random_hue": recipe.hue,
        "random_saturation_prob": recipe.color_probability, "max_random_saturation": 32,
        "random_illumination_prob": recipe.color_probability,
        "max_random_illumination": recipe.lightness,
        "random_contrast_prob": recipe.color_probability, "max_random_contrast": recipe.contrast}
    width = _HEADER_WIDTH + packed.max_objects * _OBJECT_WIDTH
    return mx.io.ImageDetRecordIter(
        path_imgrec=str(packed.rec), data_shape=(3, *shape), batch_size=batch, shuffle=True,
        preprocess_threads=threads, label_pad_width=width, resize_mode="force", verbose=False,
        mean_r=123.68, mean_g=116.78, mean_b=103.94, **changes)


if __name__ == "__main__":
    main()
