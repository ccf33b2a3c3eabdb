from __future__ import annotations

import pytest
from support import jobs
from support.runs import with_small

from ssdreg.cli.main import main


@pytest.fixture(autouse=True)
def small():
    with with_small():
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A job that has been trained through the entry point, for reading only."""
    root = jobs.pictures_job(tmp_path_factory.mktemp("job") / "ml", train=24, epochs=3,
                             nms_threshold=0.4, optimizer="adam", num_training_samples=24)
    with with_small():
        assert main(["sagemaker", "train", "--root", str(root)]) == 0
    return root
