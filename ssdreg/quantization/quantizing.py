"""A detector quantised for a backend: layers chosen, trials remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import field, frozen
from ssdreg_runtime.backends import Backend

from ssdreg.deploy.model import DeployModel
from ssdreg.errors import DataError
from ssdreg.quantization.engines import Made, engine
from ssdreg.quantization.images import Example
from ssdreg.quantization.mxnet.int8 import refuse_unless_float32
from ssdreg.quantization.searching import Exact, Trial, choices
from ssdreg.quantization.sensitivity import LayerNoise, measure_layers

#: Images that the sensitivity of layers is measured on.
_MEASURED_ON = 2

Say = Callable[[str], None]


@frozen(eq=False)
class Quantized:
    """A detector in fewer bits.

    - `backend`, `precision`: those it was made for; `source`: the float32 detector
    - `model`: the detector as that backend has it: an ONNX model, a model of OpenVINO, a
      `DeployModel`
    - `kept`: the convolutions that stay float32
    - `exact_map`: float32's mAP on the calibration images; nan where that was not measured
    - `trials`: the choices of layers tried, in order; empty where nothing was measured
    - `layers`: all convolutions with the noise 8 bits make in them, the worst first, where it was
      measured
    """

    backend: str
    precision: str
    source: DeployModel = field(repr=False)
    model: Made = field(repr=False)
    kept: tuple[str, ...] = ()
    exact_map: float = float("nan")
    trials: tuple[Trial, ...] = ()
    layers: tuple[LayerNoise, ...] = field(default=(), repr=False)

    def open(self) -> Backend:
        """Open it on its backend, ready to run."""
        return engine(self.backend, self.precision).open(self.model)

    def save(self, path: str | Path) -> None:
        """Write it, whole or not at all: a file ``.onnx`` or ``.xml``, or a run's folder."""
        file = Path(path)
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
        engine(self.backend, self.precision).write(self.model, file)

    def size(self) -> int:
        """Return how many bytes it takes on disk."""
        return engine(self.backend, self.precision).weigh(self.model)


def quantize_model(source: DeployModel, examples: Sequence[Example],
                   backend: str = "onnxruntime", precision: str = "int8",
                   drop: float | None = 0.01, keep: Sequence[str] = (),
                   say: Say = lambda _: None) -> Quantized:
    """Quantise a float32 detector for a backend: onnxruntime, openvino or mxnet.

    `precision` is ``int8``, with scales from the images of `examples`, or ``bfloat16``, which
    needs none. Convolutions named in `keep` stay float32. With `drop` (None: nothing is measured)
    so do those whose 8 bits cost most, few at first, then more, until the mAP on the examples falls
    by at most `drop` and detections agree with those of float32, see
    `ssdreg.quantization.searching`. `say` is told in a line what is being done.

    Raises ModelError for a source that is not float32, a name that is no convolution, and a
    precision that backend or processor do not have; DataError without examples.
    """
    chosen = engine(backend, precision)
    refuse_unless_float32(source)
    if precision == "bfloat16":
        assert chosen.bfloat16 is not None
        return Quantized(backend, precision, source, chosen.bfloat16(source))
    if not examples:
        raise DataError("8 bits take their scales from images, and there are none")
    images = [example.image for example in examples]
    if drop is None:
        return Quantized(backend, precision, source, chosen.int8(source, images, tuple(keep)),
                         tuple(keep))
    say("measuring float32 on the calibration images")
    exact = Exact.of(chosen.open(chosen.exact(source)), examples, source.classes)
    layers: list[LayerNoise] = []

    def measure() -> Sequence[LayerNoise]:
        say("measuring which layers 8 bits cost most in")
        layers.extend(measure_layers(source, images[:_MEASURED_ON]))
        return layers

    trials: dict[Trial, Made] = {}
    for extra in choices(measure):
        kept = tuple(dict.fromkeys((*keep, *extra)))
        say(f"quantising, {count_layers(kept)} kept in float32")
        quantized = chosen.int8(source, images, kept)
        trial = exact.trial(kept, chosen.open(quantized), examples, source.classes)
        trials[trial] = quantized
        if exact.accepts(trial, drop):
            break
    taken = exact.best(tuple(trials), drop)
    return Quantized(backend, precision, source, trials[taken], taken.kept, exact.map,
                     tuple(trials), tuple(layers))


def count_layers(names: Sequence[str]) -> str:
    """Say how many layers there are: ``no layers``, ``1 layer``, ``2 layers``."""
    return f"{len(names) or 'no'} layer{'' if len(names) == 1 else 's'}"
