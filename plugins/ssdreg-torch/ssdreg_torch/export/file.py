"""What an exported file does with its network, besides what belongs to SSD."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssdreg_torch.export.tensors import read_tensors

if TYPE_CHECKING:
    from torch import nn

    class Network(nn.Module):
        """The network of the file."""

        def detect(self, images: Tensor) -> list[Tensor]:
            """Return the detections in images."""

    CLASSES: tuple[str, ...] = ()
    DATA_SHAPE: tuple[int, int] = (0, 0)

#: The file of parameters, beside this one.
PARAMETERS = Path(__file__).with_name("model.safetensors")


class Predictions(NamedTuple):
    """What the network says of every anchor, N in all, for a batch of B images.

    - `scores` (B, K, N): of the classes, before they are made probabilities
    - `offsets` (B, N * 4): of the boxes from the anchors
    - `anchors` (1, N, 4): corners x1, y1, x2, y2 as shares of the image
    """

    scores: Tensor
    offsets: Tensor
    anchors: Tensor


def load(path: str | Path = PARAMETERS) -> Network:
    """Return the network with its parameters, ready to detect.

    `path` is a file in the format safetensors, or one that torch.save wrote of a state_dict().
    """
    network = Network()
    network.load_state_dict(read_tensors(path) if Path(path).suffix == ".safetensors" else
                            torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def main() -> None:
    """Print what is found in the image files that are named on the command line."""
    from PIL import Image, ImageOps
    network, (height, width) = load(), DATA_SHAPE
    for name in sys.argv[1:]:
        picture = ImageOps.exif_transpose(Image.open(name)).convert("RGB")
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        image = pixels.reshape(1, picture.height, picture.width, 3).permute(0, 3, 1, 2).float()
        # as in training: without smoothing, which Pillow's own resizing does
        image = functional.interpolate(image, (height, width), mode="bilinear").round()
        sides = torch.tensor([picture.width, picture.height] * 2)
        for label, score, *box in network.detect(image)[0].tolist():
            corners = " ".join(f"{side:.0f}" for side in torch.tensor(box) * sides)
            print(f"{name}: {CLASSES[int(label)]} {score:.3f} at {corners}")
