from __future__ import annotations

import ctypes
import os
import sys

import pytest
from support.environments import wheel_of
from support.index import why_none
from support.runs import DETECTOR, SIDE, SMALL, TRAIN_IMAGES, VALIDATION_IMAGES, with_small

import ssdreg
from ssdreg.cli.main import main

# Read when MXNet is imported. Its threads wait by spinning, which, on a machine with other work,
# takes the processors from those it waits for: these small networks then run for seconds.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Whichever test imports OpenVINO first, it sends nothing, for which it would fork these processes.
sys.modules.setdefault("openvino_telemetry", None)


def pytest_configure(config):
    # MXNet 1.9.1 is the last release: what it does in an outdated way will stay
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:mxnet(\..*)?")


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests, so that no process is alone with one at the end.

    That takes ``--no-loadscope-reorder``: pytest-xdist would begin with those of many tests.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)  # before fixtures that would want the index
def pytest_runtest_setup(item):
    if item.get_closest_marker("network") and (why := why_none()):
        pytest.skip(why)


@pytest.fixture(scope="module", autouse=True)
def freed_memory():
    """Give back what a module freed: small blocks that live on hold a gigabyte in each process."""
    yield
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep packed data out of the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def ssdreg_wheel(tmp_path_factory):
    return wheel_of("ssdreg", tmp_path_factory)


@pytest.fixture(scope="session")
def runtime_wheel(tmp_path_factory):
    return wheel_of("ssdreg-runtime", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_shapes(tmp_path_factory):
    from ssdreg.data.synthetic import write_shapes
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, TRAIN_IMAGES, VALIDATION_IMAGES, (SIDE, SIDE))
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_shapes):
    """A run of one epoch of a small network, for reading only."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    ssdreg.train(data=tiny_shapes, out=folder, backbone=SMALL, data_shape=SIDE, epochs=1,
                 batch_size=8)
    return folder


@pytest.fixture(scope="session")
def three_epochs(tmp_path_factory, tiny_shapes):
    """A run of three epochs of a small network, in float32 by MXNet; for reading only."""
    folder = tmp_path_factory.mktemp("runs") / "three"
    ssdreg.train(data=tiny_shapes, out=folder, backbone=SMALL, data_shape=SIDE, tap_strides=(8, 16),
                 epochs=3, batch_size=8, engine="mxnet", precision="float32")
    return folder


@pytest.fixture(scope="session")
def resnet18_run(tmp_path_factory, tiny_shapes):
    """A run whose backbone is one that commands know by its name, trained by the command."""
    folder = tmp_path_factory.mktemp("runs") / "resnet18"
    assert main(["train", *DETECTOR, "--data", str(tiny_shapes), "--out", str(folder),
                 "--epochs", "1", "--batch-size", "8"]) == 0
    return folder


@pytest.fixture(scope="module")
def small():
    """Let commands of this process know the network that trains in less than a second."""
    with with_small():
        yield


@pytest.fixture
def silence(capfd):
    """Fail where anything was written to standard output or standard error, by whomever."""
    capfd.readouterr()
    yield
    assert tuple(capfd.readouterr()) == ("", "")
