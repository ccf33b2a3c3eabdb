"""SSD's operators: priors, targets, detections and losses, as symbols.

Liu et al., SSD: Single Shot MultiBox Detector, 2016. Throughout, B is the batch size, C the
number of classes without background, N the number of anchors, M the padded number of labels.
"""

from ssdreg.ops.by_class import detection_by_class
from ssdreg.ops.detection import detection
from ssdreg.ops.loss import focal_loss, giou_loss, learning, smooth_l1_loss, softmax_loss
from ssdreg.ops.prior import prior
from ssdreg.ops.target import Targets, targets

__all__ = ["Targets", "detection", "detection_by_class", "focal_loss", "giou_loss", "learning",
           "prior", "smooth_l1_loss", "softmax_loss", "targets"]
