"""The lines by which SageMaker takes figures from a job's log, as the built-in algorithm has them.

`DEFINITIONS` are the expressions of its metrics: a tuning job or a dashboard that was made for it
finds the same figures in these lines. Epochs and batches count from 0 in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import define, field

from ssdreg.data.issues import DataIssues
from ssdreg.progress import Note
from ssdreg.runs.log import Epoch
from ssdreg.training.progress import Step

DEFINITIONS: Mapping[str, str] = MappingProxyType({
    "train:progress": r"#progress_metric: host=\S+, completed (\S+) %",
    "train:smooth_l1":
        r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train smooth_l1 <loss>=(\S+)",
    "train:cross_entropy":
        r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train cross_entropy <loss>=(\S+)",
    "train:throughput": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    "validation:mAP": r"#quality_metric: host=\S+, epoch=\S+, validation mAP <score>=\((\S+)\)",
})


@define
class JobLog:
    """Writes what a training tells: sentences, and the figures of every epoch.

    `line` is called with every line of the log, `host` is the name of the machine, `epochs` how
    many the training has at most.
    """

    line: Callable[[str], None]
    host: str
    epochs: int
    _batches: int = field(default=0, init=False)

    def __call__(self, event: object) -> None:
        """Write one of the values of `ssdreg.progress`; others are passed over."""
        if isinstance(event, Step):
            self._batches = event.steps or self._batches
        elif isinstance(event, Epoch):
            self._epoch(event)
        elif isinstance(event, Note):
            self.line(event.text)
        elif isinstance(event, DataIssues):
            for text in str(event).splitlines():
                self.line(text)

    def _epoch(self, epoch: Epoch) -> None:
        number = epoch.epoch - 1
        at = f"#quality_metric: host={self.host}, epoch={number}"
        last = f"batch={max(0, self._batches - 1)}"
        self.line(f"{at}, {last} train cross_entropy <loss>={epoch.cls_loss:.6g}")
        self.line(f"{at}, {last} train smooth_l1 <loss>={epoch.loc_loss:.6g}")
        self.line(f"#throughput_metric: host={self.host}, train throughput="
                  f"{epoch.images_per_second:.6g} records/second")
        if not math.isnan(epoch.map):
            self.line(f"{at}, validation mAP <score>=({epoch.map:.6g})")
        self.line(f"#progress_metric: host={self.host}, completed "
                  f"{100 * epoch.epoch / self.epochs:.6g} % of epochs")
