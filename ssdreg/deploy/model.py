"""What is deployed: a deploy symbol with its parameters, its plan and its classes' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from ssdreg.deploy.pretrained import PretrainedDetector, named_detector, open_pretrained
from ssdreg.detector.by_class import find_detection_by_class
from ssdreg.detector.overrides import DERIVED, Overrides
from ssdreg.detector.plan import Plan
from ssdreg.detector.post_processing import PostProcessing
from ssdreg.errors import RunError
from ssdreg.graph.nodes import Net
from ssdreg.graph.operators import DETECTION
from ssdreg.graph.symbol_file import reason_of
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.params import Params
from ssdreg.runs.run import CONFIG, Run, open_run

if TYPE_CHECKING:
    from ssdreg.mx import mx


@frozen(eq=False)
class DeployModel:
    """A detector that is ready to be deployed.

    `symbol` has the input ``data`` (B, 3, H, W), float32 and normalised as the plan says, and the
    output ``detection`` (B, N, 6); `name` is what messages call it.
    """

    name: str
    symbol: mx.sym.Symbol = field(repr=False)
    params: Params = field(repr=False)
    plan: Plan = field(repr=False)
    classes: tuple[str, ...]

    @property
    def post_processing(self) -> PostProcessing:
        """What its symbol does to predictions; the plan's where it does not end in detections."""
        net = Net.of(self.symbol)
        if net.last.op == DETECTION:
            return PostProcessing.read(net.last.attrs)
        by_class = find_detection_by_class(net)
        return by_class.rules.summary if by_class else self.plan.post_processing


def open_deploy_model(path: str | Path, epoch: int | None = None,
                      classes: Sequence[str] | None = None,
                      data_shape: int | tuple[int, int] | None = None,
                      preprocessing: Preprocessing | None = None) -> DeployModel:
    """Open a run's folder, a checkpoint, or a detector that is declared with its weights.

    The arguments are `ssdreg.load_checkpoint`'s, and `path` may be a name of
    `ssdreg.list_detectors`, whose weights are fetched if need be. A run and such a detector know
    their classes, input size and normalisation; they are for checkpoints. Raises RunError, a
    sentence, for anything else and for a symbol without parameters, and WeightsError where weights
    cannot be fetched.
    """
    named = _named(path, epoch, classes, data_shape, preprocessing)
    if named is not None:
        return _of_pretrained(named)
    folder = Path(path)
    if (folder / CONFIG).is_file():
        return _of_run(_open_run(folder, classes, data_shape, preprocessing), epoch)
    return _of_checkpoint(folder, epoch, classes, data_shape, preprocessing)[0]


def open_trainable(path: str | Path, epoch: int | None = None,
                   classes: Sequence[str] | None = None,
                   data_shape: int | tuple[int, int] | None = None,
                   preprocessing: Preprocessing | None = None
                   ) -> tuple[DeployModel, mx.sym.Symbol]:
    """Open what `open_deploy_model` opens, with its training symbol.

    Raises RunError, a sentence, also for a run that cannot be trained.
    """
    named = _named(path, epoch, classes, data_shape, preprocessing)
    if named is not None:
        return _of_pretrained(named), named.train
    folder = Path(path)
    if (folder / CONFIG).is_file():
        run = _open_run(folder, classes, data_shape, preprocessing)
        return _of_run(run, epoch), run.load_symbol("ssd")
    return _of_checkpoint(folder, epoch, classes, data_shape, preprocessing)


def _named(path: str | Path, epoch: int | None, classes: Sequence[str] | None,
           data_shape: int | tuple[int, int] | None, preprocessing: Preprocessing | None
           ) -> PretrainedDetector | None:
    """Open the detector that a text names; None where it names a file, a folder, or nothing."""
    declared = named_detector(path)
    if declared is None:
        return None
    if epoch is not None:
        raise RunError(f"{declared.name} is a detector with the weights of one epoch: leave "
                       f"--epoch out")
    if (classes, data_shape, preprocessing) != (None, None, None):
        raise RunError(f"{declared.name} is a detector that knows its classes, input size and "
                       f"normalisation: these are given for checkpoints only")
    return open_pretrained(declared)


def _of_pretrained(opened: PretrainedDetector) -> DeployModel:
    return DeployModel(opened.declared.name, opened.deploy, opened.params, opened.plan,
                       opened.declared.classes)


def _open_run(folder: Path, classes: Sequence[str] | None,
              data_shape: int | tuple[int, int] | None, preprocessing: Preprocessing | None) -> Run:
    if (classes, data_shape, preprocessing) != (None, None, None):
        raise RunError(f"{folder} is a run, which knows its classes, input size and "
                       f"normalisation: these are given for checkpoints only")
    return open_run(folder)


def _of_run(run: Run, epoch: int | None) -> DeployModel:
    symbol = run.load_symbol()
    _check_anchors(run, symbol)
    return DeployModel(str(run.path), symbol, run.load_params(epoch), run.plan, run.classes)


def _check_anchors(run: Run, symbol: mx.sym.Symbol) -> None:
    """Raise RunError where a run's symbol has other anchors than its plan at the plan's input size.

    What a plan says of its input is known to nothing else: a network runs on any size.
    """
    if Net.of(symbol).last.op != DETECTION:
        return
    height, width = run.plan.data_shape
    try:
        outputs = symbol.infer_shape(data=(1, 3, height, width))[1]
    except (RuntimeError, UnicodeError) as error:
        raise RunError(f"the symbol of {run.path} cannot be run on pictures of {height}x{width} "
                       f"pixels: {reason_of(error)}") from error
    # None where a shape does not follow from the picture's
    anchors = outputs[0][1] if outputs else 0
    if anchors != run.plan.anchors:
        raise RunError(f"{run.path} has a plan of {run.plan.anchors:,} anchors, and a symbol that "
                       f"makes {anchors:,} of pictures of {height}x{width} pixels: one of its "
                       f"files is damaged, or of another run")


def _of_checkpoint(folder: Path, epoch: int | None, classes: Sequence[str] | None,
                   data_shape: int | tuple[int, int] | None, preprocessing: Preprocessing | None
                   ) -> tuple[DeployModel, mx.sym.Symbol]:
    """Read a checkpoint: what is deployed of it, and its training symbol."""
    from ssdreg.checkpoints import load_checkpoint
    checkpoint = load_checkpoint(folder, epoch, classes, data_shape, preprocessing)
    if checkpoint.params is None:
        raise RunError(f"{folder} is a symbol without parameters: there is nothing to deploy; "
                       f"give the .params file that belongs to it, beside it")
    model = DeployModel(str(folder), checkpoint.symbol, checkpoint.params, checkpoint.plan,
                        checkpoint.classes)
    return model, checkpoint.train_symbol


def random_deploy_model(backbone: str | Backbone, num_classes: int = 20,
                        data_shape: int | tuple[int, int] = 300, head: str = "ssd",
                        overrides: Overrides = DERIVED) -> DeployModel:
    """Build a detector with random parameters, for measuring what its network costs.

    The arguments are those of `ssdreg.build`, which also says what is raised.
    """
    from ssdreg.deploy.random_params import random_params
    from ssdreg.detector.build import design
    designed = design(backbone, num_classes, data_shape, head, overrides)
    designed.verify()
    symbol, plan = designed.symbol("deploy"), designed.plan
    return DeployModel(plan.backbone, symbol, random_params(symbol, plan.data_shape), plan,
                       tuple(f"class {index}" for index in range(plan.num_classes)))
