"""The same twenty steps of training under NumPy 1 and NumPy 2, compared bit for bit.

One Python and one MXNet do both, with one NumPy and then the other in front of their own. A Python
for which NumPy 1 is published is needed: this one, or an older one beside it. Needs pip's index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import paths
from support.environments import add, clean

WORKER = paths.TESTS / "support" / "twenty_steps.py"

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def python(request) -> Path:
    """A Python with ssdreg, MXNet and some NumPy, that both NumPys are published for."""
    if sys.version_info < (3, 13):
        return Path(sys.executable)
    return request.getfixturevalue("other_python") / "python"


def train(python: Path, folder: Path, numpy: Path) -> dict:
    """Run the worker, with the NumPy in this folder in front of the Python's own."""
    environ = {**clean(), "OMP_NUM_THREADS": "1",
               "PYTHONPATH": os.pathsep.join(map(str, (numpy, paths.TESTS)))}
    done = subprocess.run([python, WORKER, folder], cwd=folder, check=False, text=True,
                          env=environ, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def both(python, tmp_path_factory) -> tuple[dict, ...]:
    """What the worker prints under either NumPy."""
    printed = []
    for wanted in ("numpy<2", "numpy>=2"):
        numpy = tmp_path_factory.mktemp("numpy")
        add(python.parent, "--no-deps", "--target", numpy, wanted)
        printed.append(train(python, tmp_path_factory.mktemp("trained"), numpy))
    return tuple(printed)


def test_they_are_numpy_1_and_2(both):
    assert [found["numpy"].partition(".")[0] for found in both] == ["1", "2"]


def test_there_is_something_to_compare(both):
    training = both[0]["training"]
    assert len(training["losses"]) == 20
    assert len({tuple(each) for each in training["losses"]}) == 20
    assert len(training["parameters"]) > 90
    assert float.fromhex(training["measures"][-1][0]) < float.fromhex(training["measures"][0][0])


@pytest.mark.parametrize("what", ["losses", "measures", "parameters"])
def test_training_is_the_same_to_the_bit(both, what):
    one, two = (found["training"][what] for found in both)
    assert one == two


@pytest.mark.parametrize("what", ["metrics", "initialisers", "conversions"])
def test_what_mxnet_does_in_python_is_the_same_to_the_bit(both, what):
    one, two = (found[what] for found in both)
    assert one == two


def test_the_comparison_sees_a_type_and_a_bit():
    from support.twenty_steps import bits
    assert bits(np.float32(0.5)) != bits(np.float64(0.5))
    assert bits(np.nextafter(np.float32(1), np.float32(2))) != bits(np.float32(1))
    assert bits(0.1) != bits(0.1 + 2**-56)
