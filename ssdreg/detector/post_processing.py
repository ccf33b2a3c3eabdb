"""Post-processing: what MultiBoxDetection does to predictions, as one value."""

from __future__ import annotations

from attrs import frozen

from ssdreg.graph.attributes import Attributes


@frozen(kw_only=True)
class PostProcessing:
    """The settings of MultiBoxDetection, by MXNet's names and with its defaults.

    - `threshold`: the least score
    - `nms_threshold`: the overlap, an IoU, from which on the lesser of two boxes is dropped
    - `nms_topk`: how many of the best are looked at; all for -1
    - `force_suppress`: whether boxes of different classes suppress one another too
    - `clip`: whether boxes end at the image's sides
    - `variances`: what offsets are multiplied by: of the center, across and down, of width, height
    - `background_id`: the class of background. MXNet takes it for 0 whatever is set.
    """

    threshold: float = 0.01
    nms_threshold: float = 0.5
    nms_topk: int = -1
    force_suppress: bool = False
    clip: bool = True
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    background_id: int = 0

    @classmethod
    def read(cls, attrs: Attributes) -> PostProcessing:
        """Read them from the operator; raise ValueError or IndexError for others."""
        default = cls()
        variances = attrs.numbers("variances", default.variances)
        return cls(threshold=attrs.number("threshold", default.threshold),
                   nms_threshold=attrs.number("nms_threshold", default.nms_threshold),
                   nms_topk=attrs.integer("nms_topk", default.nms_topk),
                   force_suppress=attrs.flag("force_suppress", default.force_suppress),
                   clip=attrs.flag("clip", default.clip),
                   variances=(variances[0], variances[1], variances[2], variances[3]),
                   background_id=attrs.integer("background_id", default.background_id))

    @property
    def suppresses(self) -> bool:
        """Whether there is suppression at all; without, MXNet does not sort either."""
        return 0 < self.nms_threshold <= 1

    def kept(self, anchors: int) -> int:
        """How many of the best boxes enter suppression."""
        return min(self.nms_topk, anchors) if self.nms_topk > 0 else anchors


@frozen(kw_only=True)
class ByClassProcessing:
    """What is done to predictions where an anchor may be an object of several classes.

    That is how Liu et al., SSD, 2016 detect, and torchvision after them; MultiBoxDetection keeps an
    anchor's best class alone.

    - `threshold`: a score must be above it
    - `nms_threshold`: the overlap, an IoU, above which the lesser of two boxes of one class is
      dropped
    - `nms_topk`: how many of the best of each class are looked at; all for -1
    - `most`: how many detections an image has at most, of all classes together
    - `variances`: as those of `PostProcessing`
    - `widest`: the greatest factor by which a box is wider or higher than its anchor
    """

    threshold: float = 0.01
    nms_threshold: float = 0.45
    nms_topk: int = 400
    most: int = 200
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    widest: float = 1000 / 16

    @property
    def summary(self) -> PostProcessing:
        """What a file or a table states of it, by MultiBoxDetection's names.

        `nms_topk` there is how many detections there are at most.
        """
        return PostProcessing(threshold=self.threshold, nms_threshold=self.nms_threshold,
                              nms_topk=self.most, variances=self.variances)
