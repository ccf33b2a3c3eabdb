"""Do trainings by PyTorch and by MXNet stay together? Fifty steps of several networks, as a table.

    python benchmarks/torch_steps.py [--backbones resnet50,mobilenet,vgg16_reduced] [--side 128]
        [--batch 4] [--steps 50] [--rate 1e-3] [--optimizer sgd] [--live-norm]
        [--loss focal]

Needs ssdreg-torch and the plug-ins that bring the networks. Both train in float32 from the same
parameters with the same batches: drawn pictures, augmented. `ssdreg_torch.together` says what the
figures are; the second of each pair is how far MXNet parts from itself when its first parameters
are changed in their last bit. The parameters are random ones after `WARM_UP` steps, from which on
the backbone's normalisations are frozen: with `--live-norm` they go on, from random parameters, and
what they normalise, a few values of small pictures, enlarges rounding too. With the loss softmax
rounding may also decide which of many anchors alike are mined for negatives; focal mines none.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from itertools import islice
from pathlib import Path

from attrs import evolve
from ssdreg_torch.together import Together, train_together, warmed_up

from ssdreg import data
from ssdreg.data.augmentation import RECIPES
from ssdreg.data.synthetic import CLASSES, write_shapes
from ssdreg.detector.overrides import Overrides
from ssdreg.registry.device import Device
from ssdreg.registry.names import get_backbone
from ssdreg.training.learner import prepare_lesson
from ssdreg.training.network import build_network
from ssdreg.training.options import OPTIMIZERS, TrainOptions
from ssdreg.training.start import draw

WARM_UP = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbones", default="resnet50,mobilenet,vgg16_reduced")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd")
    parser.add_argument("--live-norm", action="store_true",
                        help="let normalisations take the moments of each batch")
    parser.add_argument("--loss", choices=("softmax", "focal"), default="focal")
    options = parser.parse_args()
    print("| network | steps | loss | of rounding | parameters | of rounding | worst parameter "
          "| of rounding |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    count = options.batch * max(options.steps, WARM_UP)
    with tempfile.TemporaryDirectory() as folder:
        shapes = Path(folder) / "shapes"
        write_shapes(shapes, count, 2, (options.side, options.side))
        packed = data.load(shapes, "train")
        for backbone in options.backbones.split(","):
            together = train(backbone, packed, options)
            for mine, rounding in zip(together.torch, together.rounding):
                figures = " | ".join(f"{getattr(of, name):.0e}"
                                     for name in ("loss", "parameters", "worst")
                                     for of in (mine, rounding))
                print(f"| {backbone} | {mine.steps} | {figures} |", flush=True)


def train(backbone: str, packed: data.Packed, options: argparse.Namespace) -> Together:
    """Train a network by both engines."""
    network = build_network(get_backbone(backbone), len(CLASSES), options.side,
                            overrides=Overrides(loss=options.loss))
    recipe = TrainOptions(batch_size=options.batch, optimizer=options.optimizer,
                          precision="float32", compile="off")

    def batches(seed: int) -> data.DetectionIter:
        return data.open_train(packed, network.plan.data_shape, options.batch, RECIPES["light"],
                               network.plan.preprocessing, seed=seed, negatives=True)

    with closing(batches(0)) as first, closing(batches(1)) as second:
        shapes = {name: tuple(shape)
                  for name, shape in (*first.provide_data, *first.provide_label)}
        live, frozen = (
            prepare_lesson(network, evolve(recipe, freeze_norm=freeze), (Device("cpu"),),
                           "float32", shapes) for freeze in (False, True))
        shown = tuple(sorted({1, min(10, options.steps), options.steps}))
        if options.live_norm:
            return train_together(live, draw(live), second, options.rate, shown)
        start = warmed_up(live, islice(first, WARM_UP), options.rate)
        return train_together(frozen, start, second, options.rate, shown)


if __name__ == "__main__":
    main()
