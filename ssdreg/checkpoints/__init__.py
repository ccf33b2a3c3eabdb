"""Checkpoints that were not written by ssdreg: read, checked, and turned into runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssdreg.checkpoints.checkpoint import Checkpoint
    from ssdreg.registry.preprocessing import Preprocessing

__all__ = ["load_checkpoint"]


def load_checkpoint(path: str | Path, epoch: int | None = None,
                    classes: Sequence[str] | None = None,
                    data_shape: int | tuple[int, int] | None = None,
                    preprocessing: Preprocessing | None = None) -> Checkpoint:
    """Read a detector from a checkpoint of MXNet's SSD example, mxnet-ssd, SageMaker or GluonCV.

    `path` is one of

    - a prefix, its ``-symbol.json`` or one of its ``-0123.params``, as MXNet's example,
      mxnet-ssd and GluonCV's ``net.export`` write them; training and deploy symbols, of any
      MXNet version; `epoch` picks one of several parameter files
    - SageMaker's ``model.tar.gz``, or a folder it was unpacked to
    - a ``.params`` file of ``save_parameters`` of a GluonCV SSD preset
    - a symbol alone, of which everything but `params` is read
    - the folder of a run

    The network is recognised by the names and shapes of its parameters. One that `ssdreg.build`
    makes too (same parameters, same predictions for the same input) becomes that; any other
    stays the checkpoint's own symbol, with ssdreg's losses and detections behind its predictions.

    `classes` are the names, in order, `data_shape` the input's side or (height, width): it has to
    be given where neither hyperparameters nor anchors tell it. `preprocessing` is what the
    network was trained with: MXNet's example by default, ImageNet's for GluonCV, nothing for
    SageMaker.

    Raises RunError, a sentence, for anything that is no such checkpoint, or damaged, or whose
    parameters do not belong to its symbol. Warns (`CheckpointWarning`) when the taps are not the
    ends of the backbone's stages: the detector works as it was trained, with part of a network.
    """
    from ssdreg.checkpoints import loading
    return loading.load(Path(path), epoch, classes, data_shape, preprocessing)
