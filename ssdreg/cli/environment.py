"""What ssdreg runs on: versions, MXNet's features, threads, and what was set for MXNet."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from attrs import frozen
from ssdreg_runtime.system.threads import VARIABLE, Threads, choose

from ssdreg._version import __version__
from ssdreg.compat import mxnet_package

PACKAGES = ("ssdreg-runtime", "numpy", "pluggy", "attrs", "cattrs", "pillow", "matplotlib", "tqdm",
            "onnx")
#: What extras install, and what results are handed to: used where they are there.
OPTIONAL = ("onnxruntime", "openvino", "nncf", "av", "supervision")


@frozen
class Environment:
    """The answers of ``ssdreg env``; without MXNet nothing is set and no GPU seen."""

    python: str
    platform: str
    ssdreg: str
    packages: dict[str, str | None]  # None: not installed
    optional: dict[str, str | None]  # None: not installed
    features: tuple[str, ...]
    instructions: dict[str, tuple[str, ...]]  # for numbers of fewer bits: the processor's own
    gpus: int
    threads: int
    threads_reason: str
    restored: tuple[str, ...]
    set_for_mxnet: dict[str, str]


@frozen
class _MXNet:
    version: str | None
    gpus: int
    features: tuple[str, ...]
    threads: Threads
    settings: dict[str, str]


def describe() -> Environment:
    """Tell what there is; import MXNet, where it is installed, to tell what it can do."""
    from ssdreg_runtime.system.processor import BFLOAT16, INT8, flags

    from ssdreg.compat.mxnet_modules import restored
    mxnet = _mxnet() if mxnet_package.installed() else _no_mxnet()
    return Environment(
        python=platform.python_version(), platform=platform.platform(), ssdreg=__version__,
        packages={"mxnet": mxnet.version, **{name: _installed(name) for name in PACKAGES}},
        optional={name: _installed(name) for name in OPTIONAL},
        features=mxnet.features,
        instructions={"bfloat16": tuple(sorted(BFLOAT16 & flags())),
                      "int8": tuple(sorted(INT8 & flags()))},
        gpus=mxnet.gpus, threads=mxnet.threads.count, threads_reason=mxnet.threads.reason,
        restored=restored(), set_for_mxnet=mxnet.settings)


def _mxnet() -> _MXNet:
    from ssdreg import mx as gate
    features = gate.mx.runtime.Features()
    settings = dict(gate.defaults_set)
    if gate.threads.set_here:
        settings[VARIABLE] = str(gate.threads.count)
    return _MXNet(
        # MXNet for GPUs is a package of another name, so it is asked itself
        version=gate.mx.__version__, gpus=gate.mx.context.num_gpus(),
        features=tuple(sorted(name for name, feature in features.items() if feature.enabled)),
        threads=gate.threads, settings=settings)


def _no_mxnet() -> _MXNet:
    return _MXNet(version=None, gpus=0, features=(), threads=choose(os.environ), settings={})


def _installed(distribution: str) -> str | None:
    """Return the version pip has installed, None without; nothing is imported."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
