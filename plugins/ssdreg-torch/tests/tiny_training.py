"""A network so small that it trains in no time, and a program that trains it in several processes.

    torchrun --nproc-per-node 2 tiny_training.py OUT

trains every case of `CASES` for `STEPS` steps, and the first process writes what was learnt to a
file each in the folder OUT.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from attrs import frozen
from ssdreg_torch import compiling

import ssdreg
from ssdreg.detector.build import design
from ssdreg.detector.overrides import Overrides
from ssdreg.engines.choice import choose_engine
from ssdreg.engines.processes import ALONE, Alone, Processes, started_together
from ssdreg.mx import mx
from ssdreg.progress import silent
from ssdreg.training.learner import prepare_lesson
from ssdreg.training.network import Network
from ssdreg.training.options import TrainOptions
from ssdreg.training.start import draw

SIDE, BATCH, OBJECTS, STEPS, RATE = 64, 4, 3, 20, 1e-3


@frozen
class Case:
    """A detector and how it is trained."""

    name: str
    head: str = "ssd"
    loss: str | None = None
    optimizer: str = "sgd"
    compile: str = "off"


#: What two processes train as one does, where all moments are frozen or those of the whole batch.
CASES = (Case("focal", loss="focal"), Case("ssdlite", head="ssdlite"), Case("fpn", head="fpn"),
         Case("compiled", compile="on"))


def layers() -> mx.sym.Symbol:
    """Return a network with taps of the strides 4 and 8."""
    with mx.name.NameManager():
        data = mx.sym.Variable("data")
        for index, channels in enumerate((8, 8, 16)):
            data = mx.sym.Convolution(data, num_filter=channels, kernel=(3, 3), pad=(1, 1),
                                      stride=(2, 2), no_bias=True, name=f"conv{index}")
            data = mx.sym.BatchNorm(data, fix_gamma=False, name=f"bn{index}")
            data = mx.sym.Activation(data, act_type="relu", name=f"relu{index}")
        return data


BACKBONE = ssdreg.Backbone(name="tiny", family="tiny", depth=3, build=layers,
                           taps=[ssdreg.Tap(1, 4, 8, "relu1"), ssdreg.Tap(2, 8, 16, "relu2")],
                           paper="https://example.org")


def network(case):
    """Return the network of a case."""
    detector = design(BACKBONE, 3, (SIDE, SIDE), case.head, Overrides(loss=case.loss))
    return Network(detector.plan, detector.symbol("train"), detector.symbol("deploy"))


def batch(processes: Processes = ALONE, steps: int = 0):
    """Return a process's part of a batch of noise with three objects an image."""
    generator = np.random.default_rng(steps)
    images = generator.normal(0, 1, (BATCH, 3, SIDE, SIDE))
    corners = generator.uniform(0, .5, (BATCH, OBJECTS, 2))
    label = np.concatenate([generator.integers(0, 3, (BATCH, OBJECTS, 1)), corners,
                            corners + generator.uniform(.1, .5, (BATCH, OBJECTS, 2)),
                            np.zeros((BATCH, OBJECTS, 1))], 2)
    count = BATCH // processes.count
    part = slice(processes.rank * count, (processes.rank + 1) * count)
    return mx.io.DataBatch([mx.nd.array(images[part])], [mx.nd.array(label[part])], pad=0)


def lesson(case, group=None, *, precision="float32", steps=0, tell=silent, **options):
    """Return what is to be trained."""
    group = group or Alone()
    recipe = TrainOptions(**{"batch_size": BATCH, "optimizer": case.optimizer,
                             "compile": case.compile, **options})
    first = batch(group.processes)
    return prepare_lesson(
        network(case), recipe, choose_engine("torch", processes=group.processes).devices,
        precision, {"data": first.data[0].shape, "label": first.label[0].shape}, group,
        steps=steps, tell=tell)


def learner(of):
    """Return a learner of a lesson at its start."""
    mx.random.seed(0)
    begun = ssdreg.get_engine("torch").learn(of)
    begun.begin(draw(of))
    return begun


def started(case):
    """Return the parameters that a training of a case starts from."""
    return values(learner(lesson(case)).params())


def trained(case, group=None):
    """Return the losses and the parameters of a training."""
    group = group or Alone()
    taught = learner(lesson(case, group, freeze_norm=True, sync_norm=True))
    losses = []
    for step in range(STEPS):
        sums = taught.step(batch(group.processes, step), RATE)
        losses.append(group.sum((sums.cls_loss, sums.loc_loss)))
    return np.array(losses), values(taught.params())


def values(params):
    """Return parameters and running moments as arrays."""
    return {name: array.asnumpy() for name, array in {**params.args, **params.auxs}.items()}


def main(out):
    """Train all cases in several processes."""
    # what stands between the network's source and its code, without the compiler of C++
    compiling.BACKEND = "aot_eager"
    processes = started_together()
    with choose_engine("torch", processes=processes).connected() as group:
        for case in CASES:
            losses, params = trained(case, group)
            if processes.is_first:
                np.savez(Path(out) / f"{case.name}.npz", losses_of_steps=losses, **params)


if __name__ == "__main__":
    main(sys.argv[1])
