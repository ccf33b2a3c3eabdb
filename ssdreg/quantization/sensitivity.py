"""The sensitivity of layers to 8 bits, measured on a few images.

The error that 8 bits make in one layer, in its input and its weights, is worked out and added to
what that layer gives out, all others left exact; what then becomes of the predictions tells how
much that layer matters. Errors of different layers are as good as independent, so that they add up
in squares, and those of all layers together need not be measured for every choice of layers. A
layer whose own error is large may matter little, and the other way round: the first layers of a
network matter most, and nothing in the layer itself shows that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, field, frozen

from ssdreg.deploy.model import DeployModel
from ssdreg.errors import ModelError
from ssdreg.graph.nodes import VARIABLE, Entry, Net, Node
from ssdreg.graph.operators import DETECTION
from ssdreg.quantization.images import normalized
from ssdreg.quantization.mxnet.arranging import cuts_last

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The operators that are measured.
_CONVOLUTION = "Convolution"
#: Settings of a convolution that do not say what it computes, or are given otherwise.
_NOT_COPIED = ("no_bias", "workspace", "cudnn_tune", "cudnn_off")


@frozen
class LayerNoise:
    """A convolution of the network and the name of its weights.

    `noise` is what 8 bits in this layer alone do to the predictions: the mean square of the error
    over that of the predictions, once for the scores of objects and once for the offsets of boxes,
    each weighted by its anchor's score, both added.
    """

    name: str
    weight: str
    noise: float


def measure_layers(source: DeployModel, images: Iterable[np.ndarray]) -> tuple[LayerNoise, ...]:
    """Measure every convolution of a float32 detector; return them with the worst first.

    `images` are (1, H, W, 3) uint8, of the plan's size; two or three will do. Each costs as many
    runs of the network as it has convolutions. Raises ModelError for a network that does not end
    in MultiBoxDetection.
    """
    disturbed = _Disturbed(source)
    noise = np.mean([disturbed.noise(image)
                     for image in normalized(images, source.plan.preprocessing)], axis=0)
    measured = [LayerNoise(layer.name, layer.weight, float(layer_noise))
                for layer, layer_noise in zip(disturbed.layers, noise)]
    return tuple(sorted(measured, key=lambda layer: -layer.noise))


def worst(layers: Sequence[LayerNoise], share: float) -> tuple[LayerNoise, ...]:
    """Return the fewest layers that make this share of all noise; `layers` are the worst first."""
    sums = np.cumsum([layer.noise for layer in layers])
    return tuple(layers[:int(np.searchsorted(sums, share * sums[-1])) + 1])


@frozen
class _Convolution:
    """A convolution of a symbol: its place, what it reads, how it is set."""

    index: int
    name: str
    weight: str
    source: Entry
    settings: Mapping[str, str] = field(repr=False)


class _Disturbed:
    """A network whose convolutions can be given an error, one at a time."""

    def __init__(self, source: DeployModel) -> None:
        net = Net.of(cuts_last(source.symbol))
        self.layers = _convolutions(net)
        self._params = source.params
        shape = (1, 3, *source.plan.data_shape)
        # what each convolution reads; and the predictions, with room for an error behind each
        self._maps = self._bind(net.cut(*(layer.source for layer in self.layers)), shape)
        self._network = self._bind(_with_errors(net, self.layers), shape)
        for layer in self.layers:
            self._network.arg_dict[_error_of(layer)][:] = 0

    def _bind(self, symbol: mx.sym.Symbol, shape: tuple[int, ...]) -> mx.executor.Executor:
        from ssdreg.mx import mx
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=shape)
        executor.copy_params_from(dict(self._params.args), dict(self._params.auxs),
                                  allow_extra_params=True)
        return executor

    def noise(self, image: np.ndarray) -> list[float]:
        """Return the noise of each layer for a normalised image (1, 3, H, W)."""
        from ssdreg.mx import mx
        data = mx.nd.array(image)
        maps = self._maps.forward(is_train=False, data=data)
        exact = self._predict(data)
        noises = []
        for layer, values in zip(self.layers, maps):
            place = self._network.arg_dict[_error_of(layer)]
            self._error(layer, values).copyto(place)
            noises.append(_noise(exact, self._predict(data)))
            place[:] = 0
        return noises

    def _error(self, layer: _Convolution, values: mx.nd.NDArray) -> mx.nd.NDArray:
        """Return the error that 8 bits make in what a convolution gives out."""
        from ssdreg.mx import mx
        weight = self._params.args[layer.weight]
        rounded = _rounded_weight(weight)
        return (mx.nd.Convolution(values, rounded - weight, no_bias=True, **layer.settings)
                + mx.nd.Convolution(_rounded_map(values) - values, rounded, no_bias=True,
                                    **layer.settings))

    def _predict(self, data: mx.nd.NDArray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of objects (C, N) and the offsets of boxes (N, 4)."""
        probabilities, offsets = (output.asnumpy()[0] for output in
                                  self._network.forward(is_train=False, data=data))
        return probabilities[1:], offsets.reshape(-1, 4)


def _noise(exact: tuple[np.ndarray, np.ndarray], disturbed: tuple[np.ndarray, np.ndarray]) -> float:
    (scores, offsets), (other_scores, other_offsets) = exact, disturbed
    weight = scores.max(axis=0)[:, None]
    parts = ((np.square(other_scores - scores), np.square(scores)),
             (weight * np.square(other_offsets - offsets), weight * np.square(offsets)))
    return sum(float(error.sum() / max(float(signal.sum()), 1e-12)) for error, signal in parts)


def _rounded_weight(weight: mx.nd.NDArray) -> mx.nd.NDArray:
    """Return weights as 8 bits with a scale for each output channel hold them."""
    from ssdreg.mx import mx
    largest = mx.nd.abs(weight).reshape((weight.shape[0], -1)).max(axis=1)
    step = mx.nd.maximum(largest, 1e-12).reshape((-1, 1, 1, 1)) / 127
    return mx.nd.round(weight / step) * step


def _rounded_map(values: mx.nd.NDArray) -> mx.nd.NDArray:
    """Return a map as 8 bits with one scale hold it, without sign where nothing is below zero."""
    from ssdreg.mx import mx
    least, most = float(values.min().asscalar()), float(values.max().asscalar())
    step = max(most / 255 if least >= 0 else max(most, -least) / 127, 1e-12)
    return mx.nd.round(values / step) * step


def _convolutions(net: Net) -> tuple[_Convolution, ...]:
    return tuple(
        _Convolution(index, net.name(index), net.name(net.inputs(index)[1][0]),
                     net.inputs(index)[0],
                     {key: value for key, value in net.attrs(index).texts.items()
                      if key not in _NOT_COPIED and not key.startswith("__")})
        for index in net.find(_CONVOLUTION))


def _error_of(layer: _Convolution) -> str:
    return f"error of {layer.name}"


def _with_errors(net: Net, layers: Sequence[_Convolution]) -> mx.sym.Symbol:
    """Return the predictions of a network that takes an error off what each convolution gives.

    Taken off and not added, which MXNet would join with the convolution, in another order.
    """
    if not net.find(DETECTION):
        raise ModelError(f"the network has no {DETECTION}, by whose inputs its layers are "
                         f"measured: name those to keep by hand")
    more: list[Node] = []
    instead: dict[Entry, Entry] = {}
    for layer in layers:
        error = len(net.nodes) + len(more)
        name = _error_of(layer)
        more += [Node(VARIABLE, name),
                 Node("elemwise_sub", f"without {name}", inputs=((layer.index, 0), (error, 0)))]
        instead[layer.index, 0] = error + 1, 0
    disturbed = net.rewired(instead)
    predictions = disturbed.inputs(net.find(DETECTION)[0])[:2]
    return evolve(disturbed, nodes=(*disturbed.nodes, *more)).cut(*predictions)
