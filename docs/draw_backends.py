"""Draw docs/three-backends.jpg: one image as a detector sees it on each backend.

    python docs/draw_backends.py RUN IMAGE [FILE]

The caption tells how far scores and corners are from those of MXNet. The one here is of the
detector that `make demo` trains.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from ssdreg_runtime.draw.paint import contact_sheet, draw_boxes
from ssdreg_runtime.system.files import replacing

import ssdreg

FILE = Path(__file__).with_name("three-backends.jpg")
BACKENDS = ("mxnet", "onnxruntime", "openvino")
THRESHOLD = 0.4


def main(run: str, image: str, out: str | Path = FILE) -> None:
    """Detect on every backend and write the sheet."""
    found = {name: ssdreg.Detector(run, backend=name).detect(image)[0] for name in BACKENDS}
    first = found[BACKENDS[0]]
    pictures, captions = [], []
    for name, each in found.items():
        if len(each) != len(first):
            raise SystemExit(f"{name} finds {len(each)} objects and MXNet {len(first)}")
        pictures.append(draw_boxes(Image.open(image), each.rows, each.classes, THRESHOLD))
        scores, corners = (np.abs(one - other).max(initial=0) for one, other in
                           ((each.scores, first.scores), (each.xyxy, first.xyxy)))
        captions.append(f"{name}: {len(each.above(THRESHOLD))} objects" + (
            "" if each is first else f", scores to {scores:.0e}, corners to {corners:.0e} px"))
    with replacing(Path(out)) as beside:
        contact_sheet(pictures, len(pictures), captions, cell=(400, 400)).save(beside, quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
