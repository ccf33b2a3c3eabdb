"""Training steps that torch.compile takes: what they compute, when they are compiled, and when not.

PyTorch's own backend `aot_eager` stands between the network's source and its code, as the compiler
does, and needs none of C++, which takes a minute for the smallest network.
"""

from __future__ import annotations

import os

import attrs
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from ssdreg_torch import compiling  # noqa: E402
from ssdreg_torch.compiling import TIMED, WARM_UP, Expectation  # noqa: E402

from ssdreg.engines.choice import choose_engine  # noqa: E402
from ssdreg.errors import RunError  # noqa: E402

from tiny_training import RATE, Case, batch, learner, lesson, values  # noqa: E402  # isort: skip

LONG = 10**9


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")


def learn(case, count=8, first=0, before=None, **options):
    """Train some steps; return the learner, and what was told."""
    told = []
    taught = learner(lesson(case, tell=lambda note: told.append(str(note)), **options))
    if before is not None:
        taught.restore(before.params(), before.optimizer(), first)
    for step in range(first, first + count):
        taught.step(batch(steps=step), RATE)
    return taught, told


def apart(one, other):
    one, other = values(one.params()), values(other.params())
    assert one.keys() == other.keys()
    return max(np.abs(one[name] - other[name]).max() for name in one)


@pytest.mark.parametrize("loss", ["softmax", "focal"])
def test_compiled_steps_are_the_same_steps(loss, without_compiler):
    """Without a break in the graph, targets and losses included; with parameters frozen."""
    case = Case("any", loss=loss, optimizer="adam")
    plain, _ = learn(case, freeze="conv0", steps=LONG)
    compiled, told = learn(attrs.evolve(case, compile="on"), freeze="conv0", steps=LONG)
    assert told[0].startswith("compiling the network by torch.compile")
    assert told[1].startswith("compiled in ")
    assert apart(plain, compiled) <= 1e-5
    start, after = (values(each.params()) for each in (learn(case, 0)[0], compiled))
    assert np.array_equal(start["conv0_weight"], after["conv0_weight"])
    assert not np.array_equal(start["conv1_weight"], after["conv1_weight"])


def test_a_compiled_run_goes_on_as_the_same_run(without_compiler):
    case = Case("any", compile="on")
    whole, _ = learn(case, 6)
    begun, _ = learn(case, 3)
    parts, _ = learn(case, 3, first=3, before=begun)
    assert apart(whole, parts) == 0


def test_short_runs_are_not_compiled(without_compiler):
    case = Case("any", compile="auto")
    assert learn(case, steps=100)[1] == []
    assert learn(case, steps=0)[1] == []  # nobody knows how many there are
    assert Expectation(60, .1).pays(2000, .8)
    assert not Expectation(60, .1).pays(1000, .8)


def test_long_runs_are_where_that_is_faster(without_compiler):
    """The same operators through another path take about as long: either may be kept."""
    plain, _ = learn(Case("any"), steps=LONG)
    auto, told = learn(Case("any", compile="auto"), steps=LONG)
    assert len(told) == 2
    assert f"({LONG - WARM_UP - TIMED:,} steps of " in told[0]
    assert told[1].startswith("compiled in ")
    assert "and no faster, so not used: " in told[1] or " s forward and back, " in told[1]
    assert apart(plain, auto) <= 1e-5


def test_without_a_compiler_the_training_goes_on(monkeypatch, tmp_path):
    """PyTorch itself looks for one, and finds none."""
    monkeypatch.setitem(os.environ, "CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(tmp_path / "no-compiler")))
    plain, _ = learn(Case("any"), 2)
    tried, told = learn(Case("any", compile="on"), 2)
    assert len(told) == 2
    assert told[1].startswith("not compiled, the training goes on without: ")
    assert "\n" not in told[1]
    # moments too, though compiling may have begun with a pass
    assert apart(plain, tried) == 0


def test_mxnet_does_not_compile():
    choice = choose_engine("mxnet")
    with pytest.raises(RunError, match="--compile on: the engine mxnet does not compile"):
        choice.check_compile("on")
    choice.check_compile("auto")
