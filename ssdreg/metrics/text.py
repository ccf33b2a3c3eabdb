"""Measures as text for a terminal: blocks of aligned lines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssdreg.metrics.areas import SIZES
from ssdreg.metrics.coco import CocoFigures
from ssdreg.metrics.confusion import Confusion
from ssdreg.metrics.measures import Measures
from ssdreg.metrics.tide import Cost, Errors

#: A matrix with more classes than this is too wide for a terminal: then only the most frequent
#: confusions are told.
MOST_COLUMNS = 10
#: How many of them.
MOST_PAIRS = 10

Lines = Sequence[Sequence[str]]


def describe(measures: Measures) -> str:
    """Return the blocks behind the table of average precisions, an empty line between them."""
    return "\n\n".join((coco_block(measures.coco.figures), class_block(measures),
                        confusion_block(measures.confusion), error_block(measures.errors)))


def coco_block(figures: CocoFigures) -> str:
    """Return COCO's twelve figures."""
    return "COCO, IoU 0.5 to 0.95, areas in pixels of the original images\n" + aligned([
        ("", "all", "IoU 0.5", "IoU 0.75", *SIZES),
        ("AP", *map(number, (figures.ap, figures.ap50, figures.ap75, figures.ap_small,
                             figures.ap_medium, figures.ap_large))),
        ("", "1 an image", "10", "100", *SIZES),
        ("AR", *map(number, (figures.ar1, figures.ar10, figures.ar100, figures.ar_small,
                             figures.ar_medium, figures.ar_large)))])


def class_block(measures: Measures) -> str:
    """Return the best threshold of every class, with the precision and recall there."""
    named = [*(measure.name for measure in measures.voc.classes), "all"]
    curves = [*measures.curves.classes, measures.curves.pooled]
    lines: list[Sequence[str]] = [
        ("class", "COCO AP", "threshold", "precision", "recall", "F1")]
    for name, ap, curve in zip(named, (*measures.coco.class_ap, measures.coco.figures.ap), curves):
        best = curve.best()
        values = (best.threshold, best.precision, best.recall, best.f1) if best else (math.nan,) * 4
        lines.append((name, number(ap), *map(number, values)))
    return "the threshold with the best F1, at IoU 0.5\n" + aligned(lines)


def confusion_block(confusion: Confusion) -> str:
    """Return the confusion matrix, or of many classes what is confused most often."""
    head = (f"confusion at IoU {confusion.iou_threshold:g}, scores from "
            f"{confusion.threshold:.4f} on")
    count = len(confusion.classes)
    if count > MOST_COLUMNS:
        return head + _many(confusion)
    lines: list[Sequence[str]] = [("object \\ detected", *confusion.classes, "missed")]
    for name, row in zip((*confusion.classes, "background"), confusion.matrix.tolist()):
        lines.append((name, *map(str, row)))
    lines[-1] = (*lines[-1][:-1], "")  # there is nothing to count
    return f"{head}\n" + aligned(lines)


def _many(confusion: Confusion) -> str:
    matrix, count = confusion.matrix, len(confusion.classes)
    right = int(matrix[:count, :count].trace())
    pairs = confusion.pairs()
    summary = (f": {right} objects found, {int(matrix[:count, count].sum())} missed, "
               f"{int(matrix[count].sum())} detections of background, "
               f"{sum(pair[0] for pair in pairs)} objects taken for another class")
    if not pairs:
        return summary
    lines = [("object", "taken for", "times")]
    lines += [(wanted, detected, str(times)) for times, wanted, detected in pairs[:MOST_PAIRS]]
    return f"{summary}; most often\n" + aligned(lines)


def error_block(errors: Errors) -> str:
    """Return the errors by kind: how many, and how much AP at IoU 0.5 would rise without them."""
    lines: list[Sequence[str]] = [("error", "count", "dAP", *(f"{size}{unit}" for size in SIZES
                                                             for unit in ("", " dAP")))]
    for kind in errors.kinds:
        lines.append((kind.name, *_cost(kind.total),
                      *(cell for cost in kind.by_size for cell in _cost(cost))))
    for name, cost in (("false positives", errors.false_positives),
                       ("false negatives", errors.false_negatives)):
        lines.append((name, *_cost(cost), *[""] * (2 * len(SIZES))))
    return (f"errors by kind, and what AP {number(errors.ap)} at IoU {errors.iou_threshold:g} "
            f"would gain without them\n") + aligned(lines)


def _cost(cost: Cost) -> tuple[str, str]:
    return str(cost.count), number(cost.dap)


def number(value: float) -> str:
    """Return a figure of 0 to 1 in four digits; "-" stands for nan."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def aligned(lines: Lines) -> str:
    """Align the first column left and all others right."""
    name_width, *widths = (max(map(len, column)) for column in zip(*lines))
    return "\n".join("  ".join([name.ljust(name_width),
                                *(cell.rjust(width) for cell, width in zip(cells, widths))]
                               ).rstrip() for name, *cells in lines)
