"""Do exported detectors find what MXNet finds? Every backbone on real photos, as a table.

    python benchmarks/parity.py [--backbones A,B,...] [--images DIR] [--small] [--threads N]

Every registered backbone gets the head ssd, a few get the other heads too, and random parameters
that depend on their names alone (`ssdreg.deploy.random_params`). Deep networks with those hardly
look at the photo any more: such a one is compared a second time, "settled", with the running
moments of batch normalisation that these photos make, as training would, and as much more variance
as still lets scores differ by `LEAST_SPREAD` from photo to photo: with less, deep networks are
chaotic.

Each detector is written as ONNX twice, for one image at a time and for any number, at 300x300 and
at 256x384 (height x width). MXNet, ONNX Runtime and OpenVINO, all in float32, look at 8 photos one
by one and in batches of 4, and `ssdreg.exporting.parity` compares what they find row by row. The
photos are the first of `--images`, of shared/data/bccd beside the repository by default; where that
is not, drawn ones.

Prints a Markdown table: backbones with their head, boxes of MXNet that were compared, the largest
differences of scores and coordinates (shares of the image) of each runtime, and ties: rows that
stand in another place among equal scores, or are on one side only because a number lies at a limit
of suppression, which is proved one by one. The exit status is 1 when anything else differs, or a
detector finds too little for a proof. `--small` is quick: two photos, one small input, no batches.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from attrs import evolve, field, frozen
from ssdreg_runtime.backends import installed
from ssdreg_runtime.io.images import prepare
from ssdreg_runtime.io.pictures import find_images
from ssdreg_runtime.system.threads import choose

from ssdreg.deploy.model import DeployModel, random_deploy_model
from ssdreg.deploy.mxnet_backend import MXNetBackend
from ssdreg.errors import InputShapeError, PlanError
from ssdreg.exporting import Options, write_onnx
from ssdreg.exporting.checking import compare_file
from ssdreg.exporting.parity import Parity
from ssdreg.mx import mx
from ssdreg.registry.names import get_backbone, list_backbones, list_heads
from ssdreg.runs.params import Params
from ssdreg.testing.one_step import batch_norms

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "bccd" / "JPEGImages"
#: Of the mean variance of a layer's channels, what each of them has at least.
LEAST_VARIANCE = 0.1
#: Backbones on which every head is tried.
EVERY_HEAD = ("resnet18", "mobilenetv2", "vgg16_reduced")
#: A detector whose scores of one rank differ less from photo to photo hardly looks at them.
LEAST_SPREAD = 5e-4
#: The most that variances are multiplied by, so that differences do not grow from layer to layer.
DAMPING = 2.0
#: How often the range of what they are multiplied by is halved.
HALVINGS = 6
#: A proof from fewer boxes than this a photo would be none.
LEAST_BOXES = 20


@frozen
class Setting:
    """How much is compared; `settles` where a detector may be compared settled too."""

    photos: int
    shapes: tuple[tuple[int, int], ...]
    batches: tuple[int | None, ...]
    settles: bool


FULL = Setting(8, ((300, 300), (256, 384)), (1, None), settles=True)
# two photos are too few to settle moments by, at maps of one cell
SMALL = Setting(2, ((128, 160),), (1,), settles=False)
#: For backbones that do not take the small input.
LARGER = (224, 256)


@frozen
class Row:
    """A detector's line: what was found by runtime, and where a file was too small a proof."""

    name: str
    found: dict[str, Parity]
    issues: tuple[str, ...] = field(default=())

    @property
    def equal(self) -> bool:
        """Whether every runtime found the same, and enough of it."""
        return not self.issues and all(each.equal for each in self.found.values())


def look(name: str, head: str, setting: Setting, files: Sequence[Path], folder: Path,
         threads: int) -> Iterator[Row]:
    """Compare one detector, and once more with settled parameters where that says more."""
    title = name if head == "ssd" else f"{name} with {head}"
    sources = [detector(name, head, shape) for shape in setting.shapes]
    images = [np.stack([prepare(file, source.plan.data_shape).pixels for file in files])
              for source in sources]
    yield compare_all(title, sources, images, setting, folder, threads)
    if (setting.settles and batch_norms(sources[0].symbol)
            and spread(sources[0], images[0]) < LEAST_SPREAD):
        again = [settled(source, batch) for source, batch in zip(sources, images)]
        yield compare_all(f"{title}, settled", again, images, setting, folder, threads)


def detector(name: str, head: str, shape: tuple[int, int]) -> DeployModel:
    """Return a detector with random parameters."""
    try:
        return random_deploy_model(name, data_shape=shape, head=head)
    except (PlanError, InputShapeError):
        if shape not in SMALL.shapes:
            raise
        return random_deploy_model(name, data_shape=LARGER, head=head)


def spread(source: DeployModel, images: np.ndarray) -> float:
    """Return by how much scores of one rank differ between photos: their standard deviation."""
    found = MXNetBackend(source, len(images)).run(images)
    return float(found[:, :source.plan.nms_topk, 1].std(axis=0).mean())


def settled(source: DeployModel, images: np.ndarray) -> DeployModel:
    """Return a detector with the moments of these images, damped as far as it still sees them."""
    found = moments(source, images)
    least, most = 1.0, DAMPING
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        sees = spread(damped(source, found, middle), images) >= LEAST_SPREAD
        least, most = (middle, most) if sees else (least, middle)
    return damped(source, found, least)


def damped(source: DeployModel, found: dict[str, mx.nd.NDArray], damping: float) -> DeployModel:
    """Return a detector with these moments, but variances multiplied."""
    variances = {norm.inputs[4] for norm in batch_norms(source.symbol)}
    return evolve(source, params=Params(source.params.args, {
        name: array * damping if name in variances else array for name, array in found.items()}))


def moments(source: DeployModel, images: np.ndarray) -> dict[str, mx.nd.NDArray]:
    """Return the running moments of a detector that has seen these images many times."""
    mean, std = (np.array(values, "float32").reshape(3, 1, 1) for values in (
        source.plan.preprocessing.mean, source.plan.preprocessing.std))
    data = mx.nd.array((images.transpose(0, 3, 1, 2) - mean) / std)
    predictions = mx.sym.Group(list(source.symbol.get_children())[:2])
    names = dict.fromkeys(predictions.list_arguments(), "null")
    bound = predictions.simple_bind(mx.cpu(), grad_req={**names, "data": "write"},
                                    data=data.shape)
    bound.copy_params_from(dict(source.params.args), dict(source.params.auxs),
                           allow_extra_params=True)
    bound.forward(is_train=True, data=data)
    # which writes the moments, without telling MXNet's engine
    bound.backward([mx.nd.ones(output.shape) for output in bound.outputs])
    mx.nd.waitall()
    found = {name: array.copy() for name, array in bound.aux_dict.items()}
    norms = batch_norms(source.symbol)
    for norm in norms:
        kept = norm.attrs.number("momentum", 0.9)
        for name in norm.inputs[3:5]:
            # those that several share, as a pyramid's levels do, stay as one step leaves them
            if kept < 1 and sum(name in each.inputs for each in norms) == 1:
                found[name] = (found[name] - kept * source.params.auxs[name]) / (1 - kept)
        # a channel that hardly varies among so few photos would be all rounding
        variance = found[norm.inputs[4]]
        found[norm.inputs[4]] = mx.nd.maximum(variance, LEAST_VARIANCE * variance.mean())
    return found


def compare_all(title: str, sources: Sequence[DeployModel], images: Sequence[np.ndarray],
                setting: Setting, folder: Path, threads: int) -> Row:
    """Compare a detector in all shapes and batches of the setting."""
    totals = {name: Parity() for name in installed()}
    issues: list[str] = []
    file = folder / "model.onnx"
    for source, batch in zip(sources, images):
        height, width = source.plan.data_shape
        for size in setting.batches:
            what = f"{height}x{width}, {'batches of 4' if size is None else 'one by one'}"
            write_onnx(source, file, Options(batch=size))
            for name, found in compare_file(source, file, batch, threads).items():
                totals[name] += found
                issues += [f"{what}: {name}: {each}" for each in found.sentences]
                if found.boxes < LEAST_BOXES * len(batch):
                    issues.append(f"{what}: only {found.boxes} boxes to compare")
    return Row(title, totals, tuple(issues))


def photos(folder: Path, count: int, drawn: Path) -> list[Path]:
    """Return the first photos of a folder; drawn ones, written to `drawn`, without it."""
    if folder.is_dir():
        return find_images(folder)[:count]
    from ssdreg.data.synthetic import write_shapes
    write_shapes(drawn, train=count, val=1, size=(384, 320))
    return find_images(drawn / "JPEGImages")[:count]


def detectors(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield backbones with their heads: all with ssd, some with every other head too."""
    others = [head.name for head in list_heads() if head.name != "ssd"]
    for name in names:
        yield name, "ssd"
        yield from ((name, head) for head in others if name in EVERY_HEAD)


def line(name: str, found: dict[str, Parity], verdict: str) -> str:
    """Return a line of the table."""
    boxes = max((each.boxes for each in found.values()), default=0)
    cells = [f"{each.score:.1e} | {each.coordinate:.1e} | {each.ties}" for each in found.values()]
    return f"| {name} | {boxes:,} | {' | '.join(cells)} | {verdict} |"


def main() -> int:
    """Print the table; return 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbones", help="their names, separated by commas; all by default")
    parser.add_argument("--images", type=Path, default=PHOTOS, help="a folder of photos")
    parser.add_argument("--small", action="store_true", help="a quick look")
    parser.add_argument("--threads", type=int, help="of each runtime; all cores by default")
    options = parser.parse_args()
    setting = SMALL if options.small else FULL
    names = ([get_backbone(name).name for name in options.backbones.split(",")]
             if options.backbones else [each.name for each in list_backbones()])
    threads = options.threads or choose({}).count
    runtimes = installed()
    if not runtimes:
        sys.exit("neither ONNX Runtime nor OpenVINO is installed: nothing to compare MXNet with")
    columns = [f"{each}: {what}" for each in runtimes for what in ("scores", "coordinates", "ties")]
    print(f"| backbone | boxes | {' | '.join(columns)} | verdict |")
    print(f"| --- | ---: |{' ---: |' * len(columns)} --- |", flush=True)
    totals, wrong = {name: Parity() for name in runtimes}, []
    with tempfile.TemporaryDirectory() as folder:
        files = photos(options.images, setting.photos, Path(folder, "drawn"))
        for name, head in detectors(names):
            for row in look(name, head, setting, files, Path(folder), threads):
                totals = {key: each + row.found[key] for key, each in totals.items()}
                wrong += [] if row.equal else [row]
                print(line(row.name, row.found, "equal" if row.equal else "DIFFERENT"), flush=True)
    print(line("all", totals, f"{len(wrong)} different" if wrong else "all equal"))
    for row in wrong:
        for issue in row.issues:
            print(f"\n{row.name}: {issue}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
