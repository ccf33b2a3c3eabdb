"""Training: optimizers as MXNet's, twenty steps of both engines side by side, compiled modules."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from ssdreg_torch import parity, translate  # noqa: E402
from ssdreg_torch.doubled import doubled  # noqa: E402
from ssdreg_torch.optimizers import SGD, Adam, groups  # noqa: E402

import ssdreg  # noqa: E402
from ssdreg.detector.built import BuiltBackbone  # noqa: E402
from ssdreg.graph.nodes import Net  # noqa: E402
from ssdreg.mx import mx  # noqa: E402
from ssdreg.testing import one_step  # noqa: E402
from ssdreg.testing.small import smallest_detector  # noqa: E402
from ssdreg.training.trainer import step_outputs  # noqa: E402

STEPS, WARMUP = 20, 5
OPTIMIZERS = {"sgd": (SGD, {"momentum": .9}), "adam": (Adam, {})}


def rates():
    """Return a rising learning rate, as training starts with."""
    return [1e-3 * min(1, (step + 1) / WARMUP) for step in range(STEPS)]


@pytest.fixture(scope="module")
def detector():
    return smallest_detector(BuiltBackbone.of("mobilenet0.25"))


@pytest.fixture(scope="module")
def training(detector):
    """Return a training symbol in double precision, where twenty steps stay together."""
    return doubled(mx.sym.Group([detector.train[name] for name in step_outputs(detector.train)]))


@pytest.fixture(scope="module")
def batch(detector):
    images = one_step.input_images(detector.plan).astype("float64")
    return images, one_step.labels(detector.plan).astype("float64")


@pytest.fixture(scope="module")
def params(detector):
    symbol = mx.sym.Group([detector.train[name] for name in step_outputs(detector.train)])
    return parity.initial_params(symbol, one_step.input_images(detector.plan),
                                 one_step.labels(detector.plan))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_stay_together(name, training, params, batch):
    images, label = batch
    kind, settings = OPTIMIZERS[name]
    names = list(params.args)
    executor = training.simple_bind(
        mx.cpu(), data=images.shape, label=label.shape,
        type_dict=dict.fromkeys((*training.list_arguments(), *params.auxs), images.dtype),
        grad_req={**dict.fromkeys(("data", "label"), "null"), **dict.fromkeys(names, "write")})
    executor.copy_params_from(dict(params.args), dict(params.auxs))
    optimizer = mx.optimizer.create(name, wd=1e-3, sym=training, rescale_grad=1.0,
                                    param_idx2name=dict(enumerate(names)), **settings)
    updater = mx.optimizer.get_updater(optimizer)
    module = translate(training, params).double().train()
    learner = kind(groups(module, Net.of(training)), lr=0.0, wd=1e-3, **settings)
    losses = []
    for step, rate in enumerate(rates()):
        picture = np.roll(images, step, axis=3)
        executor.forward(is_train=True, data=mx.nd.array(picture, dtype="float64"),
                         label=mx.nd.array(label, dtype="float64"))
        executor.backward()
        mx.nd.waitall()
        optimizer.set_learning_rate(rate)
        for index, key in enumerate(names):
            updater(index, executor.grad_dict[key], executor.arg_dict[key])
        learner.zero_grad()
        _, loss = module(data=torch.from_numpy(picture), label=torch.from_numpy(label))
        loss.backward()
        losses.append(float(loss.detach()))
        learner.set_rate(rate)
        learner.step()
    found = module.arguments()
    for key in names:
        expected = executor.arg_dict[key].asnumpy()
        assert parity.apart(found[key].detach().numpy(), expected) <= 1e-4, key
    assert np.mean(losses[-5:]) < .9 * losses[0]


def test_decay_and_rates_go_by_mxnets_names(training, params):
    module = translate(training, params)
    multipliers = {id(tensor): (group["lr_mult"], group["wd_mult"])
                   for group in groups(module, Net.of(training)) for tensor in group["params"]}
    optimizer = mx.optimizer.SGD(sym=training, wd=1.0, learning_rate=1.0,
                                 param_idx2name=dict(enumerate(params.args)))
    for index, name in enumerate(params.args):
        tensor = module.arguments()[name]
        if tensor.requires_grad:
            assert multipliers[id(tensor)] == (optimizer._get_lr(index), optimizer._get_wd(index))


def test_a_scale_that_is_fixed_is_one_and_does_not_learn():
    symbol = mx.sym.BatchNorm(mx.sym.Variable("data"), fix_gamma=True, name="bn")
    ones = {"bn_gamma": mx.nd.ones(3) * 5, "bn_beta": mx.nd.zeros(3)}
    moments = {"bn_moving_mean": mx.nd.zeros(3), "bn_moving_var": mx.nd.ones(3)}
    module = translate(symbol, ssdreg.runs.params.Params(ones, moments))
    gamma = module.arguments()["bn_gamma"]
    assert gamma.tolist() == [1, 1, 1]
    assert not gamma.requires_grad


def test_autocast_trains_in_bfloat16(detector, params, batch):
    images, label = (torch.from_numpy(array).float() for array in batch)
    module = translate(mx.sym.Group([detector.train[name] for name in
                                     step_outputs(detector.train)]), params).train()
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


def test_a_module_compiles(detector, params, batch):
    """Into one graph without breaks; what runs it here is PyTorch itself, without a compiler."""
    images, label = (torch.from_numpy(array).float() for array in batch)
    module = translate(mx.sym.Group([detector.train[name] for name in
                                     step_outputs(detector.train)]), params).train()
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


def test_importing_it_imports_neither_engine():
    code = ("import sys, ssdreg_torch; "
            "print([name for name in ('torch', 'mxnet') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
