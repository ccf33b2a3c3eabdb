"""A checkpoint, understood: what was found in it, ready to run, to save, and to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.detector.plan import Plan
from ssdreg.errors import RunError
from ssdreg.graph.taps import Verification
from ssdreg.runs.checksums import note
from ssdreg.runs.lock import writing
from ssdreg.runs.params import Params, write_params
from ssdreg.runs.run import Run, create_run, refuse_run

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(kw_only=True, eq=False)
class Checkpoint:
    """A detector read from a checkpoint.

    - `source`: where it came from; `kind`: what it is, in words; `epoch`: of its parameters.
    - `plan`: every number of it. Its `head` is ``checkpoint`` where the network is the
      checkpoint's own and not one that `ssdreg.build` makes.
    - `classes`: their names; `named` tells whether somebody gave them.
    - `symbol`: input ``data`` (B, 3, H, W), output ``detection`` (B, N, 6).
    - `train_symbol`: the same network with the outputs that training reads, see `ssdreg.build`.
    - `params`: None where the checkpoint was a symbol alone.
    - `verification`: the proof that its taps are ends of stages; None where they are not, and
      `complaint` then says what is wrong and what was lost (where neither is there, the backbone
      is not at hand).
    - `notes`: what was assumed, a sentence each.
    """

    source: Path
    kind: str
    epoch: int
    plan: Plan
    classes: tuple[str, ...]
    named: bool
    symbol: mx.sym.Symbol = field(repr=False)
    train_symbol: mx.sym.Symbol = field(repr=False)
    params: Params | None = field(repr=False)
    verification: Verification | None
    complaint: str = ""
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say in a few lines what was found."""
        plan, preprocessing = self.plan, self.plan.preprocessing
        height, width = plan.data_shape
        names = ", ".join(self.classes) if self.named else "without names"
        levels = ", ".join(f"{level.node or 'made'} {level.height}x{level.width}"
                           for level in plan.levels)
        taps = "NOT the ends of the backbone's stages" if self.complaint else "not verified"
        if self.verification:
            taps = f"verified, {self.verification.coverage:.0%} of the backbone's weights are used"
        steps = "one cell" if not plan.steps else " ".join(map(_step, plan.steps))
        rows = [
            ("found", self.kind), ("backbone", plan.backbone), ("taps", taps),
            ("classes", f"{plan.num_classes} ({names})"), ("input", f"{height}x{width}"),
            ("levels", levels), ("anchors", f"{plan.anchors:,}"),
            ("  sizes", " / ".join(_listed(sizes) for sizes in plan.sizes)),
            ("  ratios", " / ".join(_listed(ratios) for ratios in plan.ratios)),
            ("  steps", steps), ("  variances", _listed(plan.variances)),
            ("suppression", f"IoU {plan.nms_threshold:g}, the {plan.nms_topk} best"
                            f"{', across classes' if plan.force_suppress else ''}"),
            ("normalisation", f"mean {_listed(preprocessing.mean)}, "
                              f"std {_listed(preprocessing.std)}")]
        lines = [f"{name + ':':16}{text}" for name, text in rows]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def save(self, path: str | Path) -> Run:
        """Write a run folder that `ssdreg eval`, `predict` and `train --pretrained` use.

        Raises RunError when there are no parameters, or when the folder holds a run already.
        """
        folder = Path(path)
        if self.params is None:
            raise RunError(f"{self.source} is a symbol without parameters: there is nothing to "
                           f"run; give the .params file that belongs to it, beside it")
        refuse_run(folder)
        with writing(folder, "ssdreg import"):
            # before the file that makes the folder a run
            file = Run(folder, self.classes, self.plan).params_file(self.epoch)
            write_params(file, self.params)
            note(folder, file.name)
            return create_run(folder, self.classes, self.plan, self.train_symbol, self.symbol)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _step(step: float | tuple[float, float]) -> str:
    return "x".join(f"{side:.4g}" for side in (step if isinstance(step, tuple) else (step,)))
