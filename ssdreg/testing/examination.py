"""One subject under examination: what its checks share is made once, when first needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.deploy.model import DeployModel
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.declaration import prove
from ssdreg.errors import SsdregError
from ssdreg.graph.finding import complete
from ssdreg.graph.taps import Verification
from ssdreg.registry.backbone import Backbone
from ssdreg.runs.params import Params
from ssdreg.testing.one_step import Inferred, Step, infer, pictures, step
from ssdreg.testing.small import SmallDetector, smallest_detector
from ssdreg.testing.verdict import ConformanceError, Subject, UnexaminedError, Verdict

if TYPE_CHECKING:
    import numpy as np

    from ssdreg.mx import mx

#: By this, weights drawn as by He et al. (2015) become such as keep a map's size without ReLU.
SMALLER = 0.7


@frozen
class Check:
    """One promise: `run` raises ConformanceError where it is broken.

    `needs` are the checks that must have passed before this one can say anything of its own.
    """

    name: str
    promise: str
    run: Callable[[Examination], None]
    needs: tuple[Check, ...] = ()


class Examination:
    """What the checks of one subject look at, and their verdicts.

    The network is trained for one step only once, and bound for inference once. It holds up to
    a gigabyte for a large network: let go of it before the next.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._verdicts: dict[str, Verdict] = {}
        self._verified: dict[tuple[int, int], Verification] = {}

    def verdict(self, check: Check) -> Verdict:
        """Return what a check finds; checks that it needs are run before it."""
        if check.name not in self._verdicts:
            self._verdicts[check.name] = self._look(check)
        return self._verdicts[check.name]

    def _look(self, check: Check) -> Verdict:
        failed = tuple(need.name for need in check.needs if not self.verdict(need).passed)
        issue, unexamined = None, ""
        try:
            issue = None if failed else self._problem(check)
        except UnexaminedError as error:
            unexamined = str(error)
        return Verdict(self.subject.plugin, self.subject.title, check.name, issue, failed,
                       unexamined)

    def _problem(self, check: Check) -> str | None:
        try:
            check.run(self)
        except UnexaminedError:
            raise
        except ConformanceError as error:
            return str(error)
        except SsdregError as error:
            return one_line(error)
        except Exception as error:  # a stranger's code may raise anything
            return f"{type(error).__name__}: {one_line(error)}"
        return None

    @property
    def backbone(self) -> Backbone:
        """The backbone, with its taps and what feeds detection filled in."""
        return complete(self.subject.backbone)

    @cached_property
    def symbol(self) -> mx.sym.Symbol:
        """The backbone's own symbol."""
        return self.subject.backbone.symbol()

    @cached_property
    def built(self) -> BuiltBackbone:
        """The backbone with that symbol, read."""
        return BuiltBackbone.read(self.subject.backbone, self.symbol)

    def verified(self, data_shape: tuple[int, int]) -> Verification:
        """Return what the graph says of the declaration at this input (height, width).

        Raises TapError as :func:`ssdreg.verify_backbone` does.
        """
        if data_shape not in self._verified:
            self._verified[data_shape] = prove(self.built.at(data_shape))
        return self._verified[data_shape]

    @cached_property
    def detector(self) -> SmallDetector:
        """A small detector that stands on the backbone."""
        return smallest_detector(self.built, self.subject.head or "ssd")

    @cached_property
    def pictures(self) -> np.ndarray:
        """A batch of input for the detector, (B, 3, H, W) float32."""
        return pictures(self.detector.plan)

    @cached_property
    def step(self) -> Step:
        """One step of training."""
        return step(self.detector, self.pictures)

    @cached_property
    def inferred(self) -> Inferred:
        """What the detector says after that step."""
        return infer(self.detector, self.step.params, self.pictures)

    @cached_property
    def deployed(self) -> DeployModel:
        """The detector after the step, with smaller parameters.

        As they are drawn, scores may be all but 1 and boxes all but endless, and rounding decides.
        """
        detector, params = self.detector, self.step.params
        return DeployModel(self.subject.title, detector.deploy,
                           Params({name: array * SMALLER for name, array in params.args.items()},
                                  params.auxs), detector.plan,
                           tuple(f"class {index}" for index in range(detector.plan.num_classes)))


def one_line(error: BaseException) -> str:
    """Bring an error's message, which may be a list of complaints or a stack of C++, to a line."""
    lines = [line.strip() for line in str(error).splitlines()]
    complaints = [line[2:] for line in lines if line.startswith("- ")]
    if complaints:
        # behind the complaints stand what they cost and what would be right
        return ". ".join(["; ".join(complaints), *(line.rstrip(".") for line in lines[1:]
                                                   if not line.startswith("- "))])
    failed = next((line for line in lines if "Check failed: " in line), None)
    if failed is None:
        mxnet = [line for line in lines if line.startswith("MXNetError: ")]
        return next((line for line in (*mxnet, *lines) if line), "no message")
    # MXNet writes "Error in operator NAME: ... Check failed: condition in C++: what it means"
    where = re.search(r"Error in operator ([^\s:]+)", failed)
    reason = failed.rpartition("Check failed: ")[2]
    reason = (reason.partition(": ")[2] or reason).strip()
    return f"at node {where.group(1)!r}: {reason}" if where else reason
