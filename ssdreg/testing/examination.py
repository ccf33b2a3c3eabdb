"""The examination of one subject: its checks share what is built and run, on first use."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ssdreg.deploy.model import DeployModel
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.declaration import prove
from ssdreg.errors import ConformanceError, SsdregError, UnexaminedError
from ssdreg.graph.finding import complete
from ssdreg.graph.taps import Verification
from ssdreg.registry.backbone import Backbone
from ssdreg.runs.params import Params
from ssdreg.testing.one_step import (
    InferenceOutputs,
    TrainingStep,
    input_images,
    run_inference,
    train_one_step,
)
from ssdreg.testing.small import SmallDetector, smallest_detector
from ssdreg.testing.verdict import AnySubject, Subject, Verdict

if TYPE_CHECKING:
    import numpy as np

    from ssdreg.mx import mx

#: The factor on weights drawn as by He et al. (2015) that keeps a map's variance without ReLU.
PARAMETER_SCALE = 0.7


@frozen
class Check:
    """One promise: `run` raises ConformanceError where it is broken.

    `needs` are the checks that must pass before this one is run.
    """

    name: str
    promise: str
    run: Callable[[Any], None]
    needs: tuple[Check, ...] = ()


class Verdicts:
    """The verdicts on one subject: every check is run once, behind those that it needs.

    What a check's function is called with is the subclass, which has what the checks share.
    """

    def __init__(self, subject: AnySubject) -> None:
        self._whose = subject
        self._verdicts: dict[str, Verdict] = {}

    def verdict(self, check: Check) -> Verdict:
        """Return the verdict of a check; the checks that it needs are run before it."""
        if check.name not in self._verdicts:
            self._verdicts[check.name] = self._run(check)
        return self._verdicts[check.name]

    def _run(self, check: Check) -> Verdict:
        failed = tuple(need.name for need in check.needs if not self.verdict(need).passed)
        issue, unexamined = None, ""
        try:
            issue = None if failed else self._issue(check)
        except UnexaminedError as error:
            unexamined = str(error)
        return Verdict(self._whose.plugin, self._whose.title, check.name, issue, failed, unexamined)

    def _issue(self, check: Check) -> str | None:
        try:
            check.run(self)
        except UnexaminedError:
            raise
        except ConformanceError as error:
            return str(error)
        except SsdregError as error:
            return one_line(error)
        except Exception as error:  # a plug-in's code may raise anything
            return f"{type(error).__name__}: {one_line(error)}"
        return None


class Examination(Verdicts):
    """The objects that the checks of one backbone or head share, and their verdicts.

    The network is trained for one step once, and bound for inference once. That takes up to a
    gigabyte for a large network: delete an examination before the next.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self.subject = subject
        self._verifications: dict[tuple[int, int], Verification] = {}

    @property
    def backbone(self) -> Backbone:
        """The backbone, with its taps and tap strides filled in."""
        return complete(self.subject.backbone)

    @cached_property
    def symbol(self) -> mx.sym.Symbol:
        """The backbone's own symbol."""
        return self.subject.backbone.symbol()

    @cached_property
    def built(self) -> BuiltBackbone:
        """The backbone with that symbol, read."""
        return BuiltBackbone.read(self.subject.backbone, self.symbol)

    def verify(self, data_shape: tuple[int, int]) -> Verification:
        """Verify the declaration on the graph at this input (height, width).

        Raises TapError as :func:`ssdreg.verify_backbone` does.
        """
        if data_shape not in self._verifications:
            self._verifications[data_shape] = prove(self.built.at(data_shape))
        return self._verifications[data_shape]

    @cached_property
    def detector(self) -> SmallDetector:
        """A small detector with this backbone."""
        return smallest_detector(self.built, self.subject.head or "ssd")

    @cached_property
    def images(self) -> np.ndarray:
        """A batch of input for the detector, (B, 3, H, W) float32."""
        return input_images(self.detector.plan)

    @cached_property
    def training_step(self) -> TrainingStep:
        """One step of training."""
        return train_one_step(self.detector, self.images)

    @cached_property
    def inference(self) -> InferenceOutputs:
        """The detector's outputs after that step."""
        return run_inference(self.detector, self.training_step.params, self.images)

    @cached_property
    def deploy_model(self) -> DeployModel:
        """The detector after the step, with scaled parameters.

        Unscaled, scores may be almost 1 and boxes almost infinite, and rounding decides.
        """
        detector, params = self.detector, self.training_step.params
        scaled = {name: array * PARAMETER_SCALE for name, array in params.args.items()}
        return DeployModel(self.subject.title, detector.deploy, Params(scaled, params.auxs),
                           detector.plan,
                           tuple(f"class {index}" for index in range(detector.plan.num_classes)))


def one_line(error: BaseException) -> str:
    """Return an error's message, which may be a list of complaints or a C++ stack, as one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    complaints = [line[2:] for line in lines if line.startswith("- ")]
    if complaints:
        # the lines after the complaints state their cost and the right taps
        return ". ".join(["; ".join(complaints), *(line.rstrip(".") for line in lines[1:]
                                                   if not line.startswith("- "))])
    failed = next((line for line in lines if "Check failed: " in line), None)
    if failed is None:
        mxnet = [line for line in lines if line.startswith("MXNetError: ")]
        return next((line for line in (*mxnet, *lines) if line), "no message")
    # MXNet writes "Error in operator NAME: ... Check failed: condition in C++: what it means"
    node = re.search(r"Error in operator ([^\s:]+)", failed)
    reason = failed.rpartition("Check failed: ")[2]
    reason = (reason.partition(": ")[2] or reason).strip()
    return f"at node {node.group(1)!r}: {reason}" if node else reason
