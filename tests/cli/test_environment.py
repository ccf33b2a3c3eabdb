"""`ssdreg env` in fresh processes, because the environment is read when MXNet is imported."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import distributions

import numpy as np
import pytest

import ssdreg


def env(*arguments: str, **settings: str) -> str:
    cleared = ("OMP_NUM_THREADS", "MXNET_SUBGRAPH_VERBOSE", "MXNET_UPDATE_ON_KVSTORE")
    kept = {name: value for name, value in os.environ.items() if name not in cleared}
    done = subprocess.run([sys.executable, "-m", "ssdreg", "env", *arguments], check=False,
                          env={**kept, **settings}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def found() -> dict:
    return json.loads(env("--json"))


def test_for_machines(found):
    assert found["python"] == platform.python_version()
    assert found["ssdreg"] == ssdreg.__version__
    assert found["packages"]["mxnet"] == "1.9.1"
    assert found["packages"]["numpy"] == np.__version__
    assert set(found["packages"]) == {"mxnet", "ssdreg-runtime", "numpy", "pluggy", "attrs",
                                      "cattrs", "pillow", "matplotlib", "tqdm", "onnx"}
    assert "OPENCV" in found["features"]
    assert found["gpus"] >= 0
    assert found["threads"] >= 1
    assert "real cores of" in found["threads_reason"]
    assert found["set_for_mxnet"] == {
        "MXNET_SUBGRAPH_VERBOSE": "0", "MXNET_UPDATE_ON_KVSTORE": "0",
        "OMP_NUM_THREADS": str(found["threads"])}
    assert ("numpy.int" in found["restored"]) == ("int" not in vars(np))
    assert ("distutils.version" in found["restored"]) == (sys.version_info >= (3, 12))


def test_optional_packages_are_told_there_or_not(found):
    there = {each.metadata["Name"].lower(): each.version for each in distributions()}
    assert found["optional"] == {
        name: there.get(name) for name in ("onnxruntime", "openvino", "nncf", "av", "supervision")}


def test_the_processors_instructions_are_told(found):
    from ssdreg_runtime.system.processor import flags
    assert set(found["instructions"]) == {"bfloat16", "int8"}
    for there in found["instructions"].values():
        assert set(there) <= flags()


def test_the_users_settings_win_and_are_said():
    chosen = {"OMP_NUM_THREADS": "3", "MXNET_SUBGRAPH_VERBOSE": "1"}
    found = json.loads(env("--json", **chosen))
    assert found["threads"] == 3
    assert found["threads_reason"] == "OMP_NUM_THREADS was set by you"
    assert found["set_for_mxnet"] == {"MXNET_UPDATE_ON_KVSTORE": "0"}


def test_for_people():
    lines = env(OMP_NUM_THREADS="3", MXNET_SUBGRAPH_VERBOSE="0",
                MXNET_UPDATE_ON_KVSTORE="0").splitlines()
    said = dict(line.split(":", 1) for line in lines)
    assert said["ssdreg"].strip() == ssdreg.__version__
    assert said["OpenMP threads"].strip() == "3 (OMP_NUM_THREADS was set by you)"
    assert said["restored"].strip().endswith("(for modules of mxnet and gluoncv only)")
    assert said["set for MXNet"].strip() == "nothing, you set it all"
    assert "mxnet 1.9.1" in said["packages"]
    assert said["instructions for"].strip().startswith("bfloat16 (")
    assert "supervision " in said["optional packages"]
