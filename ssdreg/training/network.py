"""The network a training run is about: its plan, and its symbols to train and to deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ssdreg.detector.build import design
from ssdreg.detector.built import BuiltBackbone
from ssdreg.detector.overrides import DERIVED, PER_LEVEL, SCALARS, Overrides
from ssdreg.detector.plan import OWN_HEAD, Plan
from ssdreg.errors import RunError
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import Head
from ssdreg.registry.names import get_backbone
from ssdreg.runs.params import Params
from ssdreg.runs.run import Run

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False)
class Network:
    """A detector to be trained; see `ssdreg.build` for what the two symbols compute."""

    plan: Plan
    train: mx.sym.Symbol
    deploy: mx.sym.Symbol


def build_network(backbone: Backbone | BuiltBackbone, num_classes: int,
                  data_shape: int | tuple[int, int], head: str | Head = "ssd",
                  overrides: Overrides = DERIVED) -> Network:
    """Plan and verify once, assemble both symbols. What is raised is what `ssdreg.build` raises."""
    detector = design(backbone, num_classes, data_shape, head, overrides)
    detector.verify()
    return Network(detector.plan, detector.symbol("train"), detector.symbol("deploy"))


@frozen(eq=False)
class Continued(Network):
    """A detector whose network is trained on: a run's, or one that is declared with its weights."""

    name: str
    params: Params

    @classmethod
    def of_run(cls, run: Run) -> Continued:
        """Open a run's best epoch."""
        return cls(run.plan, run.load_symbol("ssd"), run.load_symbol(), str(run.path),
                   run.load_params())


def network_of(continued: Continued, num_classes: int) -> Network:
    """Take a network as it is; for other classes, build it anew with the same numbers.

    Raises RunError when that cannot be: the network is a checkpoint's own, which ssdreg runs and
    trains but does not build.
    """
    plan = continued.plan
    if num_classes == plan.num_classes:
        return continued
    if plan.head == OWN_HEAD:
        raise RunError(f"the network of {continued.name} is its checkpoint's own, which detects "
                       f"{plan.num_classes} classes, and the data have {num_classes}: name a "
                       f"--backbone to build another network that starts from it")
    return network_of_plan(plan, num_classes)


def network_of_plan(plan: Plan, num_classes: int) -> Network:
    """Build the network of a plan, with its numbers, for so many classes.

    Raises what `ssdreg.build` raises.
    """
    settings = {name: getattr(plan, name) for name in ("from_layers", *PER_LEVEL, *SCALARS)}
    if not settings["projections"]:  # a run older than this field
        del settings["projections"]
    return build_network(get_backbone(plan.backbone), num_classes, plan.data_shape, plan.head,
                         Overrides(**settings))

