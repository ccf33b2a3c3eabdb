"""Symbols, bound and run on NumPy arrays."""

from __future__ import annotations

from ssdreg.mx import mx


def run(symbol, **inputs):
    """Bind, run forward as in training, and return (outputs, gradients by name)."""
    values = {name: mx.nd.array(value) for name, value in inputs.items()}
    gradients = {name: mx.nd.zeros(value.shape) for name, value in values.items()}
    executor = symbol.bind(mx.cpu(), values, args_grad=gradients)
    outputs = [output.asnumpy() for output in executor.forward(is_train=True)]
    executor.backward([mx.nd.ones(output.shape) for output in outputs])
    return outputs, {name: value.asnumpy() for name, value in gradients.items()}


def var(name):
    return mx.sym.Variable(name)
