"""Environments that several files of tests here share; each is made once, by whoever is first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.environments import install, once, python_of, version_of

#: An old NumPy 1 that has ready-made wheels for the Python.
OLD_NUMPY = {"3.12": "numpy==1.26.0", "3.11": "numpy==1.23.*", "3.10": "numpy==1.22.*",
             "3.9": "numpy==1.22.*"}
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="session")
def other_python(runtime_wheel, ssdreg_wheel, tmp_path_factory) -> Path:
    """The programs of another Python with an old NumPy, ssdreg, and MXNet, which comes with it."""
    python = python_of(*(version for version in OLD_NUMPY if version != THIS))
    if python is None:
        pytest.skip(f"beside {THIS} no Python is here that NumPy 1 is published for")
    folder = once("other-python", tmp_path_factory, lambda folder: install(
        python, folder / "venv", runtime_wheel, ssdreg_wheel, OLD_NUMPY[version_of(python)]))
    return folder / "venv" / "bin"
