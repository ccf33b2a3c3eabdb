"""The same twenty steps of training under NumPy 1 and NumPy 2, compared bit for bit.

One Python and one MXNet do both, with another NumPy in front of theirs the second time. A Python
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
from support.environments import add, clean, install, python_of

WORKER = paths.TESTS / "support" / "twenty_steps.py"
#: The Pythons that NumPy 1.26 is published for, or a NumPy close to it.
OLD_PYTHONS = ("3.12", "3.11", "3.10", "3.9")

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def python(request, tmp_path_factory) -> Path:
    """A Python with ssdreg, MXNet and some NumPy, that both NumPys are published for."""
    if sys.version_info < (3, 13):
        return Path(sys.executable)
    older = python_of(*OLD_PYTHONS)
    if older is None:
        pytest.skip("NumPy 1 is published for Python 3.12 and older, and there is none here")
    wheels = map(request.getfixturevalue, ("runtime_wheel", "ssdreg_wheel"))
    return install(older, tmp_path_factory.mktemp("older") / "venv", *wheels) / "python"


def train(python: Path, folder: Path, numpy: Path | None) -> dict:
    """Run the worker, with the NumPy in this folder in front of the Python's own."""
    found = [*([] if numpy is None else [numpy]), paths.TESTS]
    environ = {**clean(), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, found))}
    done = subprocess.run([python, WORKER, folder], cwd=folder, check=False, text=True,
                          env=environ, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def both(python, tmp_path_factory) -> tuple[dict, dict]:
    """What the worker prints under the NumPy that is installed, and under the other."""
    installed = train(python, tmp_path_factory.mktemp("installed"), None)
    wanted = "numpy<2" if installed["numpy"].startswith("2.") else "numpy>=2"
    folder = tmp_path_factory.mktemp("numpy")
    add(python.parent, "--no-deps", "--target", folder, wanted)
    return installed, train(python, tmp_path_factory.mktemp("other"), folder)


def test_they_are_numpy_1_and_2(both):
    assert sorted(found["numpy"].partition(".")[0] for found in both) == ["1", "2"]


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
