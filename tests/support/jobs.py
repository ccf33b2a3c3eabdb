"""Training jobs, laid out as SageMaker lays out ``/opt/ml`` for a container."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from PIL import Image, ImageDraw

from ssdreg.sagemaker.metrics import DEFINITIONS

#: Names by class number, and what each is drawn in.
CLASSES = ("square", "disc", "bar")
COLORS = ((220, 40, 40), (40, 200, 60), (60, 60, 230))
#: The least that a job is told, of a network that trains in a second.
TOLD = {"num_classes": "3", "num_training_samples": "12", "base_network": "resnet10_eighth",
        "image_shape": "64", "epochs": "2", "mini_batch_size": "4", "learning_rate": "0.01",
        "use_pretrained_model": "0"}


def told(**changes) -> dict[str, str]:
    """Return hyperparameters, all of them texts, as the service writes them."""
    return {**TOLD, **{name: str(value) for name, value in changes.items()}}


def drawn(seed: int, side: int = 64) -> tuple[Image.Image, list[dict]]:
    """Draw a picture with an object or two; return it with its annotations."""
    chance = random.Random(seed)
    image, objects = Image.new("RGB", (side, side), (30, 30, 30)), []
    pen = ImageDraw.Draw(image)
    for left in range(4, side - 24, 28):
        label, top = chance.randrange(len(CLASSES)), chance.randrange(4, side - 26)
        edges = (left, top, left + 20, top + 20)
        (pen.ellipse if label == 1 else pen.rectangle)(edges, fill=COLORS[label])
        objects.append({"class_id": label, "left": left, "top": top, "width": 21, "height": 21})
    return image, objects


def annotation(file: str, side: int, objects: list[dict]) -> dict:
    """Return an annotation as the built-in algorithm takes it, a file a picture."""
    return {"file": file, "image_size": [{"width": side, "height": side, "depth": 3}],
            "annotations": objects,
            "categories": [{"class_id": number, "name": name}
                           for number, name in enumerate(CLASSES)]}


def write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def configure(root: Path, hyperparameters: dict[str, str], channels: dict[str, dict],
              hosts=("algo-1",)) -> Path:
    """Write what a job is told, and make the folders that a container finds."""
    config = root / "input" / "config"
    write(config / "hyperparameters.json", hyperparameters)
    write(config / "inputdataconfig.json", channels)
    write(config / "resourceconfig.json",
          {"current_host": hosts[0], "hosts": list(hosts), "network_interface_name": "eth0"})
    for name in ("model", "output"):
        (root / name).mkdir(exist_ok=True)
    return root


def channel(content_type: str, mode: str = "File") -> dict:
    return {"ContentType": content_type, "TrainingInputMode": mode,
            "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def pictures_job(root: Path, train: int = 12, validation: int = 4, **changes) -> Path:
    """Lay out a job in the image format: four channels, a JSON file a picture."""
    data = root / "input" / "data"
    first = 0
    for name, count in (("train", train), ("validation", validation)):
        for number in range(count):
            image, objects = drawn(first + number)
            file = data / name / f"{number:03d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.save(file, quality=95)
            write(data / f"{name}_annotation" / f"{number:03d}.json",
                  annotation(file.name, image.width, objects))
        first += count
    return configure(root, told(**changes), {
        f"{name}{end}": channel("image/jpeg") for name in ("train", "validation")
        for end in ("", "_annotation")})


def figures(log: str) -> dict[str, list[float]]:
    """Return the figures that SageMaker takes from a log by the built-in algorithm's metrics."""
    return {name: [float(text) for text in re.findall(expression, log)]
            for name, expression in DEFINITIONS.items()}
