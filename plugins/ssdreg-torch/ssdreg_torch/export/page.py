"""The files of an export: the text of detector.py, and of the README beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ssdreg._version import __version__
from ssdreg.deploy.model import DeployModel
from ssdreg_torch.export.lines import broken
from ssdreg_torch.export.network import WrittenNetwork
from ssdreg_torch.export.sources import Definition, definitions

#: Definitions that stand at the head of the file, and at its end.
_FIRST, _LAST = ("Predictions", "Detecting", "Targeting"), ("read_tensors", "load", "main")
_IMPORTS = {"math": "import math", "json": "import json", "struct": "import struct",
            "sys": "import sys"}


def detector_file(model: DeployModel, network: WrittenNetwork) -> str:
    """Return the text of the file that holds the network."""
    copied = definitions([*_FIRST, *_LAST, *network.helpers])
    named = {definition.name: definition for definition in copied}
    last = {definition.name for definition in definitions(_LAST)} - set(_FIRST)
    body = "\n\n\n".join([
        *(named[name].text for name in _FIRST),
        "\n".join(_settings(network)),
        "\n".join(_class(model, network)),
        "\n".join(_joined([definition for definition in copied
                           if definition.name not in {*last, *_FIRST}])),
        "\n".join(_joined([definition for definition in copied if definition.name in last])),
        'if __name__ == "__main__":\n    main()'])
    text = "\n".join([*_head(model), *_imports(body), "", *_facts(model), "", "", body, ""])
    return text


def _joined(copied: list[Definition]) -> Iterator[str]:
    """Yield definitions with the empty lines between them: two, or one around constants."""
    for place, definition in enumerate(copied):
        if place:
            yield "\n"
        yield definition.text


def _head(model: DeployModel) -> Iterator[str]:
    plan = model.plan
    height, width = plan.data_shape
    yield f'"""An SSD detector: {plan.backbone} with the head {plan.head}, for PyTorch.'
    yield ""
    yield from textwrap.wrap(
        f"It finds {plan.num_classes} classes in images of {height} x {width} pixels by "
        f"{plan.anchors:,} anchors on {len(plan.levels)} levels. Written by ssdreg {__version__} "
        f"from a network of MXNet: it computes the same, and needs nothing but PyTorch.", 100)
    yield ""
    yield "    network = load()                       # model.safetensors, beside this file"
    yield "    rows, = network.detect(images)         # of one image: class, score, x1, y1, x2, y2"
    yield "    network.train().loss(images, labels).backward()"
    yield ""
    yield "`images` are (B, 3, height, width): RGB, 0 to 255, resized to DATA_SHAPE. `labels` are"
    yield "(B, M, 5): class, x1, y1, x2, y2, corners as shares of the image, rows of -1 to fill up."
    yield '"""'
    yield ""


def _imports(body: str) -> Iterator[str]:
    yield "from __future__ import annotations"
    yield ""
    yield from sorted(line for name, line in _IMPORTS.items() if f"{name}." in body)
    if "Sequence[" in body:
        yield "from collections.abc import Sequence"
    yield "from pathlib import Path"
    yield "from typing import NamedTuple"
    yield ""
    yield "import torch"
    yield "import torch.nn.functional as F"
    yield "from torch import Tensor, nn"


def _facts(model: DeployModel) -> Iterator[str]:
    plan = model.plan
    yield "#: The classes' names, in the order of their numbers."
    yield from broken(f"CLASSES = {_quoted(model.classes)}")
    yield "#: Height and width of the images."
    yield f"DATA_SHAPE = {plan.data_shape}"
    yield "#: What is subtracted from red, green and blue, 0 to 255, and what that is divided by."
    yield f"MEAN = {_numbers(plan.preprocessing.mean)}"
    yield f"STD = {_numbers(plan.preprocessing.std)}"


def _quoted(names: tuple[str, ...]) -> str:
    texts = [repr(name).replace("'", '"') if "'" not in name and '"' not in name else repr(name)
             for name in names]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def _numbers(values: tuple[float, ...]) -> str:
    return f"({', '.join(map(repr, values))})"


def _settings(network: WrittenNetwork) -> Iterator[str]:
    yield from broken(f"DETECTING = {network.detecting.text}")
    if network.targeting:
        yield from broken(f"TARGETING = {network.targeting.text}")


def _class(model: DeployModel, network: WrittenNetwork) -> Iterator[str]:
    plan = model.plan
    levels = ", ".join(network.levels)
    yield "class Network(nn.Module):"
    yield f'    """{plan.backbone} with the head {plan.head}."""'
    yield ""
    yield "    def __init__(self) -> None:"
    yield "        super().__init__()"
    for name in ("mean", "std"):
        yield (f'        self.register_buffer("{name}", torch.tensor({name.upper()})'
               f'.reshape(3, 1, 1), persistent=False)')
    yield from network.declared
    yield ""
    yield "    def features(self, images: Tensor) -> tuple[Tensor, ...]:"
    yield '        """Return the maps of the levels for images (B, 3, H, W) of 0 to 255."""'
    yield f"        {network.pixels} = (images - self.mean) / self.std"
    yield from network.features
    yield from broken(f"        return {levels}{',' if len(network.levels) == 1 else ''}")
    yield ""
    yield "    def forward(self, images: Tensor) -> Predictions:"
    yield '        """Return the predictions for images (B, 3, H, W) of 0 to 255."""'
    yield from broken(f"        {levels}{',' if len(network.levels) == 1 else ''} = "
                      f"self.features(images)")
    yield from network.forward
    yield "        return Predictions(scores, offsets, anchors)"
    yield ""
    yield "    @torch.no_grad()"
    yield "    def detect(self, images: Tensor) -> list[Tensor]:"
    yield '        """Return what is in each image: rows (K, 6) of class, score, x1, y1, x2, y2.'
    yield ""
    yield "        The best comes first; corners are shares of the image. Images (B, 3, H, W) are"
    yield "        RGB, 0 to 255, of DATA_SHAPE."
    yield '        """'
    yield "        scores, offsets, anchors = self(images)"
    yield from network.detect
    yield "        return [kept[kept[:, 0] >= 0] for kept in rows]"
    yield ""
    yield "    def loss(self, images: Tensor, labels: Tensor) -> Tensor:"
    yield '        """Return the loss of a batch: of its classes and of its boxes.'
    yield ""
    yield "        Labels (B, M, 5) are class, x1, y1, x2, y2; rows of -1 follow an image's own."
    yield '        """'
    yield "        scores, offsets, anchors = self(images)"
    yield from network.loss
    yield f"        return {' + '.join(network.losses)}"


def readme_file(model: DeployModel, network: WrittenNetwork) -> str:
    """Return the text of the README."""
    plan, threshold = model.plan, model.post_processing.threshold
    height, width = plan.data_shape
    first = next(iter(network.tensors)).split(".")[0]
    return f"""# A detector for PyTorch

{plan.backbone} with the head {plan.head}, for {plan.num_classes} classes in images of
{height} x {width} pixels. Written by ssdreg {__version__} from a network of MXNet, whose numbers
it computes.

- `detector.py`: the network, its detections and its losses; it needs PyTorch 2.4 or later alone
- `model.safetensors`: its parameters and running moments

The file is yours: read it, change it, keep it with your own code.

## Detect

    pip install torch pillow
    python detector.py IMAGE...

Or from Python, where `images` is a tensor (B, 3, {height}, {width}), RGB, 0 to 255, of any type:

    from detector import CLASSES, load
    network = load()                            # .cuda(), .half(), torch.compile: as any module
    for rows in network.detect(images):         # one image after the other
        for label, score, x1, y1, x2, y2 in rows.tolist():
            print(CLASSES[int(label)], score)

Training resized bilinearly without smoothing, as `torch.nn.functional.interpolate` does. Corners
are shares of the image's width and height. Scores begin at {threshold:g}: `DETECTING` in the file
has this threshold, and the settings of suppression.

## Fine-tune

    import torch
    from torch.nn.utils.rnn import pad_sequence
    from detector import load

    network = load().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    for images, objects in batches:             # objects: a tensor (n, 5) for each image
        labels = pad_sequence(objects, batch_first=True, padding_value=-1)
        loss = network.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(network.state_dict(), "tuned.pt")  # load("tuned.pt") has it again

An object is class, x1, y1, x2, y2: the number of its class, and its corners as shares of the image.
An image without objects has a row of -1. To let only some layers learn, stop the others:
`network.{first}.requires_grad_(False)`.

For other classes, change the outputs of the layers that predict scores, CLASSES, and the number
that scores are unflattened by; leave the parameters of these layers out when loading.

Two things are PyTorch's own: a running variance is of n - 1 values, where MXNet takes it over n,
and what a weight decays by is for the optimizer to say. Names of layers are MXNet's, without the
network's own at their beginning, and with `level0` for what belongs to the finest level.
"""
