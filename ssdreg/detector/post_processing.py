"""Post-processing: what MultiBoxDetection does to predictions, as one value."""

from __future__ import annotations

from attrs import frozen

from ssdreg.graph.attributes import Attributes


@frozen
class PostProcessing:
    """The settings of MultiBoxDetection, by MXNet's names and with its defaults."""

    threshold: float
    nms_threshold: float
    nms_topk: int
    force_suppress: bool
    clip: bool
    variances: tuple[float, float, float, float]

    @classmethod
    def read(cls, attrs: Attributes) -> PostProcessing:
        """Read them from the operator."""
        down, across, high, wide = attrs.sequence("variances", (0.1, 0.1, 0.2, 0.2))
        return cls(attrs.number("threshold", 0.01), attrs.number("nms_threshold", 0.5),
                   attrs.integer("nms_topk", -1), attrs.flag("force_suppress"),
                   attrs.flag("clip", True), (down, across, high, wide))

    @property
    def suppresses(self) -> bool:
        """Whether there is suppression at all; without, MXNet does not sort either."""
        return 0 < self.nms_threshold <= 1

    def kept(self, anchors: int) -> int:
        """How many of the best boxes enter suppression."""
        return min(self.nms_topk, anchors) if self.nms_topk > 0 else anchors
