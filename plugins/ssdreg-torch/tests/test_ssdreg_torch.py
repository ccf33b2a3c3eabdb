"""What needs no PyTorch: importing, and the names of parameters."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ssdreg_torch.names import attribute, parameter

TAKEN = {"train", "forward"}


def test_importing_it_imports_neither_engine():
    code = ("import sys, ssdreg_torch; "
            "print([name for name in ('torch', 'mxnet') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True,
                          encoding="utf-8")
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["conv1_weight", "a.b", "100%", "train", "%train", "a%2Eb"])
def test_a_name_is_read_back_from_its_attribute(name):
    written = attribute(name, TAKEN)
    assert parameter(written) == name
    assert "." not in written
    assert written not in TAKEN


@pytest.mark.parametrize("name", ["conv1_weight", "stage1_unit1_bn1_gamma", "stem:conv/weight"])
def test_a_name_that_can_stay_stays(name):
    assert attribute(name, TAKEN) == name
