"""Does what `ssdreg export --format torch` writes compute what MXNet computes? All, as a table.

    python benchmarks/torch_export_parity.py [--backbones A,B,...] [--heads A,B,...] [--threads N]

Needs the plug-in ssdreg-torch. Every registered backbone gets the head ssd, and a few get every
head, as in `torch_parity.py`, at the smallest size that a detector can be planned for. Each is
exported to a folder, which is imported; parameters are random, a batch is three pictures of noise,
the last without objects. `ssdreg_torch.exported_parity` says what each column is. The last two are
in float32, for information: both engines against MXNet in double precision.

Prints a Markdown table, and ends with exit status 1 when a figure in double precision is above
`LIMIT`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import attrs
import torch
from ssdreg_torch.exported_parity import ExportedCase, ExportedParity, compare
from torch_parity import heads_for, names

from ssdreg.detector.built import BuiltBackbone
from ssdreg.registry.names import list_backbones
from ssdreg.testing.small import smallest_detector

LIMIT, BATCH = 1e-5, 3
COLUMNS = tuple(field.name for field in attrs.fields(ExportedParity))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbones", type=names,
                        default=tuple(backbone.name for backbone in list_backbones()))
    parser.add_argument("--heads", type=names, default=())
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"| backbone | head | {' | '.join(COLUMNS).replace('_', ', ')} |")
    print(f"| {' | '.join(['---'] * (len(COLUMNS) + 2))} |")
    failed = False
    for backbone in options.backbones:
        built = BuiltBackbone.of(backbone)
        for head in options.heads or heads_for(backbone):
            detector = smallest_detector(built, head)
            with tempfile.TemporaryDirectory() as folder:
                parity = compare(ExportedCase(detector.plan, detector.train, detector.deploy,
                                              Path(folder), BATCH))
            figures = " | ".join(f"{getattr(parity, name):.0e}" for name in COLUMNS)
            print(f"| {backbone} | {head} | {figures} |", flush=True)
            # a figure that is no number is above every limit
            failed = failed or not all(value <= LIMIT for value in (
                parity.detections, parity.loss, parity.gradients))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
