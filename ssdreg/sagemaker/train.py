"""A training job from its folders to its model: `ssdreg sagemaker train`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define
from ssdreg_runtime.system.files import scratch_folder, write_json

from ssdreg.checkpoints import load_checkpoint
from ssdreg.data.json_file import read_json
from ssdreg.data.packed import open_rec
from ssdreg.engines.choice import AUTO, choose_engine
from ssdreg.errors import DependencyError, Interrupted, RunError, SsdregError
from ssdreg.progress import Note, Progress
from ssdreg.registry.names import get_backbone
from ssdreg.runs.log import Epoch
from ssdreg.runs.run import CONFIG, Run, open_run
from ssdreg.sagemaker.artifacts import write_model
from ssdreg.sagemaker.channels import JobData, open_channels
from ssdreg.sagemaker.contract import MODEL, VALIDATION, Channel, Folders, Job, read_job
from ssdreg.sagemaker.hyperparameters import Settings, read_settings, written
from ssdreg.sagemaker.metrics import JobLog
from ssdreg.sagemaker.stopping import has_ended
from ssdreg.training import restarting
from ssdreg.training.train import resume, train

#: The built-in algorithm's names of its networks, and the backbones that these are.
NETWORKS = {"vgg-16": "vgg16_reduced", "resnet-50": "resnet50"}
#: What a job keeps in its checkpoint folder: the run, and what the job was told.
RUN, TOLD = "run", "hyperparameters.json"
#: Parameter files in the checkpoint folder, all of which are copied to a bucket, besides the best.
KEPT_EPOCHS = 1


def train_job(folders: Folders, line: Callable[[str], None], *, engine: str = AUTO,
              device: str = "cpu") -> Run:
    """Train a job, or go on with it, and write its model; return its run.

    It is kept in the checkpoint folder where there is one, and the same job started again goes on
    there. `line` is called with every line of the job's log, see `JobLog`.

    Raises SsdregError, a sentence, for what cannot be; Interrupted after SIGTERM, when all is saved
    and the model is that of the best epoch so far, where one has ended.
    """
    job = read_job(folders)
    settings = read_settings(job.hyperparameters)
    _check(job, settings)
    log = JobLog(line, job.host, settings.epochs)
    for note in settings.notes:
        log(Note(note))
    with scratch_folder() as work:
        kept = folders.checkpoints if folders.checkpoints.is_dir() else work
        _refuse_another_job(kept, written(job.hyperparameters))
        data = open_channels(job, settings.num_classes, work, log)
        try:
            _train(job, settings, data, kept / RUN, work, {"engine": engine, "device": device},
                   log)
        except Interrupted:
            if _epochs(kept / RUN):
                _write(open_run(kept / RUN), job, log)
            raise
        run = open_run(kept / RUN)
        _write(run, job, log)
        return run


def best_device(engine: str = AUTO) -> str:
    """Return the device of a job that names none: cuda where an engine can, else cpu."""
    try:
        choose_engine(engine, "cuda")
    except (DependencyError, RunError):
        return "cpu"
    return "cuda"


def _check(job: Job, settings: Settings) -> None:
    """Refuse what can be refused before anything is read."""
    if job.hosts > 1:
        raise SsdregError(f"the job has {job.hosts} machines, and one trains here: set its "
                          f"instance count to 1, and mini_batch_size to that of all machines")
    if settings.early_stopping and VALIDATION not in job.channels:
        raise SsdregError(f"early_stopping is True, and the job has no channel {VALIDATION!r} to "
                          f"tell when to stop: add it, or set early_stopping to False")
    get_backbone(_backbone(settings))


def _refuse_another_job(kept: Path, told: Mapping[str, str]) -> None:
    """Note what the job is told; raise RunError where its checkpoints are those of another.

    Only the number of epochs may change.
    """
    file = kept / TOLD
    if not restarting.is_saved(kept / RUN):
        write_json(file, dict(told))
        return
    try:
        before = dict(read_json(file))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file} cannot be read, which says what job the checkpoints are of: "
                       f"{error}; give the job another checkpoint folder") from error
    for name, value in told.items():
        if name != "epochs" and before.get(name) != value:
            raise RunError(f"the checkpoints in {kept} are of a job whose {name} is "
                           f"{before.get(name)!r}, and this job's is {value!r}: give this job "
                           f"another checkpoint folder")


def _train(job: Job, settings: Settings, data: JobData, run: Path, work: Path,
           computed: Mapping[str, Any], log: Progress) -> None:
    """Train to the last epoch, or to an early end; raise Interrupted when stopped."""
    saved = restarting.is_saved(run)
    rule = _EarlyEnd(settings, log, list(open_run(run).log()) if saved else [])
    if rule.has_come:
        return
    common: dict[str, Any] = {"data": data.train, "val_data": data.validation, "progress": rule,
                              "epochs": settings.epochs, **computed}
    try:
        if saved:
            resume(run, **common)
            return
        if (run / CONFIG).exists():  # of a start that was killed before anything was saved
            restarting.forget(run)
        _say_count(settings, data, log)
        train(out=run, **_network(job, settings, work, log), **recipe(settings), **common)
    except Interrupted:
        if not rule.has_come:
            raise
        log(Note(f"ended early: the last {settings.early_stopping_patience} epochs brought no "
                 f"better mAP"))


@define
class _EarlyEnd:
    """Hands on what a training tells, and asks it to stop when the rule of its settings says so.

    It is asked as Ctrl-C asks: it saves the epoch that has just ended, and stops behind it.
    """

    settings: Settings
    log: Progress
    epochs: list[Epoch]

    def __call__(self, event: object) -> None:
        self.log(event)
        if isinstance(event, Epoch):
            self.epochs.append(event)
            # the last one ends by itself
            if self.has_come and event.epoch < self.settings.epochs:
                signal.raise_signal(signal.SIGINT)

    @property
    def has_come(self) -> bool:
        """Whether training has ended by the rule."""
        return has_ended(self.settings, self.epochs)


def recipe(settings: Settings) -> dict[str, Any]:
    """Return how `ssdreg.train` trains what the hyperparameters mean."""
    steps = settings.lr_scheduler_step
    return {
        "batch_size": settings.mini_batch_size,
        "optimizer": "adam" if settings.optimizer == "rmsprop" else settings.optimizer,
        "lr": settings.learning_rate, "momentum": settings.momentum,
        "wd": 0.0 if settings.optimizer == "adam" else settings.weight_decay,
        # without steps the rate stays: a step that multiplies it by 1, where none is a cosine
        "lr_steps": steps or (1,), "lr_factor": settings.lr_scheduler_factor if steps else 1.0,
        "freeze": settings.freeze_layer_pattern, "freeze_stages": 0, "keep_epochs": KEPT_EPOCHS}


def _network(job: Job, settings: Settings, work: Path, log: Progress) -> dict[str, Any]:
    """Return which network `ssdreg.train` trains, and what it starts from."""
    if MODEL in job.channels:
        log(Note(f"goes on with the model of the channel {MODEL!r}, whose network, input size and "
                 f"suppression are its own"))
        return {"pretrained": _imported(job.channels[MODEL], work / MODEL)}
    return {"backbone": _backbone(settings), "data_shape": settings.image_shape,
            # the built-in algorithm's anchors and losses
            "sizes": "example", "box_loss": "smooth_l1", "nms_threshold": settings.nms_threshold,
            "pretrained": None if settings.use_pretrained_model else False}


def _backbone(settings: Settings) -> str:
    return NETWORKS.get(settings.base_network, settings.base_network)


def _imported(channel: Channel, run: Path) -> Path:
    """Make a run of a channel's model, packed or not; return its folder."""
    archives = sorted(channel.folder.glob("*.tar.gz"))
    source = archives[0] if len(archives) == 1 else channel.folder
    return load_checkpoint(source).save(run).path


def _say_count(settings: Settings, data: JobData, log: Progress) -> None:
    images = open_rec(data.train).images
    if settings.num_training_samples != images:
        log(Note(f"num_training_samples is {settings.num_training_samples}, and the channel train "
                 f"has {images} usable images, which are all used"))


def _epochs(run: Path) -> tuple[int, ...]:
    """Return the epochs of a run that are on the disk; none where there is no run."""
    return open_run(run).epochs() if (run / CONFIG).is_file() else ()


def _write(run: Run, job: Job, log: Progress) -> None:
    write_model(run, written(job.hyperparameters), job.folders.model)
    log(Note(f"{job.folders.model} holds the model of epoch {run.best_epoch()}"))
