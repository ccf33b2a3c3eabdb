"""A detector's latency with every backend and precision there is: `ssdreg.benchmark`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssdreg_runtime.system.files import scratch_folder

from ssdreg.bench.comparison import Settings, compare
from ssdreg.bench.configurations import choose
from ssdreg.bench.figures import Figures
from ssdreg.bench.measure import Schedule
from ssdreg.bench.peak import SIDES
from ssdreg.bench.progress import BenchProgress
from ssdreg.bench.workload import drawn_images, prepare_workload, read_images
from ssdreg.deploy.model import DeployModel, open_deploy_model, random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import SsdregError
from ssdreg.progress import Progress
from ssdreg.registry.backbone import Backbone

#: Of a backbone's detector, whose weights are random.
CLASSES, DATA_SHAPE, HEAD = 20, 300, "ssd"


def benchmark(detector: str | os.PathLike[str] | Backbone, *,
              data_shape: int | tuple[int, int] | None = None, head: str | None = None,
              num_classes: int | None = None, tap_strides: Sequence[int] | None = None,
              batch_size: int | Sequence[int] = 1, backends: str | Sequence[str] = (),
              precisions: str | Sequence[str] = (), rounds: int = 20, threads: int | None = None,
              images: str | os.PathLike[str] | None = None, post: bool = False, peak: bool = True,
              progress: Progress | None = None) -> Figures:
    """Measure a detector's latency with every backend and precision, as ``ssdreg bench`` does.

    - `detector`: a run's folder, a checkpoint, or a backbone or its name, which gets random weights
    - `data_shape`: the input, a side in pixels or (height, width); a run knows its own, a backbone
      gets 300. `head` (ssd), `num_classes` (20) and `tap_strides` are for a backbone
    - `batch_size`: images at a time, one number or several
    - `backends`, `precisions`: which of them, all that are installed by default
    - `rounds`: turns that each gets; `threads` that each computes with, the real cores by default
    - `images`: a folder of photos to look at and to calibrate int8 with; drawn ones by default
    - `post`: measure what post-processing takes, too; `peak`: and how fast matrices are multiplied

    Each is measured in a process of its own, in turns; the times in the figures are seconds.
    `progress` is called with `Work`.

    Raises SsdregError for numbers that cannot be; BenchError for a backend or precision there is
    not, or where nothing could be measured; DataError for images that cannot be read; and what
    `ssdreg.plan` and `ssdreg.load_checkpoint` raise.
    """
    batches = (batch_size,) if isinstance(batch_size, int) else tuple(dict.fromkeys(batch_size))
    for name, value in (("rounds", rounds), ("threads", threads), ("num-classes", num_classes)):
        if value is not None and value < 1:
            raise SsdregError(f"--{name} {value} cannot be: give 1 or more")
    if min(batches, default=0) < 1:
        raise SsdregError(f"--batch-size {','.join(map(str, batches))}: give 1 or more images")
    choice = choose(_names(backends), _names(precisions))
    given = {name: value for name, value in (("head", head), ("num_classes", num_classes),
                                             ("tap_strides", tap_strides)) if value is not None}
    source = _source(detector, data_shape, given)
    shape = source.plan.data_shape
    pixels = drawn_images(shape) if images is None else read_images(Path(images), shape)
    settings = Settings(batches=batches, threads=threads, schedule=Schedule(rounds=rounds),
                        post=post, sides=SIDES if peak else ())
    with scratch_folder() as folder, BenchProgress(progress) as report:
        prepared = prepare_workload(source, pixels, folder)
        return compare(prepared, choice, settings, folder, report)


def _source(detector: str | os.PathLike[str] | Backbone, data_shape: int | tuple[int, int] | None,
            given: dict[str, Any]) -> DeployModel:
    """Open the run or checkpoint, or build the backbone's detector."""
    backbone = detector if isinstance(detector, Backbone) else os.fspath(detector)
    # a prefix of a checkpoint is no file itself
    if isinstance(backbone, Backbone) or not (Path(backbone).exists() or os.sep in backbone):
        return random_deploy_model(
            backbone, given.get("num_classes", CLASSES), data_shape or DATA_SHAPE,
            given.get("head", HEAD), Overrides(tap_strides=given.get("tap_strides")))
    path = Path(backbone)
    for name in given:
        raise SsdregError(f"--{name.replace('_', '-')} goes with a backbone: {path} knows its own, "
                          f"leave it out")
    return open_deploy_model(path, data_shape=data_shape)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))
