"""Training a detector: options, starting parameters, the loop, and where it stands."""

from ssdreg.training.options import TrainOptions
from ssdreg.training.trainer import resume, train

__all__ = ["TrainOptions", "resume", "train"]
