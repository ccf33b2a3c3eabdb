"""What every trial of a tuning shares: data, network, starting parameters, an engine."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
from attrs import field, frozen

from ssdreg.data.splits import DataSpec
from ssdreg.engines.choice import AUTO, Choice, choose_engine
from ssdreg.engines.processes import started_together
from ssdreg.errors import RunError, SsdregError
from ssdreg.progress import Note, Progress
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import Head
from ssdreg.training import choices
from ssdreg.training.learner import check_devices
from ssdreg.training.network import Network
from ssdreg.training.options import TrainOptions
from ssdreg.training.start import Taken
from ssdreg.training.trainer import Data


@frozen(kw_only=True)
class Task:
    """What is tuned, as it is written down: names and paths, no objects.

    - `source`: the data
    - `backbone`: its name, empty where a run goes on as the network it is
    - `detector`: its shape, head and overrides, as `ssdreg.train` takes them; the head by its name
    - `pretrained`, `engine`, `device`, `seed`: as `ssdreg.train` takes them
    """

    source: DataSpec
    backbone: str = ""
    detector: choices.DetectorChoice = field(factory=choices.DetectorChoice)
    pretrained: str | bool | None = None
    engine: str = AUTO
    device: str = "cpu"
    seed: int = 0


@frozen(eq=False)
class Parts:
    """What a task names: the names again, or objects, which need not be registered."""

    backbone: str | Backbone
    head: str | Head
    engine: str | Engine

    @classmethod
    def named_by(cls, task: Task) -> Parts:
        """Return the parts as a task that was written down has them."""
        return cls(task.backbone, str(task.detector.head), task.engine)


@frozen(eq=False)
class Prepared:
    """A task with its data open, and its network built: trials train it, each by its recipe.

    `default` is the recipe that `ssdreg train` would follow; `taken` are the parameters that
    training starts from, None where they are drawn.
    """

    task: Task
    choice: Choice
    data: Data
    network: Network
    taken: Taken | None
    default: TrainOptions


def prepare(task: Task, parts: Parts, progress: Progress) -> Prepared:
    """Open data and build a network, as `ssdreg.train` does.

    Raises SsdregError for what it refuses, and where nothing is validated on; RunError in one of
    several processes.
    """
    if started_together().count > 1:
        raise RunError("ssdreg tune works in one process: start it without torchrun")
    backbone, detector = parts.backbone, attrs.evolve(task.detector, head=parts.head)
    source = None if backbone else choices.continued_detector(task.pretrained, detector)
    if not backbone and source is None:
        raise SsdregError("--backbone and --data are needed to tune (--pretrained RUN stands for a "
                          "backbone too, and --resume goes on with a tuning)")
    recipe = choices.recipe({"seed": task.seed})
    choice = choose_engine(parts.engine, task.device)
    choice.precision(recipe.precision)
    continued = choices.open_continued(source, progress)
    start = choices.beginning(backbone, continued, task.pretrained, progress)
    data = choices.open_training(task.source, choices.augmentation("light"), progress)
    if data.validation is None:
        raise SsdregError(f"{task.source.train} has nothing to validate on, by which recipes are "
                          f"compared: give --val-data")
    network = choices.network(backbone, continued, detector, data)
    default = choices.fitted_recipe({"seed": task.seed}, network, data.train.images,
                                    tuned=start is not None)
    check_devices(default, choice.devices)
    taken = None
    if start is not None:
        taken = choices.taken(start, network, data)
        progress(Note(f"starts from {start.what}: {taken.describe()}"))
    progress(Note(f"tunes {network.plan.backbone}, {network.plan.head} at "
                  f"{network.plan.data_shape[0]}x{network.plan.data_shape[1]}, on "
                  f"{data.train.images} images, validated on {data.validation.images}"))
    progress(Note(choice.describe(choice.precision(recipe.precision))))
    return Prepared(task, choice, data, network, taken, default)


def as_text(path: str | os.PathLike[str] | bool | None) -> str | bool | None:
    """Return starting parameters as they can be written down; paths that are there absolute."""
    if path is None or isinstance(path, bool):
        return path
    return str(Path(path).absolute()) if Path(path).exists() else str(path)
