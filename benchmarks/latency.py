"""How fast ssdreg detects beside its peers, all of them measured in turns in one run.

    python benchmarks/latency.py                     # resnet50 at 300x300, batch 1 and 8
    python benchmarks/latency.py --post              # what post-processing takes, at 512x512
    python benchmarks/latency.py --backbone vgg16_reduced --batch 1 --rounds 10 --chart bars.svg

Every engine is a process of its own, and one works at a time, in rounds, each round in an order of
its own (see ssdreg/bench/). Beside every backend and precision of `ssdreg bench` stand

- plain: the same symbol and weights bound as the Detector of MXNet's SSD example binds them, in a
  process that imports MXNet and sets nothing; its inputs are normalised already. All ratios are
  to it. "plain, for inference" is the same but for `for_training=False`.
- GluonCV's SSD preset (--preset), at the same input size, also without any of our settings, where
  GluonCV can be imported; --gluoncv-python names another Python that has it
- PyTorch: the same network stated with PyTorch's operators and the same weights, which first
  proves that its predictions are MXNet's; as it is written, by TorchScript, and by torch.compile.
  Where PyTorch is in another Python, --torch-python names it; that needs only torch and numpy.

Weights are random, of the rule in ssdreg/deploy/random_params.py. Targets, as ratios to plain:
float32 0.50, bfloat16 0.26, int8 0.16, each by the best backend, and 5 % of the float32 time for
post-processing. Measure on a machine that does nothing else: a run takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from attrs import evolve

from ssdreg.bench import tables
from ssdreg.bench.comparison import (
    Settings,
    compare,
    describe_machine,
    engine_task,
    make_models,
)
from ssdreg.bench.configurations import choose
from ssdreg.bench.figures import Configuration, Figures, Missing, Row, make_rows
from ssdreg.bench.measure import Listener, Schedule, measure
from ssdreg.bench.peak import SIDES, measure_peaks
from ssdreg.bench.progress import BenchProgress
from ssdreg.bench.settings import environment, thread_count
from ssdreg.bench.workers import Task
from ssdreg.bench.workload import (
    PreparedWorkload,
    batches,
    drawn_images,
    prepare_workload,
    read_images,
)
from ssdreg.cli.commands import arguments
from ssdreg.cli.progress import Console
from ssdreg.deploy.model import DeployModel, random_deploy_model
from ssdreg.drawing.latency_chart import check_chart, draw_chart
from ssdreg.errors import SsdregError

HERE = Path(__file__).parent
#: The most that the best of ours may take, in times of plain.
TARGETS = {"float32": 0.50, "bfloat16": 0.26, "int8": 0.16}
POST_TARGET = 0.05
#: The detector that post-processing is measured with: 24,576 anchors.
POST_DETECTOR = ("vgg16_reduced", 80, 512)

PLAIN = Configuration("plain mxnet", "float32")
PLAIN_INFERENCE = Configuration("plain mxnet, for inference", "float32")
GLUONCV = Configuration("gluoncv", "float32")
TORCH = tuple(Configuration(f"torch {mode}", "float32") for mode in ("eager", "jit", "compile"))


def main() -> int:
    """Measure, print, and say which targets are met."""
    options = parser().parse_args()
    try:
        if options.chart is not None:
            check_chart(options.chart)
        with tempfile.TemporaryDirectory(prefix="ssdreg-latency-") as folder, \
                BenchProgress(Console()) as report:
            measured = (measure_post_processing if options.post else measure_latency)(
                options, Path(folder), report)
    except SsdregError as error:
        print(f"latency: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(measured.to_dict(), indent=2, ensure_ascii=False))
    else:
        print((tables.markdown if options.markdown else tables.text)(measured))
        print()
        print("\n".join(verdicts(measured)))
    if options.chart is not None:
        draw_chart(measured, options.chart)
    return 0


def parser() -> argparse.ArgumentParser:
    """Declare the options."""
    found = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--backbone", default="resnet50")
    found.add_argument("--data-shape", type=arguments.shape, default=300, metavar="SIDE|HxW")
    found.add_argument("--classes", type=int, default=20)
    found.add_argument("--batch", type=arguments.numbers, default=(1, 8), metavar="SIZES")
    found.add_argument("--backends", type=_names, default=())
    found.add_argument("--precisions", type=_names, default=())
    found.add_argument("--rounds", type=int, default=20)
    found.add_argument("--threads", type=int, help="of ours and PyTorch; the real cores by default")
    found.add_argument("--images", type=Path, help="a folder of photos; drawn ones by default")
    found.add_argument("--preset", default="ssd_512_resnet50_v1_voc", help="of GluonCV")
    found.add_argument("--gluoncv-python", default=sys.executable, metavar="PATH")
    found.add_argument("--torch-python", default=sys.executable, metavar="PATH")
    found.add_argument("--post", action="store_true", help="measure post-processing instead")
    found.add_argument("--no-peak", action="store_true")
    found.add_argument("--markdown", action="store_true")
    found.add_argument("--json", action="store_true")
    found.add_argument("--chart", type=Path, metavar="FILE", help="draw an .svg or .png")
    return found


def measure_post_processing(options: argparse.Namespace, folder: Path, report: Listener) -> Figures:
    """Measure ours alone, whole and cut off, with as many anchors and classes as the target has."""
    source = random_deploy_model(*POST_DETECTOR)
    prepared = prepare_workload(source, _images(options, source), folder)
    settings = Settings(batches=(1,), threads=options.threads,
                        schedule=Schedule(rounds=options.rounds), post=True)
    return compare(prepared, choose(options.backends, ("float32",)), settings, folder, report)


def measure_latency(options: argparse.Namespace, folder: Path, report: Listener) -> Figures:
    """Measure ours and the peers, all in the same rounds."""
    source = random_deploy_model(options.backbone, options.classes, options.data_shape)
    prepared = prepare_workload(source, _images(options, source), folder)
    choice = choose(options.backends, options.precisions)
    schedule = Schedule(rounds=options.rounds)
    peaks = measure_peaks(dict.fromkeys(each.precision for each in choice.configurations),
                          options.threads, () if options.no_peak else SIDES, report)
    rows: list[Row] = []
    missing = list(choice.missing)
    for batch in dict.fromkeys(options.batch):
        beside = folder / f"peers{batch}"
        peers, absent = peer_tasks(options, source, prepared, batch, beside)
        made = make_models(choice.configurations, prepared, batch, folder / f"batch{batch}", report)
        ours = {each: engine_task(each, made.paths[each.name], prepared, batch, options.threads)
                for each in choice.configurations if each.name in made.paths}
        first = {PLAIN: peers.pop(PLAIN), PLAIN_INFERENCE: peers.pop(PLAIN_INFERENCE)}
        tasks = {**first, **ours, **peers}
        found = measure(tuple(tasks.values()), schedule, report)
        if PLAIN.name not in found.times:
            raise SsdregError(f"{PLAIN.name}: {found.failures[PLAIN.name]}")
        # the multiply-adds are those of our network, not of GluonCV's
        rows += [evolve(row, gflops=None, share=None) if row.configuration == GLUONCV else row
                 for row in make_rows(tuple(tasks), found.times, batch,
                                      prepared.workload.multiply_adds, peaks)]
        failures = {**made.failures, **found.failures}
        missing += [Missing(each, failures[each.name], batch)
                    for each in (*first, *choice.configurations, *peers) if each.name in failures]
        missing += absent
    return Figures(prepared.workload, describe_machine(options.threads), schedule.rounds,
                   schedule.timed, tuple(rows), tuple(dict.fromkeys(missing)), peaks)


def peer_tasks(options: argparse.Namespace, source: DeployModel, prepared: PreparedWorkload,
               batch: int, folder: Path) -> tuple[dict[Configuration, Task], list[Missing]]:
    """Write what peers read into `folder`; return those that can run, and why others cannot."""
    folder.mkdir(parents=True)
    expected = write_peer_files(source, prepared, batch, folder)
    shape = [batch, 3, *source.plan.data_shape]
    tasks: dict[Configuration, Task] = {}
    missing: list[Missing] = []
    for configuration, for_inference in ((PLAIN, False), (PLAIN_INFERENCE, True)):
        tasks[configuration] = plain_task(configuration, sys.executable, {
            "what": "example", "prefix": str(prepared.folder / "ssd"), "epoch": 1, "shape": shape,
            "for_inference": for_inference, "inputs": str(expected)})
    if can_import(options.gluoncv_python, "mxnet", "gluoncv"):
        tasks[GLUONCV] = plain_task(GLUONCV, options.gluoncv_python, {
            "what": "gluoncv", "preset": options.preset, "inputs": str(expected)})
    else:
        missing.append(Missing(GLUONCV, "not installed: run `pip install gluoncv==0.10.5`, or "
                                        "name a Python that has it by --gluoncv-python"))
    for configuration in TORCH:
        if not can_import(options.torch_python, "torch", "numpy"):
            missing.append(Missing(configuration,
                                   "PyTorch is not installed: name a Python that has "
                                              "it by --torch-python"))
            continue
        tasks[configuration] = torch_task(configuration, options.torch_python, source, batch,
                                          folder, options.threads)
    return tasks, missing


def write_peer_files(source: DeployModel, prepared: PreparedWorkload, batch: int,
                     folder: Path) -> Path:
    """Write the network for PyTorch, what MXNet makes of the first batch, and plain's inputs.

    Returns the file of the inputs, (n, batch, 3, H, W) float32.
    """
    from ssdreg.deploy.executor import Inference
    from ssdreg.mx import mx
    images = np.load(prepared.images)
    preprocessing = source.plan.preprocessing
    mean, std = (np.array(each, "float32") for each in (preprocessing.mean, preprocessing.std))
    inputs = np.stack([((each - mean) / std).transpose(0, 3, 1, 2)
                       for each in batches(images[:8], batch)])
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "images.npy", images)
    (folder / "symbol.json").write_text(source.symbol.tojson(), encoding="utf-8")
    np.savez(folder / "params.npz", **{name: array.asnumpy() for name, array in
                                       {**source.params.args, **source.params.auxs}.items()})
    children = source.symbol.get_children()
    expected = {}
    for name, part in zip(("probabilities", "offsets", "anchors", "detection"),
                          (*children, source.symbol)):
        bound = Inference(part, source.params, batch, source.plan.data_shape)
        expected[name] = bound.detect(mx.nd.array(inputs[0]))
    np.savez(folder / "expected.npz", **expected)
    return folder / "inputs.npy"


def plain_task(configuration: Configuration, python: str, job: dict[str, object]) -> Task:
    """Return a worker in whose environment nothing is set for MXNet or OpenMP."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("OMP_", "GOMP_", "KMP_", "MXNET_", "OPENBLAS_"))}
    return Task(configuration.name, (python, str(HERE / "latency_plain.py")), job, kept)


def torch_task(configuration: Configuration, python: str, source: DeployModel, batch: int,
               folder: Path, threads: int | None) -> Task:
    """Return a worker that runs the network stated in PyTorch."""
    preprocessing = source.plan.preprocessing
    job = {"folder": str(folder), "mode": configuration.backend.split()[-1],
           "mean": preprocessing.mean, "std": preprocessing.std, "batch": batch,
           "threads": thread_count(threads)}
    # its compiler works in this process, and leaves none behind
    environ = {**environment(threads), "TORCHINDUCTOR_COMPILE_THREADS": "1",
               "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
    return Task(configuration.name, (python, str(HERE / "latency_torch.py")), job, environ)


def can_import(python: str, *modules: str) -> bool:
    """Tell whether a Python has these modules; they are not imported."""
    asked = ("import sys; from importlib.util import find_spec; "
             "sys.exit(not all(map(find_spec, sys.argv[1:])))")
    try:
        return subprocess.run([python, "-c", asked, *modules], check=False).returncode == 0
    except OSError as error:
        raise SsdregError(f"{python} cannot be started: {error.strerror}") from error


def verdicts(figures: Figures) -> list[str]:
    """Hold the best of ours against the targets, a line each."""
    lines = []
    peers = {PLAIN.backend, PLAIN_INFERENCE.backend, GLUONCV.backend,
             *(each.backend for each in TORCH)}
    for batch in dict.fromkeys(row.batch for row in figures.rows):
        plain = [row for row in figures.rows if row.batch == batch and row.configuration == PLAIN]
        for precision, target in TARGETS.items() if plain else ():
            ours = [row for row in figures.rows if row.batch == batch
                    and row.configuration.precision == precision
                    and row.configuration.backend not in peers]
            if not ours:
                lines.append(f"batch {batch}, {precision}: not measured")
                continue
            best = min(ours, key=lambda row: row.ratio)
            lines.append(f"batch {batch}, {precision}: {best.configuration.backend} takes "
                         f"{best.ratio:.2f} of plain's time, the target is {target:.2f}: "
                         f"{'met' if best.ratio <= target else 'NOT MET'}")
    for post in figures.post:
        lines.append(f"post-processing, {post.configuration.backend}: {post.share:.1%} of "
                     f"{tables.milliseconds(post.whole.median)} ms ({post.difference:.1%} by "
                     f"difference), the target is {POST_TARGET:.0%}: "
                     f"{'met' if post.share <= POST_TARGET else 'NOT MET'}")
    return lines


def _images(options: argparse.Namespace, source: DeployModel) -> np.ndarray:
    if options.images is None:
        return drawn_images(source.plan.data_shape)
    return read_images(options.images, source.plan.data_shape)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


if __name__ == "__main__":
    sys.exit(main())
