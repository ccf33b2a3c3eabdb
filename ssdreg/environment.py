"""What ssdreg runs on: versions, MXNet's features, threads, and what was set for MXNet."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from attrs import frozen

from ssdreg._version import __version__

PACKAGES = ("ssdreg-runtime", "numpy", "pluggy", "attrs", "cattrs", "pillow", "matplotlib", "tqdm",
            "onnx")
#: What extras install, and what results are handed to: used where they are there.
OPTIONAL = ("onnxruntime", "openvino", "nncf", "av", "supervision")


@frozen
class Environment:
    """The answers of ``ssdreg env``."""

    python: str
    platform: str
    ssdreg: str
    packages: dict[str, str]
    optional: dict[str, str | None]  # None: not installed
    features: tuple[str, ...]
    instructions: dict[str, tuple[str, ...]]  # for numbers of fewer bits: the processor's own
    gpus: int
    threads: int
    threads_reason: str
    restored: tuple[str, ...]
    set_for_mxnet: dict[str, str]


def describe() -> Environment:
    """Import MXNet and tell what it was given and what it can do."""
    from ssdreg_runtime.processor import BFLOAT16, INT8, flags
    from ssdreg_runtime.threads import VARIABLE

    from ssdreg import mx as gate
    features = gate.mx.runtime.Features()
    restored = [f"numpy.{name}" for name in gate.restored_aliases]
    if gate.restored_distutils:
        restored.append("distutils")
    settings = dict(gate.defaults_set)
    if gate.threads.set_here:
        settings[VARIABLE] = str(gate.threads.count)
    return Environment(
        python=platform.python_version(), platform=platform.platform(), ssdreg=__version__,
        # MXNet for GPUs is a package of another name, so it is asked itself
        packages={"mxnet": gate.mx.__version__, **{name: version(name) for name in PACKAGES}},
        optional={name: _installed(name) for name in OPTIONAL},
        features=tuple(sorted(name for name, feature in features.items() if feature.enabled)),
        instructions={"bfloat16": tuple(sorted(BFLOAT16 & flags())),
                      "int8": tuple(sorted(INT8 & flags()))},
        gpus=gate.mx.context.num_gpus(), threads=gate.threads.count,
        threads_reason=gate.threads.reason, restored=tuple(restored), set_for_mxnet=settings)


def _installed(distribution: str) -> str | None:
    """Return the version pip has installed, None without; nothing is imported."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
