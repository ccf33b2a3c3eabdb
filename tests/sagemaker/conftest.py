from __future__ import annotations

from types import SimpleNamespace

import pytest
from support import jobs
from support.runs import SMALL

import ssdreg
from ssdreg.cli.main import main
from ssdreg.registry import host as plugins


@pytest.fixture(scope="package", autouse=True)
def small():
    """A network that trains in a second, called by its name."""
    with plugins.register(SimpleNamespace(ssdreg_backbones=ssdreg.hookimpl(lambda: [SMALL]))):
        yield


@pytest.fixture(scope="package")
def trained(tmp_path_factory, small):
    """A job that has been trained through the entry point, for reading only."""
    root = jobs.pictures_job(tmp_path_factory.mktemp("job") / "ml", train=24, epochs=3,
                             nms_threshold=0.4, optimizer="adam", num_training_samples=24)
    assert main(["sagemaker", "train", "--root", str(root)]) == 0
    return root
