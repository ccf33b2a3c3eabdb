"""The picture of docs/data.md: drawn shapes with their boxes, and as training sees them.

    python docs/draw_data.py [FILE]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ssdreg.data import RECIPES
from ssdreg.data.synthetic import write_shapes
from ssdreg.drawing.viewing import view

OUT = Path(__file__).with_name("data-view.jpg")


def main() -> None:
    """Draw it."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    with tempfile.TemporaryDirectory() as folder:
        write_shapes(folder, train=6, val=2, size=(240, 320))
        view(folder, out, split="train", count=4, augmentation=RECIPES["ssd"])


if __name__ == "__main__":
    main()
