"""What is measured: a detector in a folder of its own, what it costs, and images to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen

from ssdreg.bench.figures import Workload
from ssdreg.deploy.model import DeployModel
from ssdreg.errors import DataError
from ssdreg.runs.params import write_params
from ssdreg.runs.run import create_run

#: Images that are looked at in turn; more of them are for calibration.
LOOKED_AT, CALIBRATION = 8, 32


@frozen
class PreparedWorkload:
    """A detector that workers can open: `folder` is a run, `images` a ``.npy`` of its images.

    These are uint8 (n, H, W, 3) at the size of the network's input.
    """

    workload: Workload
    folder: Path
    images: Path


def prepare_workload(source: DeployModel, images: np.ndarray, folder: Path) -> PreparedWorkload:
    """Write what workers need into `folder`."""
    save_deploy_model(source, folder / "source")
    np.save(folder / "images.npy", images)
    plan = source.plan
    workload = Workload(plan.backbone, plan.head, plan.data_shape, plan.num_classes, plan.anchors,
                        count_multiply_adds(source))
    return PreparedWorkload(workload, folder / "source", folder / "images.npy")


def save_deploy_model(source: DeployModel, folder: Path) -> None:
    """Write a detector as a run of one epoch, for `ssdreg.deploy.model.open_deploy_model`.

    It is no run to train on: its training symbol is the one that is deployed.
    """
    run = create_run(folder, source.classes, source.plan, source.symbol, source.symbol)
    write_params(run.params_file(1), source.params)


def count_multiply_adds(source: DeployModel) -> int:
    """Count the multiply-adds of a whole detector for one image, its predictors included."""
    from ssdreg.graph.summary import multiply_adds
    from ssdreg.graph.symbol import read_graph
    graph = read_graph(source.symbol, source.plan.data_shape)
    return sum(multiply_adds(graph, node) for node in graph.nodes)


def drawn_images(data_shape: tuple[int, int], count: int = CALIBRATION) -> np.ndarray:
    """Draw images of shapes, uint8 (count, H, W, 3), the same ones every time."""
    from ssdreg.data.synthetic import draw_shapes
    rng = np.random.default_rng(0)
    size = data_shape[1], data_shape[0]
    return np.stack([np.asarray(draw_shapes(size, rng)[0]) for _ in range(count)])


def read_images(folder: Path, data_shape: tuple[int, int], count: int = CALIBRATION) -> np.ndarray:
    """Read the first images of a folder, resized: uint8 (up to count, H, W, 3).

    Raises DataError when there are none, and for one that cannot be read.
    """
    from ssdreg_runtime.io.images import read, resize
    from ssdreg_runtime.io.pictures import find_images
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one with images")
    return np.stack([resize(read(file), data_shape) for file in find_images(folder)[:count]])


def batches(images: np.ndarray, size: int) -> Sequence[np.ndarray]:
    """Cut images into batches of `size`, all full: the first images fill up the last one."""
    count = -(-len(images) // size) * size
    filled = np.take(images, np.arange(count) % len(images), axis=0)
    return [filled[start:start + size] for start in range(0, count, size)]
