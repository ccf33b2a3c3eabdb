"""Lines for pip that work however ssdreg was installed."""

from __future__ import annotations

import re
import shlex

import pytest
from ssdreg_runtime.system import installing
from ssdreg_runtime.system.installing import install, packages


@pytest.mark.parametrize(("extra", "package"), [
    ("openvino", "openvino"), ("onnxruntime", "onnxruntime"), ("video", "av")])
def test_the_packages_themselves_are_named(extra, package):
    line = install(extra)
    assert re.fullmatch(rf"pip install '{package}>=[\d.]+'", line)
    assert "ssdreg" not in line
    assert shlex.split(line)[2:] == packages(extra)


def test_extras_of_ours_are_taken_apart(monkeypatch):
    metadata = {"ssdreg": ["numpy>=1", "ssdreg-runtime[openvino]; extra == 'openvino'",
                           'nncf>=2.14 ; extra == "openvino"', 'pytest; extra == "test"'],
                "ssdreg-runtime": ['openvino >=2024.1; extra == "openvino"',
                                   'av; python_version > "3" and extra == "video"']}
    monkeypatch.setattr(installing, "requires", metadata.__getitem__)
    assert packages("openvino", "ssdreg") == ["openvino>=2024.1", "nncf>=2.14"]
    assert install("openvino", "ssdreg") == "pip install 'openvino>=2024.1' 'nncf>=2.14'"
    assert packages("video") == ["av"]


def test_without_metadata_the_extra_is_the_package():
    assert packages("openvino", "no-such-distribution") == []
    assert install("openvino", "no-such-distribution") == "pip install openvino"
