"""SSD's own operators, and what is learnt from."""

from __future__ import annotations

from ssdreg.detector.post_processing import PostProcessing
from ssdreg.graph.nodes import Node
from ssdreg_torch.export.code import PRODUCT, Code, Site, call, number, unwritten, writes
from ssdreg_torch.operators.detection import targeting

#: The names of the constants that the file has for settings.
DETECTING, TARGETING = "DETECTING", "TARGETING"


@writes("_contrib_MultiBoxPrior", "MultiBoxPrior")
def prior(site: Site) -> Code:
    """Write the anchors of one level."""
    attrs = site.node.attrs
    sizes, ratios = attrs.numbers("sizes", (1.0,)), attrs.numbers("ratios", (1.0,))
    steps, offsets = attrs.numbers("steps", (-1.0, -1.0)), attrs.numbers("offsets", (0.5, 0.5))
    named = {name: value for name, value, default in (
        ("steps", steps, (-1.0, -1.0)), ("offsets", offsets, (0.5, 0.5))) if value != default}
    anchors = call(site.helper("place_anchors"), site.inputs[0], sizes, ratios, **named)
    return Code(f"{anchors.text}.clamp(0, 1)") if attrs.flag("clip") else anchors


@writes("_contrib_MultiBoxTarget", "MultiBoxTarget")
def target(site: Site) -> list[Code]:
    """Write the targets of offsets, their mask, and the targets of classes."""
    found = call(site.helper("find_targets"), *site.inputs, TARGETING)
    return [found, found, found]


def target_settings(node: Node) -> Code:
    """Return what makes the settings of targets."""
    settings = targeting(node)
    return call("Targeting", **{name: getattr(settings, name) for name in settings._fields})


@writes("_contrib_MultiBoxDetection", "MultiBoxDetection")
def detection(site: Site) -> Code:
    """Write detections: decoded, thresholded, suppressed."""
    return call(site.helper("find_detections"), *site.inputs, DETECTING)


def detection_settings(node: Node) -> Code:
    """Return what makes the settings of detections."""
    rules = PostProcessing.read(node.attrs)
    if rules.background_id:
        raise unwritten(node, "its background is not class 0")
    return call("Detecting", clip=rules.clip, threshold=rules.threshold,
                overlap=rules.nms_threshold, every_class=rules.force_suppress,
                best=rules.nms_topk, variances=rules.variances)


@writes("SoftmaxOutput")
def softmax_output(site: Site) -> Code:
    """Write the mean cross-entropy of the labels that count."""
    attrs = site.node.attrs
    standard = (attrs.flag("multi_output") and attrs.flag("use_ignore")
                and attrs.number("ignore_label", -1.0) == -1
                and attrs.text("normalization") == "valid"
                and not attrs.number("smooth_alpha") and not attrs.flag("out_grad"))
    if not standard:
        raise unwritten(site.node, "it is not SSD's, which leaves out the label -1, and divides "
                                   "by the number of the others")
    return _scaled(site, call(site.helper("softmax_loss"), *site.inputs))


@writes("MakeLoss", "make_loss")
def make_loss(site: Site) -> Code:
    """Write the sum of losses, over the number of those above 0 where that is wanted."""
    normalization, data = site.node.attrs.text("normalization", "null"), site.inputs[0]
    if normalization == "valid" and site.node.attrs.number("valid_thresh") == 0:
        return _scaled(site, call(site.helper("mean_of_positive"), data))
    if normalization != "null":
        raise unwritten(site.node, f"its normalization is {normalization!r}")
    return _scaled(site, Code(f"{data.atom}.sum()"))


def _scaled(site: Site, loss: Code) -> Code:
    scale = site.node.attrs.number("grad_scale", 1.0)
    return loss if scale == 1 else Code(f"{number(scale)} * {loss.within(PRODUCT)}", PRODUCT)
