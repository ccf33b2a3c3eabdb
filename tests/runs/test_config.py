"""A run's configuration, read whole or refused."""

from __future__ import annotations

import json
import shutil

import pytest

from ssdreg.deploy.model import open_deploy_model
from ssdreg.errors import RunError
from ssdreg.runs.run import open_run


@pytest.fixture
def config(tmp_path, tiny_run):
    shutil.copy(tiny_run / "config.json", tmp_path / "config.json")
    return tmp_path / "config.json"


@pytest.mark.parametrize(("change", "says"), [
    (lambda it: it.update(classes="abc"), "classes must be a list of names, not 'abc'"),
    (lambda it: it.update(classes=["a", "b", "c", "d", "e"]),
     "its plan detects 3 classes, and it names 5"),
    (lambda it: it.update(classes=["a", "b", 3]), "classes must hold names, not 3"),
    (lambda it: it.update(classes=["a", "b", "a"]), "classes has the name 'a' twice"),
    (lambda it: it.update(classes={"a": 1, "b": 2, "c": 3}), "classes must be a list of names"),
    (lambda it: it.update(format=0), "there is no format 0"),
    (lambda it: it.update(plan=[1]), "its plan is no object"),
    (lambda it: it["plan"]["preprocessing"].update(mean=[float("nan"), 1, 1]), "mean has three"),
    (lambda it: it["plan"]["preprocessing"].update(mean="123"), "three numbers"),
    (lambda it: it["plan"]["preprocessing"].update(std=[True, True, True]), "three numbers"),
    (lambda it: it["plan"].update(data_shape=[10**9, 10**9]), "data_shape"),
    (lambda it: it["plan"]["sizes"].__setitem__(0, [10**400]), "sizes"),
])
def test_what_cannot_be_is_refused(config, change, says):
    document = json.loads(config.read_text())
    change(document)
    config.write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"config\.json is not what `ssdreg train` wrote: .*" + says):
        open_run(config.parent)


def test_a_file_of_any_size_is_no_configuration(config):
    with config.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(RunError, match="8,589,934,592 bytes"):
        open_run(config.parent)


@pytest.mark.parametrize("data_shape", [[96, 96], [64, 128], [8, 8]])
def test_an_input_size_that_is_not_the_symbols(tmp_path, tiny_run, data_shape):
    shutil.copytree(tiny_run, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    document = json.loads(config.read_text())
    document["plan"]["data_shape"] = data_shape
    config.write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"has a plan of [\d,]+ anchors, and a symbol that makes"):
        open_deploy_model(tmp_path / "run")
