"""Does PyTorch compute what MXNet computes? Every backbone and head, as a table.

    python benchmarks/torch_parity.py [--backbones A,B,...] [--heads A,B,...] [--threads N]
    python benchmarks/torch_parity.py --operators    # what these symbols are made of

Needs the plug-in ssdreg-torch. Every registered backbone gets the head ssd, and a few get every
head, at the smallest size that a detector can be planned for; parameters are random, a batch is
three pictures of noise, two with an object on every level and one with none. Both engines compute
a training step and a detection in double precision, and `ssdreg_torch.parity` compares them; see
there what each column is. The last is a training step's outputs in float32: it is large for
networks that normalise few values, and says how sensitive the network is.

Prints a Markdown table, and ends with exit status 1 when a figure is above `LIMIT`, or a target
differs.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

import attrs
import torch
from ssdreg_torch.parity import Parity, compare
from ssdreg_torch.translation import known

from ssdreg.detector.built import BuiltBackbone
from ssdreg.graph.nodes import Net
from ssdreg.registry.names import list_backbones, list_heads
from ssdreg.testing.small import smallest_detector

#: Backbones on which every head is tried.
EVERY_HEAD = ("resnet18", "mobilenetv2", "vgg16_reduced")
LIMIT = 1e-4
COLUMNS = tuple(field.name for field in attrs.fields(Parity))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbones", type=names,
                        default=tuple(backbone.name for backbone in list_backbones()))
    parser.add_argument("--heads", type=names, default=())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--operators", action="store_true",
                        help="only count the operators of all training and deploy symbols")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.operators:
        for op, count in sorted(count_operators(options).items()):
            print(f"{count:8,} {op}{'' if op in known() else ' (no translation)'}")
        return 0
    print(f"| backbone | head | {' | '.join(COLUMNS).replace('_', ', ')} |")
    print(f"| {' | '.join(['---'] * (len(COLUMNS) + 2))} |")
    failed = False
    for backbone in options.backbones:
        built = BuiltBackbone.of(backbone)
        for head in options.heads or heads_for(backbone):
            parity = compare(smallest_detector(built, head))
            print(f"| {backbone} | {head} | {' | '.join(cells(parity))} |", flush=True)
            failed = failed or wrong(parity)
    return int(failed)


def count_operators(options: argparse.Namespace) -> Counter[str]:
    """Count the operators of the training and deploy symbols of backbones with their heads."""
    found: Counter[str] = Counter()
    for backbone in options.backbones:
        built = BuiltBackbone.of(backbone)
        for head in options.heads or heads_for(backbone):
            detector = smallest_detector(built, head)
            for symbol in (detector.train, detector.deploy):
                found.update(node.op for node in Net.of(symbol).nodes if not node.is_variable)
    return found


def names(text: str) -> tuple[str, ...]:
    """Read names that commas part."""
    return tuple(text.split(","))


def heads_for(backbone: str) -> Iterator[str]:
    """Return the heads that a backbone is tried with."""
    yield from (head.name for head in list_heads()) if backbone in EVERY_HEAD else ("ssd",)


def cells(parity: Parity) -> Iterator[str]:
    for name in COLUMNS:
        value = getattr(parity, name)
        yield str(value) if name == "targets" else f"{value:.0e}"


def wrong(parity: Parity) -> bool:
    measured = (parity.outputs, parity.loss, parity.gradients, parity.moments, parity.detections)
    # a figure that is no number is above every limit
    return parity.targets > 0 or not all(value <= LIMIT for value in measured)


if __name__ == "__main__":
    sys.exit(main())
