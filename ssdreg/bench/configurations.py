"""The engines and precisions, and which of them can be measured here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec

from attrs import frozen
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.processor import has_wide_bfloat16, multiplies_bfloat16

from ssdreg.bench.figures import Configuration, Missing
from ssdreg.errors import BenchError

#: All there are, in the order of the table; ratios are to the first.
CONFIGURATIONS = tuple(Configuration(backend, precision) for backend, precision in (
    ("mxnet", "float32"), ("mxnet", "bfloat16"), ("mxnet", "int8"),
    ("onnxruntime", "float32"), ("onnxruntime", "int8"),
    ("openvino", "float32"), ("openvino", "bfloat16"), ("openvino", "int8")))
BACKENDS = tuple(dict.fromkeys(configuration.backend for configuration in CONFIGURATIONS))
PRECISIONS = tuple(dict.fromkeys(configuration.precision for configuration in CONFIGURATIONS))

#: Configurations that no package provides.
NEVER = {Configuration("onnxruntime", "bfloat16"): "ONNX Runtime has no bfloat16 on processors"}

#: Packages that a configuration needs besides those that ssdreg itself needs.
NEEDS: Mapping[Configuration, tuple[str, ...]] = {
    **{configuration: () if configuration.backend == "mxnet" else (configuration.backend,)
       for configuration in CONFIGURATIONS},
    Configuration("openvino", "int8"): ("openvino", "nncf")}

#: Whether this processor computes what only some do.
ON_PROCESSOR: Mapping[Configuration, Callable[[], bool]] = {
    Configuration("mxnet", "bfloat16"): has_wide_bfloat16,
    Configuration("openvino", "bfloat16"): multiplies_bfloat16}


@frozen
class Choice:
    """The configurations that can be measured, and those that cannot, with the reason."""

    configurations: tuple[Configuration, ...]
    missing: tuple[Missing, ...]


def choose(backends: Collection[str] = (), precisions: Collection[str] = ()) -> Choice:
    """Choose by backend and precision, all by default.

    Raises BenchError for a name there is not, and where nothing at all is left to measure.
    """
    for kind, names, known in (("backend", backends, BACKENDS),
                               ("precision", precisions, PRECISIONS)):
        for name in names:
            if name not in known:
                raise BenchError(f"there is no {kind} {name!r}: choose among {', '.join(known)}")
    wanted = [configuration for configuration in CONFIGURATIONS
              if configuration.backend in (backends or BACKENDS)
              and configuration.precision in (precisions or PRECISIONS)]
    # reported only where it was named
    missing = [Missing(configuration, why) for configuration, why in NEVER.items()
               if configuration.backend in backends and configuration.precision in precisions]
    installed = []
    for configuration in wanted:
        absent = [package for package in NEEDS[configuration] if find_spec(package) is None]
        if absent:
            missing.append(Missing(configuration, f"{' and '.join(absent)} not installed: run "
                                                  f"`{install(configuration.backend, 'ssdreg')}`"))
        elif configuration in ON_PROCESSOR and not ON_PROCESSOR[configuration]():
            missing.append(Missing(configuration, "this processor has no bfloat16 for it"))
        else:
            installed.append(configuration)
    if not installed:
        raise BenchError("nothing is left to measure: " + "; ".join(
            f"{absent.configuration.name}: {absent.why}" for absent in missing))
    return Choice(tuple(installed), tuple(missing))
