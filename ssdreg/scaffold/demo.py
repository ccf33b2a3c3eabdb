"""The demonstration: drawn shapes on textured backgrounds, learnt from nothing in minutes.

It takes the path a user's own data takes: images on disk in PASCAL VOC layout, packed, trained
on with augmentation, validated after every epoch, evaluated and drawn.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen
from ssdreg_runtime.system.files import replacing, visible

import ssdreg
from ssdreg.backbones import resnet
from ssdreg.data import Augmentation
from ssdreg.detector.families import parameter_count
from ssdreg.errors import RunError
from ssdreg.progress import Progress

if TYPE_CHECKING:
    from ssdreg.runs.run import Run

#: A ResNet of ten layers and half the usual channels, declared as a plug-in would declare it:
#: small enough to learn from nothing in minutes.
BACKBONE = attrs.evolve(
    resnet.declare(resnet.ResNet(10, (1, 1, 1, 1), bottleneck=False, stem=32)),
    name="resnet10_half", aliases=(), tap_strides=(8, 16, 32))
SHAPE = 128
#: The drawn shapes are a fifth to three fifths of the image's height, and so are the anchors.
SIZES = ((0.16, 0.2), (0.25, 0.32), (0.4, 0.5), (0.6, 0.7), (0.8, 0.9))
#: The class of a shape does not depend on its colour; all else already varies in the drawing.
AUGMENTATION = Augmentation(crop_probability=0.0, pad_probability=0.0, color_probability=0.7,
                            hue=180, contrast=0.3)
TRAIN_IMAGES, VALIDATION_IMAGES = 1200, 100
TARGET_MAP = 0.90
STORY_CLASSES = 20
PICTURES = 12
MEBIBYTE, BYTES_PER_VALUE = 2**20, 4


@frozen
class Story:
    """One line of the story: how many parameters a detector has."""

    network: str
    taps: tuple[str, ...]
    parameters: int

    @property
    def mebibytes(self) -> float:
        """What they take in a ``.params`` file, in float32; the names add a few KiB."""
        return self.parameters * BYTES_PER_VALUE / MEBIBYTE


def story() -> tuple[Story, ...]:
    """Measure ResNet-50, ResNet-101 with its taps, and ResNet-101 with its own."""
    copied = ssdreg.plan("resnet50", STORY_CLASSES).from_layers
    return (_measure("resnet50", "resnet50", None),
            _measure("resnet101, taps copied from resnet50", "resnet101", copied),
            _measure("resnet101, taps derived", "resnet101", None))


def refusal() -> str:
    """Return what ssdreg says to the copied taps."""
    copied = ssdreg.plan("resnet50", STORY_CLASSES).from_layers
    try:
        ssdreg.build("resnet101", STORY_CLASSES, from_layers=copied)
    except ssdreg.TapError as error:
        return str(error)
    raise AssertionError("the copied taps were not refused")


def _measure(name: str, backbone: str, from_layers: tuple[str, ...] | None) -> Story:
    """Count the values in a detector's parameters."""
    given: dict[str, Any] = {} if from_layers is None else {"from_layers": from_layers}
    plan = ssdreg.plan(backbone, STORY_CLASSES, **given)
    # assembled, not built: `build` would refuse the copied taps
    symbol = ssdreg.assemble(ssdreg.get_backbone(backbone).symbol(), plan, "deploy")
    return Story(name, plan.taps, parameter_count(symbol, plan.data_shape))


def train_on_shapes(out: Path, *, progress: Progress | None = None) -> float:
    """Draw the data set, train and validate on it, and draw pictures; return the best mAP.

    `progress` is told of every step and epoch. Raises DataError or RunError where something in the
    folder `out` is not an earlier demonstration's.
    """
    from ssdreg.data.synthetic import write_shapes
    from ssdreg.drawing.curves import draw_curves
    from ssdreg.training.train import train
    data_folder, run_folder = out / "shapes", out / "run"
    if run_folder.exists():
        _forget(run_folder)
    write_shapes(data_folder, TRAIN_IMAGES, VALIDATION_IMAGES)
    run = train(data=data_folder, out=run_folder, backbone=BACKBONE, data_shape=SHAPE, sizes=SIZES,
                pretrained=False, augment=AUGMENTATION, epochs=10, optimizer="adam", lr=2e-3,
                wd=1e-5, warmup=50, progress=progress).run
    draw_curves(run.log_file, out / "curves.png", f"{BACKBONE.name} on drawn shapes")
    _draw_predictions(out / "predictions.png", data_folder, run)
    return max(entry.map for entry in run.log())


def _forget(run_folder: Path) -> None:
    """Delete the run of an earlier demonstration; refuse to delete anything else."""
    from ssdreg.runs.run import CONFIG, PREFIX, open_run
    from ssdreg.training.state_file import START
    begun = {f"{PREFIX}-symbol.json", "deploy-symbol.json", START}
    if {path.name for path in visible(run_folder)} <= begun:
        return  # one that was killed before it was a run, which training begins anew
    if (not (run_folder / CONFIG).is_file()
            or open_run(run_folder).plan.backbone != BACKBONE.name):
        raise RunError(f"{run_folder} is in the way and is not the run of a demonstration: "
                       f"choose another --out")
    shutil.rmtree(run_folder)


def _draw_predictions(out: Path, data_folder: Path, run: Run) -> None:
    from PIL import Image
    from ssdreg_runtime.draw.paint import contact_sheet, draw_boxes

    from ssdreg.data import read_voc
    from ssdreg.deploy.executor import detect_images, open_inference
    samples = read_voc(data_folder, "val").samples[:PICTURES]
    images = [Image.open(sample.image).convert("RGB") for sample in samples]
    detections = detect_images(open_inference(run), run, images)
    sheet = contact_sheet([draw_boxes(image, rows, run.classes)
                           for image, rows in zip(images, detections)], columns=6, cell=(256, 256))
    with replacing(out) as beside:
        sheet.save(beside)
