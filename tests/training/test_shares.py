"""Losses of a part of a batch: the same values, and gradients by the part's share of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from ssdreg.detector.overrides import Overrides
from ssdreg.errors import RunError
from ssdreg.mx import mx
from ssdreg.registry.device import CPU, Device
from ssdreg.testing.one_step import labels
from ssdreg.training.graphs.shares import live_moments, with_shares
from ssdreg.training.learner import Lesson, prepare_lesson
from ssdreg.training.network import build_network
from ssdreg.training.options import TrainOptions
from ssdreg.training.start import draw

SIDE, BATCH, OBJECTS, LABELS = 64, 2, 2, 2


def lesson(loss: str | None = None, **options: object) -> Lesson:
    network = build_network("resnet18", 3, SIDE, "ssd",
                            Overrides(tap_strides=(8, 16), loss=loss, box_loss="giou"))
    recipe = TrainOptions(batch_size=BATCH, **options)  # type: ignore[arg-type]
    return prepare_lesson(network, recipe, (Device(CPU),), "float32", {
        "data": (BATCH, 3, SIDE, SIDE), "label": (BATCH, OBJECTS, 6)})


def run(symbol: mx.sym.Symbol, about: Lesson, shares: dict[str, float]
        ) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Return what a symbol computes, and the gradients of its parameters."""
    params = draw(about)
    executor = symbol.simple_bind(mx.cpu(), **about.shapes)
    executor.copy_params_from(params.args, params.auxs)
    for name, value in shares.items():
        executor.arg_dict[name][:] = value
    images = np.random.default_rng(0).normal(0, 1, about.shapes["data"])
    objects = np.pad(labels(about.plan)[:1, :OBJECTS], ((0, 0), (0, 0), (0, 1))).repeat(BATCH, 0)
    outputs = executor.forward(is_train=True, data=mx.nd.array(images),
                               label=mx.nd.array(objects))
    executor.backward()
    return ([output.asnumpy() for output in outputs],
            {name: array.asnumpy() for name, array in executor.grad_dict.items()
             if name in params.args})


def test_gradients_are_multiplied_and_values_are_not():
    about = lesson()
    shared = with_shares(about.symbol, LABELS)
    assert set(shared.inputs) == {1, LABELS}  # boxes by their loss, classes by their labels
    values, gradients = run(about.symbol, about, {})
    for_part, of_part = run(shared.symbol, about, dict.fromkeys(shared.inputs.values(), 0.25))
    for value, other in zip(values, for_part):
        np.testing.assert_array_equal(value, other)
    for name, gradient in gradients.items():
        # a power of two: not a bit is lost
        np.testing.assert_array_equal(of_part[name], 0.25 * gradient)
    classes, = run(shared.symbol, about, {shared.inputs[LABELS]: 1.0, shared.inputs[1]: 0.0})[1:]
    offsets = [name for name in classes if "loc_pred" in name]
    assert offsets
    for name in offsets:
        assert not classes[name].any()


def test_a_loss_that_is_divided_by_something_else_is_refused():
    with pytest.raises(RunError, match="choose --engine torch, another --loss, or one process"):
        with_shares(lesson("focal").symbol, LABELS)


def test_moments_are_live_unless_they_are_frozen():
    live, frozen = live_moments(lesson().symbol), live_moments(lesson(freeze_norm=True).symbol)
    assert set(frozen) < set(live)
    assert len(live) % 2 == 0
    assert all("_moving_" in name for name in live)
