"""Training: optimizers as MXNet's, twenty steps of both engines side by side, compiled modules."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import tiny_training  # noqa: E402
from ssdreg_torch import parity, translate  # noqa: E402
from ssdreg_torch.doubled import doubled  # noqa: E402
from ssdreg_torch.optimizers import LAMB, NAG, SGD, Adam, groups  # noqa: E402
from ssdreg_torch.scaling import SLOT  # noqa: E402
from ssdreg_torch.together import train_together, warmed_up  # noqa: E402

from ssdreg.detector.built import BuiltBackbone  # noqa: E402
from ssdreg.graph.nodes import Net  # noqa: E402
from ssdreg.mx import mx  # noqa: E402
from ssdreg.runs.params import Params  # noqa: E402
from ssdreg.testing import one_step  # noqa: E402
from ssdreg.testing.small import smallest_detector  # noqa: E402
from ssdreg.training.learner import step_outputs  # noqa: E402

OPTIMIZERS = {"sgd": (SGD, {"momentum": .9}), "nag": (NAG, {"momentum": .9}), "adam": (Adam, {}),
              "lamb": (LAMB, {})}


def rate(step):
    """Return a rising learning rate, as training starts with."""
    return 1e-3 * min(1, (step + 1) / 5)


@pytest.fixture(scope="module")
def detector():
    return smallest_detector(BuiltBackbone.of("resnet18"))


@pytest.fixture(scope="module")
def symbol(detector):
    return mx.sym.Group([detector.train[name] for name in step_outputs(detector.train)])


@pytest.fixture(scope="module")
def batch(detector):
    return one_step.input_images(detector.plan), one_step.labels(detector.plan)


@pytest.fixture(scope="module")
def params(symbol, batch):
    return parity.initial_params(symbol, *batch)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_mxnets(name):
    """Twenty steps with the same gradients, in float32."""
    generator = np.random.default_rng(1)
    start = generator.normal(0, 1, 1000).astype("float32")
    kind, settings = OPTIMIZERS[name]
    optimizer = mx.optimizer.create(name, wd=1e-2, **settings)
    array, state = mx.nd.array(start), None
    tensor = torch.nn.Parameter(torch.from_numpy(start.copy()))
    learner = kind([tensor], lr=0.0, wd=1e-2, **settings)
    for step in range(20):
        gradient = (generator.normal(0, 1, 1000) * 10. ** generator.integers(-9, 2, 1000)
                    ).astype("float32")
        optimizer.set_learning_rate(rate(step))
        state = optimizer.create_state(0, array) if state is None else state
        optimizer.update(0, array, mx.nd.array(gradient), state)
        tensor.grad = torch.from_numpy(gradient)
        learner.set_rate(rate(step))
        learner.step()
    np.testing.assert_allclose(tensor.detach().numpy(), array.asnumpy(), rtol=1e-5, atol=1e-7)


def train_both(name, steps, symbol, params, batch):
    """Train by both engines in double precision: the losses of each, and both's parameters.

    What is rounding in one step is more in the next: negatives are mined by it, and Adam makes
    steps of the same size of any gradient, of one that is 0 but for rounding too.
    """
    images, label = (array.astype("float64") for array in batch)
    wide, names, inputs = doubled(symbol), list(params.args), ("data", "label")
    kind, settings = OPTIMIZERS[name]
    executor = wide.simple_bind(
        mx.cpu(), data=images.shape, label=label.shape,
        type_dict=dict.fromkeys((*wide.list_arguments(), *params.auxs), images.dtype),
        grad_req={**dict.fromkeys(inputs, "null"), **dict.fromkeys(names, "write")})
    executor.copy_params_from(dict(params.args), dict(params.auxs))
    optimizer = mx.optimizer.create(name, wd=1e-3, sym=wide, rescale_grad=1.0,
                                    param_idx2name=dict(enumerate(names)), **settings)
    updater = mx.optimizer.get_updater(optimizer)
    module = translate(wide, params).double().train()
    learner = kind(groups(module, Net.of(wide)), lr=0.0, wd=1e-3, **settings)
    losses = []
    for step in range(steps):
        picture = np.roll(images, step, axis=3)
        executor.forward(is_train=True, data=mx.nd.array(picture, dtype="float64"),
                         label=mx.nd.array(label, dtype="float64"))
        executor.backward()
        mx.nd.waitall()
        optimizer.set_learning_rate(rate(step))
        for index, key in enumerate(names):
            updater(index, executor.grad_dict[key], executor.arg_dict[key])
        learner.zero_grad()
        _, loss = module(data=torch.from_numpy(picture), label=torch.from_numpy(label))
        loss.backward()
        learner.set_rate(rate(step))
        learner.step()
        losses.append((float(loss.detach()), parity.loss_of(wide, tuple(
            output.asnumpy() for output in executor.outputs))))
    found = {key: tensor for key, tensor in module.arguments().items() if tensor.requires_grad}
    return np.array(losses), {key: (tensor.detach().numpy(), executor.arg_dict[key].asnumpy())
                              for key, tensor in found.items()}


def test_twenty_steps_of_sgd_stay_together(symbol, params, batch):
    losses, found = train_both("sgd", 20, symbol, params, batch)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-4)
    assert losses[-1, 0] < .5 * losses[0, 0]
    for key, (tensor, array) in found.items():
        assert parity.apart(tensor, array) <= 1e-4, key


def test_steps_of_adam_stay_together(symbol, params, batch):
    losses, _ = train_both("adam", 7, symbol, params, batch)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-3)
    assert losses[-1, 0] < .5 * losses[0, 0]


def test_float32_steps_of_both_engines_stay_together():
    """Twenty, with normalisations frozen; `benchmarks/torch_steps.py` takes large networks."""
    case = tiny_training.Case("any")
    batches = [tiny_training.batch(steps=step) for step in range(30)]
    start = warmed_up(tiny_training.lesson(case), batches[:10], 1e-3)
    together = train_together(tiny_training.lesson(case, freeze_norm=True), start, batches[10:],
                              1e-3, (1, 20))
    for apart in together.torch:
        assert apart.loss <= 1e-5
        assert apart.parameters <= 1e-4
    assert [apart.steps for apart in together.rounding] == [1, 20]


def test_decay_and_rates_go_by_mxnets_names(symbol, params):
    module = translate(symbol, params)
    multipliers = {id(tensor): (group["lr_mult"], group["wd_mult"])
                   for group in groups(module, Net.of(symbol)) for tensor in group["params"]}
    optimizer = mx.optimizer.SGD(sym=symbol, wd=1.0, learning_rate=1.0,
                                 param_idx2name=dict(enumerate(params.args)))
    for index, name in enumerate(params.args):
        tensor = module.arguments()[name]
        if tensor.requires_grad:
            assert multipliers[id(tensor)] == (optimizer._get_lr(index), optimizer._get_wd(index))


def test_a_scale_that_is_fixed_is_one_and_does_not_learn():
    symbol = mx.sym.BatchNorm(mx.sym.Variable("data"), fix_gamma=True, name="bn")
    ones = {"bn_gamma": mx.nd.ones(3) * 5, "bn_beta": mx.nd.zeros(3)}
    moments = {"bn_moving_mean": mx.nd.zeros(3), "bn_moving_var": mx.nd.ones(3)}
    module = translate(symbol, Params(ones, moments))
    gamma = module.arguments()["bn_gamma"]
    assert gamma.tolist() == [1, 1, 1]
    assert not gamma.requires_grad


def test_autocast_trains_in_bfloat16(symbol, params, batch):
    images, label = map(torch.from_numpy, batch)
    module = translate(symbol, params).train()
    (precise, *_), loss = module(data=images, label=label)
    with torch.autocast("cpu", torch.bfloat16):
        (rough, _, classes), rough_loss = module(data=images, label=label)
    rough_loss.backward()
    assert loss.dtype == rough_loss.dtype == rough.dtype == classes.dtype == torch.float32
    assert float(rough_loss.detach()) == pytest.approx(float(loss.detach()), rel=.1)
    assert (precise - rough).abs().mean() < .05
    for name, tensor in module.arguments().items():
        if tensor.requires_grad:
            assert torch.isfinite(tensor.grad).all(), name


def in_float16():
    return tiny_training.learner(tiny_training.lesson(
        tiny_training.Case("any", optimizer="adam"), precision="float16"))


def scale_up(taught, updates):
    """Make the next step's gradients overflow; return how many were taken before."""
    slots = taught.optimizer()
    steps = slots[SLOT].asnumpy()[2]
    taught.restore(taught.params(), {**slots, SLOT: mx.nd.array([2.0**100, 0, steps])}, updates)
    return steps


def test_float16_learns_and_leaves_out_steps_that_overflow():
    """By a processor here; the steps of the run go on counting, those of Adam do not."""
    taught = in_float16()
    sums = [taught.step(tiny_training.batch(), 1e-3) for _ in range(6)]
    losses = [each.mean_cls_loss + each.mean_loc_loss for each in sums]
    assert losses[-1] < .95 * losses[0]
    assert scale_up(taught, 6) == 6
    before = taught.params()
    assert np.isfinite(taught.step(tiny_training.batch(), 1e-3).cls_loss)
    after = taught.params()
    assert all(np.array_equal(array.asnumpy(), after.args[name].asnumpy())
               for name, array in before.args.items())
    assert taught.optimizer()[SLOT].asnumpy().tolist() == [2.0**99, 0, 6]


def test_a_run_in_float16_goes_on_with_its_scale_and_its_steps():
    whole, parts = in_float16(), in_float16()
    for taught in (whole, parts):
        for step in range(4):
            if step == 1:
                scale_up(taught, step)
            if step == 2:
                # not again 99 times
                taught.restore(taught.params(), {**taught.optimizer(), SLOT: mx.nd.array(
                    [1024, 0, taught.optimizer()[SLOT].asnumpy()[2]])}, step)
            taught.step(tiny_training.batch(steps=step), 1e-2)
    parts.restore(parts.params(), parts.optimizer(), 4)
    for taught in (whole, parts):
        taught.step(tiny_training.batch(steps=4), 1e-2)
    one, two = (tiny_training.values(taught.params()) for taught in (whole, parts))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    for taught in (whole, parts):
        # of five steps one was left out
        assert taught.optimizer()[SLOT].asnumpy().tolist() == [1024, 3, 4]


def test_a_module_compiles(symbol, params, batch):
    """Into one graph without breaks; what runs it here is PyTorch itself, without a compiler."""
    images, label = map(torch.from_numpy, batch)
    module = translate(symbol, params).train()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    _, loss = compiled(data=images, label=label)
    loss.backward()
    gradients = {name: tensor.grad.clone() for name, tensor in module.named_parameters()
                 if tensor.grad is not None}
    module.zero_grad()
    _, plain = module(data=images, label=label)
    plain.backward()
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-4)
    assert set(gradients) == {name for name, tensor in module.named_parameters()
                              if tensor.grad is not None}
