"""A run or a checkpoint in fewer bits, written and measured: `ssdreg.quantize`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ssdreg.data import Packed
from ssdreg.deploy.model import open_deploy_model
from ssdreg.errors import DataError, ModelError
from ssdreg.exporting.export import default_file
from ssdreg.progress import Note, Progress, Telling, Work, silent
from ssdreg.quantization.calibration import open_calibration
from ssdreg.quantization.engines import Engine, engine
from ssdreg.quantization.images import read_examples
from ssdreg.quantization.mxnet.int8 import refuse_unless_float32
from ssdreg.quantization.quantizing import Quantized, quantize_model
from ssdreg.quantization.report import PrecisionFigures, QuantizationReport
from ssdreg.quantization.searching import evaluate as average_precision
from ssdreg.quantization.speed import measure_latency
from ssdreg.registry.preprocessing import Preprocessing


def quantize(model: str | os.PathLike[str], *, data: str | os.PathLike[str],
             split: str | None = None, calibration_split: str | None = None,
             calibration_images: int = 100, backend: str = "onnxruntime",
             precision: str = "int8", drop: float = 0.01,
             keep_layers: str | Sequence[str] = (),
             out: str | os.PathLike[str] | None = None, measure: bool = True, rounds: int = 50,
             epoch: int | None = None, classes: Sequence[str] | None = None,
             data_shape: int | tuple[int, int] | None = None,
             preprocessing: Preprocessing | None = None, data_format: str | None = None,
             progress: Progress | None = None) -> QuantizationReport:
    """Make a detector of 8 bits, or of bfloat16, for a backend, as ``ssdreg quantize`` does.

    - `model`: a run's folder, or a checkpoint; `epoch`, `classes`, `data_shape` and
      `preprocessing` are those of `ssdreg.load_checkpoint`
    - `data`: a data set of any format that `ssdreg.data.formats` knows (`data_format` names it
      where looking does not tell it) or a ``.rec`` file: `calibration_images` images of the
      split `calibration_split` are what scales are taken from, `split` is what is measured on.
      What is not named is the data set's usual pair, or a tenth of it held out
    - `backend`: ``onnxruntime``, ``openvino`` or ``mxnet``; `precision`: ``int8`` or ``bfloat16``
    - `drop`: how much mAP, 0..1, 8 bits may cost on the calibration images before layers are kept
      in float32; `keep_layers`: convolutions that stay so in any case
    - `out`: an ``.onnx`` file, an ``.xml`` file (OpenVINO) or a run's folder (MXNet); by default
      ``model-int8`` in the run's folder, and for MXNet a folder beside it
    - `measure`: False measures neither accuracy nor time, and keeps `keep_layers` only; `rounds`
      are runs that the time, in milliseconds, is measured in

    `progress` is called with `Note`, `Work` and `DataIssues`.

    Raises DataError for data and numbers that cannot be used; ModelError for what is not float32,
    a name that is no convolution, a file that may not be written, and a precision that backend or
    processor do not have; RunError for what cannot be read.
    """
    tell, path = progress or silent, Path(model)
    _refuse_numbers(calibration_images, rounds, drop)
    chosen = engine(backend, precision)
    file = default_out(path, chosen.suffix, precision) if out is None else Path(out)
    _refuse_out(file, chosen)
    source = open_deploy_model(path, epoch, classes, data_shape, preprocessing)
    refuse_unless_float32(source)
    opened = open_calibration(Path(data), calibration_split, split, source.classes, measure, tell,
                              data_format)
    examples = [] if precision == "bfloat16" else list(
        read_examples(opened.scales, source.plan.data_shape, calibration_images))

    def say(line: str) -> None:
        tell(Note(line))

    with Telling(tell, Work(what="quantising")):
        quantized = quantize_model(
            source, examples, backend, precision, drop if measure else None,
            (keep_layers,) if isinstance(keep_layers, str) else keep_layers, say)
        quantized.save(file)
        before, after = (_measured(quantized, opened.measured, rounds, say) if measure
                         else _weighed(quantized))
    return QuantizationReport(str(file), quantized, len(examples), drop, before, after,
                             opened.issues)


def default_out(path: Path, suffix: str, precision: str) -> Path:
    """Name what is written: in the folder of a run, or beside it where it is a folder itself."""
    if path.is_dir() and not suffix:
        return path.with_name(f"{path.resolve().name}-{precision}")
    file = default_file(path)
    return file.with_name(f"{file.stem}-{precision}{suffix}")


def _refuse_numbers(calibration_images: int, rounds: int, drop: float) -> None:
    for name, value in (("calibration-images", calibration_images), ("rounds", rounds)):
        if value < 1:
            raise DataError(f"--{name} {value} is too few: give 1 or more")
    if not 0 <= drop <= 1:
        raise DataError(f"--drop {drop:g} is no loss of mAP: give one of 0 to 1, as 0.01")


def _refuse_out(out: Path, chosen: Engine) -> None:
    """Raise ModelError for a name that cannot be written, before minutes have gone into it."""
    from ssdreg_runtime.backends.model_file import describe

    from ssdreg.quantization.mxnet.run import refuse_folder
    if not chosen.suffix:
        refuse_folder(out)
    elif out.suffix.lower() != chosen.suffix:
        raise ModelError(f"--out {out}: what this backend reads ends in {chosen.suffix}")
    elif out.exists():
        try:
            describe(out, str(out))
        except ModelError as error:
            raise ModelError(f"--out {out} is there already and no detector of ssdreg: move it "
                             f"away, or choose another name") from error


def _weighed(quantized: Quantized) -> tuple[PrecisionFigures, PrecisionFigures]:
    """Return the detector before and after, by its size alone."""
    chosen = engine(quantized.backend, quantized.precision)
    return (PrecisionFigures("float32", chosen.weigh(chosen.exact(quantized.source))),
            PrecisionFigures(quantized.precision, quantized.size()))


def _measured(quantized: Quantized, measured: Packed, rounds: int, say: Callable[[str], None]
              ) -> tuple[PrecisionFigures, PrecisionFigures]:
    """Return the detector before and after, its accuracy and time measured."""
    chosen = engine(quantized.backend, quantized.precision)
    exact = chosen.exact(quantized.source)
    sizes = chosen.weigh(exact), quantized.size()
    backends = [chosen.open(exact), quantized.open()]
    shape = quantized.source.plan.data_shape
    say("measuring accuracy and time")
    evaluations = average_precision(backends, read_examples(measured, shape),
                                    quantized.source.classes)
    image = next(iter(read_examples(measured, shape, 1))).image
    times = measure_latency({"before": backends[0], "after": backends[1]}, image, rounds)
    return (PrecisionFigures("float32", sizes[0], evaluations[0], times["before"]),
            PrecisionFigures(quantized.precision, sizes[1], evaluations[1], times["after"]))
