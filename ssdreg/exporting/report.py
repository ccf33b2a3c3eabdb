"""An exported file, and its comparison or that of a folder with MXNet, as text."""

from __future__ import annotations

from collections.abc import Mapping

from ssdreg_runtime.backends.facts import ModelFacts
from ssdreg_runtime.backends.model_file import describe as describe_file
from ssdreg_runtime.system.tables import text_table

from ssdreg.exporting.checking import agrees
from ssdreg.exporting.export import Exported
from ssdreg.exporting.options import IMAGE
from ssdreg.exporting.parity import Parity


def describe(exported: Exported) -> str:
    """Say in a few lines what was done, and what the file is."""
    options, facts = exported.options, describe_file(exported.file, str(exported.file)).facts
    height, width = facts.data_shape
    batch = "any number" if options.batch is None else options.batch
    given = ("image: a picture of RGB of any size, as it is" if options.input == IMAGE else
             f"images: {height}x{width} pixels of RGB, {batch} at a time")
    detections = "boxes in its pixels, scores, labels" if options.input == IMAGE else "detection"
    outputs = f"{detections}: {_suppression(facts)}"
    if not options.nms:
        assert exported.source is not None
        outputs = (f"scores and boxes of all {exported.source.plan.anchors:,} anchors, without "
                   f"suppression")
    rows = [
        ("replaced" if exported.replaced else "written",
         f"{exported.file} ({exported.size / 1e6:.1f} MB)"),
        ("network", f"{facts.backbone}, {facts.head}, opset {options.opset}, {facts.precision}"),
        ("input", given),
        ("output", outputs),
        ("classes", f"{len(facts.classes)} ({', '.join(facts.classes)})")]
    return "\n".join(f"{name + ':':16}{text}" for name, text in rows)


def compared(images: int, parities: Mapping[str, Parity], precision: str = "float32") -> str:
    """Say what every runtime found, in a table and a line for each difference."""
    table = text_table(
        ("runtime", "boxes", "scores differ by", "coordinates by", "ties", "verdict"),
        [(name, f"{parity.boxes:,}", f"{parity.score:.1e}", f"{parity.coordinate:.1e}",
          str(parity.ties), _verdict(parity, precision))
         for name, parity in parities.items()])
    return "\n".join([
        f"compared with MXNet on {images} image{'s' if images > 1 else ''}:",
        table, *(f"{name}: {sentence}" for name, parity in parities.items()
                 for sentence in parity.sentences)])


def _suppression(facts: ModelFacts) -> str:
    if not 0 < facts.nms_threshold <= 1:
        return f"scores from {facts.threshold:g} on, without suppression"
    looked_at = f"the {facts.nms_topk} best" if facts.nms_topk > 0 else "all"
    across = ", across classes" if facts.force_suppress else ""
    return (f"scores from {facts.threshold:g} on, {looked_at}, suppressed from an IoU of "
            f"{facts.nms_threshold:g} on{across}")


def _verdict(parity: Parity, precision: str) -> str:
    if parity.equal:
        return "equal"
    return (f"equal but for {parity.mismatches}" if agrees(parity, precision)
            else f"{parity.mismatches} DIFFERENT")
