"""The match of a plan's anchors with a data set, beside other sizes, as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import frozen
from ssdreg_runtime.system.tables import text_table

from ssdreg.anchors.fit import LEAST_CELLS, fit_sizes, small_boxes
from ssdreg.anchors.match import Matching, matches
from ssdreg.data.boxes import QUANTILES, Statistics, describe
from ssdreg.detector.anchor_schemes import SIZES, Sizes, named_sizes
from ssdreg.detector.plan import Plan

#: The names of sizes fitted to the data, and of sizes that are no scheme's.
FITTED, GIVEN = "data", "given"


@frozen(eq=False)
class AnchorReport:
    """The match of a plan's anchors with the boxes of a data set.

    `boxes` is (n, 5): class, x1, y1, x2, y2. `sizes` and `matchings` have an entry for each scheme
    of sizes; `chosen` names the plan's own. `small` counts the boxes whose area is below that of
    an anchor of `LEAST_CELLS` cells of the plan's finest level.
    """

    plan: Plan
    boxes: np.ndarray
    statistics: Statistics
    sizes: Mapping[str, Sizes]
    matchings: Mapping[str, Matching]
    chosen: str
    small: int

    @property
    def matching(self) -> Matching:
        """The match of the plan's own anchors."""
        return self.matchings[self.chosen]


def report(boxes: np.ndarray, classes: tuple[str, ...], plan: Plan, chosen: str) -> AnchorReport:
    """Match `boxes` (n, 5) with the anchors of `plan` and of every other scheme of sizes.

    `chosen` is the scheme of the plan's sizes: a name of `ssdreg.detector.anchor_schemes.SIZES`,
    `FITTED` (the plan then gets sizes fitted to the boxes) or `GIVEN`.
    """
    count = len(plan.levels)
    sizes = {name: named_sizes(name, count) for name in sorted(SIZES)}
    sizes[FITTED] = fit_sizes(boxes, plan)
    sizes.setdefault(chosen, plan.sizes)
    matchings = {name: matches(boxes, plan.with_sizes(scheme_sizes))
                 for name, scheme_sizes in sizes.items()}
    small = int(small_boxes(boxes, plan).sum())
    return AnchorReport(plan.with_sizes(sizes[chosen]), boxes, describe(boxes, classes),
                        sizes, matchings, chosen, small)


def size_list(sizes: Sizes) -> str:
    """Return sizes as text, in the form of ``--sizes``."""
    return "/".join(",".join(f"{size:g}" for size in level) for level in sizes)


def to_text(report: AnchorReport) -> str:
    """Return the report as tables; the last line is the option with the fitted sizes."""
    plan, matching = report.plan, report.matching
    shape = f"{plan.data_shape[0]}x{plan.data_shape[1]}"
    width, height = report.statistics.smallest
    parts = [
        f"{report.statistics.boxes:,} boxes: "
        + ", ".join(f"{count:,} {name}" for name, count in report.statistics.classes),
        _quantile_table(report),
        f"the smallest is {width:.3g} wide and {height:.3g} high, in pixels of the network's "
        f"input {width * plan.data_shape[1]:.1f} and {height * plan.data_shape[0]:.1f}",
        f"\n{plan.backbone} with {plan.head} at {shape}, sizes: {report.chosen}",
        _level_table(report),
        f"matched by no level: {int((~matching.matched).sum()):,} of {matching.boxes:,} boxes"
        + _unmatched_by_class(report)]
    if report.small:
        parts.append(f"smaller than {LEAST_CELLS:g} cells of the finest level: {report.small:,} "
                     f"boxes; a finer stride in --tap-strides or a larger --data-shape finds more "
                     f"of these than any sizes do")
    parts += ["", _scheme_table(report), "", "sizes fitted to these boxes:",
              f"--sizes {size_list(report.sizes[FITTED])}"]
    return "\n".join(parts)


def to_dict(report: AnchorReport) -> dict[str, Any]:
    """Return the report as plain values for JSON."""
    plan, statistics = report.plan, report.statistics
    return {
        "backbone": plan.backbone, "head": plan.head, "data_shape": list(plan.data_shape),
        "boxes": {"count": statistics.boxes, "classes": dict(statistics.classes),
                  "quantiles": list(QUANTILES), "widths": list(statistics.widths),
                  "heights": list(statistics.heights), "smallest": list(statistics.smallest),
                  "small": report.small},
        "chosen": report.chosen,
        "levels": [{"map": [level.height, level.width], "anchors_per_cell": level.anchors_per_cell,
                    "sizes": list(sizes), "ratios": list(ratios), "best": match.best,
                    "matched": match.matched, "positives": match.positives}
                   for level, sizes, ratios, match in zip(plan.levels, plan.sizes, plan.ratios,
                                                          report.matching.levels)],
        "schemes": {name: {"sizes": [list(level) for level in report.sizes[name]],
                           "matched": int(matching.matched.sum()), "share": matching.share,
                           "mean_iou": matching.mean_overlap, "anchors_per_box": matching.positives,
                           "share_by_class": _class_shares(report, matching)}
                    for name, matching in report.matchings.items()},
        "fitted": size_list(report.sizes[FITTED])}


def _quantile_table(report: AnchorReport) -> str:
    height, width = report.plan.data_shape
    rows = []
    for name, shares, pixels in (("width", report.statistics.widths, width),
                                 ("height", report.statistics.heights, height)):
        rows.append((name, "share of image", *(f"{share:.3g}" for share in shares)))
        rows.append((name, "pixels of input", *(f"{share * pixels:.1f}" for share in shares)))
    inner = [f"{share:.0%} below" for share in QUANTILES[1:-1]]
    return text_table(("", "", "least", *inner, "most"), rows)


def _level_table(report: AnchorReport) -> str:
    plan, matching = report.plan, report.matching
    rows = []
    for index, (level, match) in enumerate(zip(plan.levels, matching.levels)):
        rows.append((str(index), f"{level.height}x{level.width}", str(level.anchors_per_cell),
                     _numbers(plan.sizes[index]), _numbers(plan.ratios[index]),
                     f"{match.best:,} ({match.best / matching.boxes:.1%})",
                     f"{match.matched:,} ({match.matched / matching.boxes:.1%})"))
    rows.append(("all", "", "", "", "", f"{matching.boxes:,}",
                 f"{int(matching.matched.sum()):,} ({matching.share:.1%})"))
    return text_table(("level", "cells", "anchors a cell", "sizes", "ratios", "boxes fit best",
                       "matched at IoU 0.5"), rows)


def _scheme_table(report: AnchorReport) -> str:
    names = [name for name, _ in report.statistics.classes]
    rows = [(name, f"{matching.share:.1%}",
             *(_percent(share) for share in _class_shares(report, matching).values()),
             f"{matching.mean_overlap:.3f}", f"{matching.positives:.1f}")
            for name, matching in report.matchings.items()]
    return text_table(("sizes", "matched", *names, "mean best IoU", "anchors a box"), rows)


def _class_shares(report: AnchorReport, matching: Matching) -> dict[str, float | None]:
    """Return the share of matched boxes of each class, None for one without boxes."""
    classes = report.boxes[:, 0]
    return {name: float(matching.matched[classes == index].mean()) if count else None
            for index, (name, count) in enumerate(report.statistics.classes)}


def _unmatched_by_class(report: AnchorReport) -> str:
    unmatched = np.bincount(report.boxes[~report.matching.matched, 0].astype(int),
                            minlength=len(report.statistics.classes))
    parts = [f"{count:,} {name}" for count, (name, _) in zip(unmatched, report.statistics.classes)
             if count]
    return f" ({', '.join(parts)})" if parts else ""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
