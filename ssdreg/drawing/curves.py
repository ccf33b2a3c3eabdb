"""The learning curves of a run, drawn from its log."""

from __future__ import annotations

import math
from pathlib import Path

from ssdreg_runtime.system.files import replacing
from ssdreg_runtime.system.names import shown

from ssdreg.errors import DataError
from ssdreg.runs.log import read_log


def draw_curves(log_csv: Path, out: Path, title: str) -> None:
    """Draw losses, mAPs and COCO's AP of a run's log.csv over its epochs into the picture `out`.

    The suffix of `out` (.png, .svg, .pdf ...) names the format. Its folder is made if need be,
    and the file appears only when it is complete. Raises DataError for what `read_log` refuses,
    and for a suffix that matplotlib cannot write.
    """
    from ssdreg.drawing.mpl import Figure, FigureCanvasAgg, MaxNLocator

    epochs = read_log(log_csv)
    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    file_format = out.suffix.lstrip(".").lower()
    if file_format not in canvas.get_supported_filetypes():
        raise DataError(f"curves cannot be drawn into {out}: its suffix is no picture format "
                        "that matplotlib writes; use .png")

    # a name such as "a_$b" is meant literally
    figure.suptitle(shown(title), parse_math=False)
    losses, metrics = figure.subplots(2, 1, sharex=True)
    numbers = [epoch.epoch for epoch in epochs]
    # markers, because a run of one epoch has no line, and a gap may leave a point alone
    losses.plot(numbers, [epoch.cls_loss for epoch in epochs], "o-", color="#0072B2",
                markersize=3, label="classification")
    losses.plot(numbers, [epoch.loc_loss for epoch in epochs], "s--", color="#D55E00",
                markersize=3, label="localisation")
    losses.set_ylabel("loss")
    losses.set_ylim(bottom=0)
    losses.legend()

    measured = [epoch for epoch in epochs if not math.isnan(epoch.map)]
    if measured:
        numbers = [epoch.epoch for epoch in measured]
        metrics.plot(numbers, [epoch.map for epoch in measured], "o-", color="#009E73",
                     markersize=3, label=f"area under curve, last {measured[-1].map:.3f}")
        metrics.plot(numbers, [epoch.map_07 for epoch in measured], "s--", color="#CC79A7",
                     markersize=3, label=f"11 points (VOC 2007), last {measured[-1].map_07:.3f}")
        by_coco = [epoch for epoch in measured if epoch.coco is not None]
        if by_coco:
            values = [epoch.coco.ap for epoch in by_coco if epoch.coco is not None]
            metrics.plot([epoch.epoch for epoch in by_coco], values, "^:", color="#E69F00",
                         markersize=3, label=f"COCO, IoU 0.5 to 0.95, last {values[-1]:.3f}")
        metrics.legend(loc="lower right")
    else:
        metrics.text(0.5, 0.5, "not measured in this run", ha="center", va="center",
                     transform=metrics.transAxes)
    metrics.set_ylabel("mAP")
    metrics.set_ylim(0, 1.02)
    metrics.set_xlabel("epoch")
    metrics.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (losses, metrics):
        axes.grid(alpha=0.3)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as beside:
        figure.savefig(beside, format=file_format)
