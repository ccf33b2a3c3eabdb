"""The memory of a training: what is computed again, what is free, the largest batch that fits."""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import numpy as np
import pytest
from support.runs import SMALL

import ssdreg
from ssdreg.engines import MXNET
from ssdreg.errors import RunError
from ssdreg.mx import mx
from ssdreg.registry.device import CPU, Device
from ssdreg.registry.engine import Engine
from ssdreg.registry.names import get_engine
from ssdreg.training import mxnet_learner
from ssdreg.training.graphs import rewritten
from ssdreg.training.learner import Lesson, check_recomputation, prepare_lesson
from ssdreg.training.memory import Need, planned
from ssdreg.training.mxnet_learner import MXNetLearner
from ssdreg.training.network import build_network
from ssdreg.training.options import TrainOptions
from ssdreg.training.start import draw

SIDE = 96


def lesson(batch: int = 4, **options: object) -> Lesson:
    recipe = TrainOptions(batch_size=batch, **options)  # type: ignore[arg-type]
    return prepare_lesson(build_network("resnet18", 3, SIDE), recipe, (Device(CPU),), "float32", {
        "data": (batch, 3, SIDE, SIDE), "label": (batch, 4, 6)})


def plan_of(about: Lesson, recompute: bool) -> float:
    symbol = rewritten(about.symbol, about.shapes, "float32", recompute)
    return planned(symbol.simple_bind(mx.cpu(), grad_req={
        name: "null" if name in about.shapes else "write" for name in symbol.list_arguments()},
        **about.shapes))


@pytest.fixture(params=[True, False], ids=["AVX-512", "without"])
def wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor has, or seems to have, wide vectors."""
    monkeypatch.setattr("ssdreg.training.graphs.has_wide_vectors", lambda: request.param)
    return bool(request.param)


def test_recomputing_takes_less_memory_where_there_is_what_to_recompute(wide: bool) -> None:
    about = lesson(16)
    kept, recomputed = (plan_of(about, recompute) for recompute in (False, True))
    assert recomputed < 0.95 * kept if wide else recomputed == kept


def test_activations_by_themselves_are_kept() -> None:
    network = build_network("vgg16_reduced", 3, SIDE)
    about = attrs.evolve(lesson(2), symbol=network.train)
    assert plan_of(about, recompute=True) == plan_of(about, recompute=False)


def test_recomputing_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssdreg.training.graphs.has_wide_vectors", lambda: True)
    data = mx.io.DataBatch(
        [mx.nd.array(np.random.default_rng(0).normal(0, 50, (4, 3, SIDE, SIDE)))],
        [mx.nd.array(np.tile([[0, .1, .1, .6, .6, 0]], (4, 4, 1)))], pad=0)
    params = []
    for recompute in (False, True):
        about = lesson(recompute=recompute)
        learner = MXNetLearner(about)
        learner.begin(draw(about))
        for _ in range(2):
            learner.step(data, 1e-3)
        params.append(learner.params())
    for one, other in zip(attrs.astuple(params[0], recurse=False),
                          attrs.astuple(params[1], recurse=False)):
        for name, array in one.items():
            np.testing.assert_array_equal(array.asnumpy(), other[name].asnumpy(), name)


def test_an_engine_that_recomputes_nothing_is_refused() -> None:
    engine = Engine(name="other", summary="another", unmet=lambda devices: "",
                    precisions=lambda device: ("float32",), learner=lambda lesson: None,
                    backend=lambda *arguments: None)
    with pytest.raises(RunError, match=r"--recompute: the engine other .*--engine mxnet"):
        check_recomputation(TrainOptions(recompute=True), engine)
    check_recomputation(TrainOptions(), engine)
    check_recomputation(TrainOptions(recompute=True), get_engine(MXNET))


def test_the_largest_batch_is_said(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    about = lesson(64)
    small = MXNetLearner(lesson(2))
    need = Need.between(*((count, small._need(small._bound_for(count, small._symbol)))
                          for count in (1, 2)))
    memory = need.fixed + 10.5 * need.an_image
    monkeypatch.setattr(mxnet_learner, "available_memory", lambda: memory)
    with pytest.raises(RunError, match=r"a batch of 64 takes .* GiB, and .* GiB of memory are "
                                       r"free: the largest that fits is --batch-size (9|10|11)"
                                       + (", or --recompute, which takes less$" if wide else "$")):
        MXNetLearner(about)
    MXNetLearner(lesson(8))
    monkeypatch.setattr(mxnet_learner, "available_memory", lambda: 1e6)
    with pytest.raises(RunError, match="not even one image fits: choose a smaller --data-shape"):
        MXNetLearner(about)


def test_need_is_a_line() -> None:
    need = Need.between((1, 110.0), (11, 210.0))
    assert (need.fixed, need.an_image) == (100.0, 10.0)
    assert need.largest_batch(155) == 5
    assert need.largest_batch(155, 2) == 4
    assert need.largest_batch(50) == 0
    assert Need(1.0, 0.0).largest_batch(math.inf) == 0


def test_a_batch_that_is_too_large_leaves_no_run(monkeypatch: pytest.MonkeyPatch,
                                                 tiny_shapes: Path, tmp_path: Path) -> None:
    """The same folder takes the next attempt."""
    out = tmp_path / "run"

    def train() -> ssdreg.TrainingResult:
        return ssdreg.train(data=tiny_shapes, out=out, backbone=SMALL, data_shape=SIDE,
                            tap_strides=(8, 16), epochs=1, batch_size=8, engine=MXNET)
    with monkeypatch.context() as patched:
        patched.setattr(mxnet_learner, "available_memory", lambda: 1e6)
        with pytest.raises(RunError, match=r"a batch of 8 takes .* GiB"):
            train()
    assert not out.exists()
    assert train().best_epoch == 1
