"""A server that tests share, where they leave it as it is."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from ssdreg_runtime.backends import installed

#: What the extra `serve` brings.
EXTRA = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def pytest_collection_modifyitems(items):
    missing = [name for name in EXTRA if find_spec(name) is None]
    reason = (f"the extra serve is not installed: {', '.join(missing)}" if missing
              else "" if installed() else "neither OpenVINO nor ONNX Runtime is installed")
    if reason:
        for item in items:
            if "runtime/tests/serving/" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory):
    """A folder with a model for any number of images, `tiny`, and one for one at a time, `one`."""
    from runtime_support.servers import write_models
    folder = tmp_path_factory.mktemp("models")
    write_models(folder, tiny=None, one=1)
    return folder


@pytest.fixture(scope="session")
def server(models_folder):
    """A server of both models, with small bounds."""
    from runtime_support.servers import serving
    with serving(models_folder, "--max-bytes", "300000", "--max-pixels", "1000000", "--queue", "16",
                 models=("tiny.onnx", "other=one.onnx")) as running:
        yield running
