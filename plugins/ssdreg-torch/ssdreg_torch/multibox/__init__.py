"""SSD's operators on tensors: anchors, targets and detections of a whole batch at once.

B is the batch size, C the number of classes without background, N the number of anchors, M the
padded number of objects. All is float32, whatever precision the network computes in, and equals
what MXNet computes on a processor, ties included.
"""

from ssdreg_torch.multibox.detection import Detecting, find_detections
from ssdreg_torch.multibox.prior import place_anchors
from ssdreg_torch.multibox.target import Targeting, find_targets

__all__ = ["Detecting", "Targeting", "find_detections", "find_targets", "place_anchors"]
