"""The report as a page: HTML that holds its style and its pictures, and loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from attrs import field, frozen
from ssdreg_runtime.system.files import replacing

from ssdreg.drawing.report.charts import (
    MOST_CELLS,
    confusion_chart,
    curves_chart,
    errors_chart,
)
from ssdreg.drawing.report.pictures import WorstPicture, data_url
from ssdreg.drawing.report.style import STYLE
from ssdreg.errors import DataError
from ssdreg.metrics.areas import SIZES
from ssdreg.metrics.measures import Measures
from ssdreg.metrics.text import MOST_PAIRS, number
from ssdreg.metrics.thresholds import OperatingPoint

_SUFFIXES = (".html", ".htm")

#: A browser that keeps to it lets the page fetch nothing and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@frozen(eq=False)
class Report:
    """What a report tells: of what and on what in `title` and `subject`, the measures, the worst
    pictures, and `settings`, (name, value), of the run and of the evaluation."""

    title: str
    subject: str
    measures: Measures = field(repr=False)
    pictures: tuple[WorstPicture, ...] = field(repr=False)
    settings: tuple[tuple[str, str], ...] = field(repr=False)


def check_report(path: Path) -> None:
    """Raise DataError when a path does not end as a page does."""
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"no report can be written to {path}: its name must end in .html")


def write_report(report: Report, path: Path) -> None:
    """Write a report as one HTML file, whole or not at all; its folder is made if need be.

    Raises DataError for a name that does not end in .html.
    """
    check_report(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        # names may hold bytes that are no letters
        beside.write_text(to_html(report), encoding="utf-8", errors="backslashreplace")


def to_html(report: Report) -> str:
    """Return a report as HTML."""
    measures = report.measures
    title = escape(report.title)
    return "".join((
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f"<h1>{title}</h1><p>{escape(report.subject)}</p>",
        _tiles(measures), _classes(measures), _coco(measures), _curves(measures),
        _confusion(measures), _errors(measures), _pictures(report.pictures, measures),
        _section("Settings", "", _settings(report.settings)),
        "</body></html>\n"))


def _section(title: str, text: str, content: str) -> str:
    paragraph = f"<p>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>{paragraph}{content}</section>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], total: int = 0) -> str:
    """Return a table; the last `total` rows are set off."""
    lines = list(rows)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = []
    for index, (name, *cells) in enumerate(lines):
        look = ' class="total"' if index >= len(lines) - total else ""
        body.append(f"<tr{look}><th>{escape(name)}</th>"
                    + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return (f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody>'
            f"</table></div>")


def _tiles(measures: Measures) -> str:
    figures, best = measures.coco.figures, measures.curves.pooled.best()
    tiles = [(number(measures.voc.map), "mAP at IoU 0.5 (VOC)"),
             (number(figures.ap), "AP, IoU 0.5 to 0.95 (COCO)"),
             (number(figures.ap75), "AP at IoU 0.75 (COCO)"),
             (number(figures.ar100), "recall, 100 an image (COCO)"),
             (number(best.f1) if best else "-",
              f"best F1, with scores from {best.threshold:.2f} on" if best else "best F1")]
    return '<div class="tiles">' + "".join(
        f"<div><b>{value}</b><span>{escape(name)}</span></div>" for value, name in tiles) + "</div>"


def _classes(measures: Measures) -> str:
    rows = [(measure.name, str(measure.objects), str(measure.detections), number(measure.ap),
             number(measure.ap_07), number(coco), *_point(curve.best()))
            for measure, coco, curve in zip(measures.voc.classes, measures.coco.class_ap,
                                            measures.curves.classes)]
    voc = measures.voc
    rows.append(("all", str(sum(measure.objects for measure in voc.classes)),
                 str(sum(measure.detections for measure in voc.classes)), number(voc.map),
                 number(voc.map_07), number(measures.coco.figures.ap),
                 *_point(measures.curves.pooled.best())))
    return _section(
        "Classes", "AP and AP 2007 at IoU 0.5 as VOC measures them, COCO AP over IoU 0.5 to 0.95; "
        "then the threshold on the score with the best F1, and what it gives.",
        _table(("class", "objects", "detections", "AP", "AP 2007", "COCO AP", "threshold",
                "precision", "recall", "F1"), rows, total=1))


def _point(best: OperatingPoint | None) -> tuple[str, ...]:
    if best is None:
        return ("-",) * 4
    return tuple(number(value) for value in (best.threshold, best.precision, best.recall, best.f1))


def _coco(measures: Measures) -> str:
    figures = measures.coco.figures
    rows = [("all, 100 an image", figures.ap, figures.ar100),
            ("at IoU 0.5", figures.ap50, None), ("at IoU 0.75", figures.ap75, None),
            ("1 an image", None, figures.ar1), ("10 an image", None, figures.ar10),
            ("small", figures.ap_small, figures.ar_small),
            ("medium", figures.ap_medium, figures.ar_medium),
            ("large", figures.ap_large, figures.ar_large)]
    table = _table(("", "AP", "AR"), [
        (name, *("" if value is None else number(value) for value in values))
        for name, *values in rows])
    return _section("COCO", "The twelve figures of COCO: average precision and recall, where "
                    "nothing else is said over IoU 0.5 to 0.95. Small is up to 32 x 32, medium up "
                    "to 96 x 96 pixels of the original image.", table)


def _curves(measures: Measures) -> str:
    return _section("Precision and recall", "At IoU 0.5, from high thresholds on the score at the "
                    "left to low ones at the right. A point marks the best F1.",
                    curves_chart(measures))


def _confusion(measures: Measures) -> str:
    confusion = measures.confusion
    text = (f"Objects in rows, what was detected in columns, at IoU {confusion.iou_threshold:g} "
            f"and with scores from {confusion.threshold:.4f} on, the threshold with the best F1 of "
            f"all classes. A cell is shaded by its share of the row.")
    pairs = confusion.pairs()
    most_confused = ""
    if len(confusion.classes) > MOST_CELLS and pairs:
        most_confused = _table(("object", "taken for", "times"),
                               [(wanted, detected, str(times))
                                for times, wanted, detected in pairs[:MOST_PAIRS]])
    return _section("Confusion", text, confusion_chart(confusion) + most_confused)


def _errors(measures: Measures) -> str:
    errors = measures.errors
    rows = [(kind.name, str(kind.total.count), number(kind.total.dap),
             *(cell for cost in kind.by_size for cell in (str(cost.count), number(cost.dap))))
            for kind in errors.kinds]
    blank = ("",) * (2 * len(SIZES))
    rows += [("false positives", str(errors.false_positives.count),
              number(errors.false_positives.dap), *blank),
             ("false negatives", str(errors.false_negatives.count),
              number(errors.false_negatives.dap), *blank)]
    header = ("error", "count", "dAP", *(f"{size}{unit}" for size in SIZES
                                         for unit in ("", " dAP")))
    return _section("Errors by kind", f"What AP at IoU {errors.iou_threshold:g}, "
                    f"{number(errors.ap)}, would gain if a kind of error were mended (TIDE): how "
                    f"often it occurs, and by the size of the boxes.",
                    errors_chart(errors) + _table(header, rows))


def _pictures(pictures: Sequence[WorstPicture], measures: Measures) -> str:
    if not pictures:
        return _section("Worst pictures", "There is no error in any picture.", "")
    figures = []
    for picture in pictures:
        errors = picture.errors
        parts = [f"{count} {word}" for count, word in (
            (errors.missed, "missed"), (errors.confused, "taken for another class"),
            (errors.background, "detected in vain")) if count]
        figures.append(
            f"<figure><figcaption><b>image {errors.number}</b>: {', '.join(parts)}</figcaption>"
            f'<div class="pair"><div>there is<img alt="ground truth of image {errors.number}" '
            f'src="{data_url(picture.truths)}"></div><div>found<img alt="detections in image '
            f'{errors.number}" src="{data_url(picture.detections)}"></div></div></figure>')
    return _section("Worst pictures", f"Those with most errors, with scores from "
                    f"{measures.confusion.threshold:.4f} on. Images are counted from 0, in the "
                    f"order of the data.", "".join(figures))


def _settings(settings: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
                   for name, value in settings)
    return f'<table class="settings"><tbody>{rows}</tbody></table>'
