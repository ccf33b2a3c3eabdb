"""The effect of quantisation on accuracy, time and size: figures before and after."""

from __future__ import annotations

import math
from typing import Any

import attrs
from attrs import frozen
from ssdreg_runtime.system.tables import text_table

from ssdreg.data import DataIssue
from ssdreg.metrics.voc import Evaluation
from ssdreg.quantization.quantizing import Quantized, count_layers
from ssdreg.quantization.speed import Latency

#: Layers that a report names.
_MOST_NAMED = 12
_MEBI = 2**20


@frozen
class PrecisionFigures:
    """The figures of one precision: size in bytes, and accuracy and time where measured."""

    precision: str
    size: int
    evaluation: Evaluation | None = None
    latency: Latency | None = None


@frozen
class QuantizationReport:
    """The quantised detector, and its figures before and after.

    `out` is what was written, `calibrated` counts the images that scales were taken from, `drop`
    is the loss of mAP that was allowed, `issues` are what is wrong with the data.
    """

    out: str
    quantized: Quantized
    calibrated: int
    drop: float
    before: PrecisionFigures
    after: PrecisionFigures
    issues: tuple[DataIssue, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON, with None for what was not measured."""
        quantized = self.quantized
        noise = {layer.name: layer.noise for layer in quantized.layers}
        return {
            "out": self.out, "run": quantized.source.name, "backend": quantized.backend,
            "precision": quantized.precision, "calibration_images": self.calibrated,
            "drop": self.drop,
            "kept": [{"name": name, "noise": noise.get(name)} for name in quantized.kept],
            "calibration_map": _or_none(quantized.exact_map),
            "trials": [{"kept": len(trial.kept), "calibration_map": _or_none(trial.map),
                        "agreement": _or_none(trial.agreement)} for trial in quantized.trials],
            "before": _side(self.before), "after": _side(self.after)}

    def text(self) -> str:
        """Return a few lines and a table for people."""
        quantized, after = self.quantized, self.after
        lines = [f"{quantized.source.name} -> {self.out}: {after.precision} for "
                 f"{quantized.backend}" + (f", scales from {self.calibrated} images"
                                           if self.calibrated else "")]
        lines += [self._table(), *self._kept()]
        if slower := self._slower():
            lines.append(slower)
        return "\n".join(lines)

    def _table(self) -> str:
        sides = (self.before, self.after)
        header = ["", *(side.precision for side in sides), "change"]
        rows = [["MiB", *(f"{side.size / _MEBI:.1f}" for side in sides),
                 f"x {self.after.size / self.before.size:.2f}"]]
        one, other = self.before.evaluation, self.after.evaluation
        if one is not None and other is not None:
            rows.append([f"mAP, {one.images} images", f"{one.map:.4f}", f"{other.map:.4f}",
                         f"{other.map - one.map:+.4f}"])
            rows += [[f"  {old.name}", f"{old.ap:.4f}", f"{new.ap:.4f}", f"{new.ap - old.ap:+.4f}"]
                     for old, new in zip(one.classes, other.classes) if not math.isnan(old.ap)]
        if self.before.latency is not None and self.after.latency is not None:
            rows.append(["ms an image", *(f"{time.median:.1f} ({time.lower:.1f} to "
                                          f"{time.upper:.1f})"
                                          for time in (self.before.latency, self.after.latency)),
                         f"x {self.after.latency.median / self.before.latency.median:.2f}"])
        return text_table(header, rows)

    def _kept(self) -> list[str]:
        """Say which layers stay float32, and why."""
        quantized = self.quantized
        lines = [f"{count_layers(trial.kept)} kept in float32: mAP {trial.map:.4f} "
                 f"on the calibration images (float32 {quantized.exact_map:.4f}), agreement with "
                 f"float32 {trial.agreement:.3f}" for trial in quantized.trials]
        if not quantized.kept:
            return lines
        total = sum(layer.noise for layer in quantized.layers)
        noise = {layer.name: layer.noise / total for layer in quantized.layers} if total else {}
        named = [f"{name} ({noise[name]:.0%} of the error)" if name in noise else name
                 for name in quantized.kept[:_MOST_NAMED]]
        more = len(quantized.kept) - len(named)
        tail = f" and {more} more" if more > 0 else ""
        return [*lines, f"kept in float32: {', '.join(named)}{tail}"]

    def _slower(self) -> str:
        """Say it where fewer bits bring no speed."""
        one, other = self.before.latency, self.after.latency
        if one is None or other is None or other.median < one.median:
            return ""
        return (f"{self.after.precision} is not faster than float32 with "
                f"{self.quantized.backend} on this processor: try another backend")

    def missed(self) -> bool:
        """Tell whether the mAP that was measured fell by more than it was to."""
        one, other = self.before.evaluation, self.after.evaluation
        return one is not None and other is not None and one.map - other.map > self.drop


def _side(side: PrecisionFigures) -> dict[str, Any]:
    return {"precision": side.precision, "bytes": side.size,
            "evaluation": side.evaluation.to_dict() if side.evaluation else None,
            "milliseconds": attrs.asdict(side.latency) if side.latency else None}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
