"""What detects, in words that any process can make a detector of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from ssdreg_runtime.backends import AUTO, thread_count
from ssdreg_runtime.backends.model_file import describe
from ssdreg_runtime.backends.settings import CPU, parse_device
from ssdreg_runtime.boxes.selection import select
from ssdreg_runtime.errors import DataError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.system.files import digest


def _names(only: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return None if only is None else (only,) if isinstance(only, str) else tuple(only)


@frozen(kw_only=True)
class Recipe:
    """The arguments of a `Detector`, and the least score of what is reported.

    `model` is a path that every worker can open. `threads` are those of one worker.
    """

    model: Path
    threshold: float = 0.5
    backend: str = AUTO
    threads: int = 1
    precision: str = AUTO
    device: str = CPU
    iou: float | None = None
    max_det: int | None = None
    only: tuple[str, ...] | None = field(default=None, converter=_names)

    @property
    def needs_gpu(self) -> bool:
        """Whether each worker has a GPU of its own, the only one that it sees."""
        return self.device != CPU

    def open_detector(self) -> Detector:
        """Return the detector; raise what `Detector` raises."""
        return Detector(self.model, self.backend, self.threads, self.precision, self.device,
                        self.iou, self.max_det, self.only)

    def checked(self) -> Recipe:
        """Return the recipe with the backend by its name, so that all workers have the same.

        Raises what makes no detector here, before any worker tries it; of one on a GPU, which this
        machine may not have, only the file and the selection are looked at.
        """
        if not 0 <= self.threshold <= 1:
            raise DataError(f"--threshold {self.threshold:g} is no score: give one of 0 to 1")
        thread_count(self.threads)
        here = evolve(self, model=self.model.absolute())
        if not self.needs_gpu:
            return evolve(here, backend=here.open_detector().backend)
        if parse_device(self.device).text not in ("cuda", "tensorrt"):
            raise DataError(f"--device {self.device} cannot be chosen on a cluster: give cuda or "
                            f"tensorrt, and each worker gets a GPU of its own")
        select(describe(here.model, str(here.model)).facts.classes, self.only, self.max_det)
        return here

    def settings(self) -> dict[str, Any]:
        """Return what decides what is found, as plain values: not what it is computed by."""
        model = digest(self.model)
        if self.model.suffix == ".xml":
            model += digest(self.model.with_suffix(".bin"))
        return {"model": model, "threshold": self.threshold, "precision": self.precision,
                "iou": self.iou, "max_det": self.max_det,
                "only": None if self.only is None else list(self.only)}
