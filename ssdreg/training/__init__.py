"""Training a detector: options, starting parameters, the loop, and where it stands."""

from ssdreg.training.options import TrainOptions
from ssdreg.training.stopping import Interrupted
from ssdreg.training.trainer import Data, resume, train

__all__ = ["Data", "Interrupted", "TrainOptions", "resume", "train"]
