"""What docs/sagemaker.md says is what is understood."""

from __future__ import annotations

import re

import attrs
import pytest
from support.hyperparameters import PAGE, TABLES, held

from ssdreg.sagemaker.artifacts import ONNX, PARAMS, SYMBOL
from ssdreg.sagemaker.hyperparameters import NAMES, TABLE, Settings
from ssdreg.sagemaker.serve import PORT_VARIABLE, TIMEOUT_VARIABLE, WORKERS_VARIABLE

#: The defaults of the built-in algorithm, as its documentation states them; empty for none.
DOCUMENTED = {
    "base_network": "vgg-16", "early_stopping": "False", "early_stopping_min_epochs": "10",
    "early_stopping_patience": "5", "early_stopping_tolerance": "0.0", "image_shape": "300",
    "epochs": "30", "freeze_layer_pattern": "", "kv_store": "", "label_width": "350",
    "learning_rate": "0.001", "lr_scheduler_factor": "0.1", "lr_scheduler_step": "",
    "mini_batch_size": "32", "momentum": "0.9", "nms_threshold": "0.45", "optimizer": "sgd",
    "overlap_threshold": "0.5", "use_pretrained_model": "1", "weight_decay": "0.0005",
    "num_classes": "required", "num_training_samples": "required"}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_code(name):
    assert held(PAGE.read_text(encoding="utf-8"), name) == TABLES[name]()


def test_defaults_are_those_of_the_built_in_algorithm():
    assert {name: NAMES[name].default for name in DOCUMENTED} == DOCUMENTED
    assert set(NAMES) - set(DOCUMENTED) == {"checkpoint_frequency"}


def test_every_hyperparameter_is_a_setting():
    assert [each.name for each in TABLE] == [
        field.name for field in attrs.fields(Settings) if field.name != "notes"]


def test_files_and_variables_are_named():
    text = PAGE.read_text(encoding="utf-8")
    for name in (SYMBOL, PARAMS, ONNX, PORT_VARIABLE, WORKERS_VARIABLE, TIMEOUT_VARIABLE):
        assert f"`{name}`" in text
    assert set(re.findall(r"`(SAGEMAKER_\w+)`", text)) == {
        PORT_VARIABLE, WORKERS_VARIABLE, TIMEOUT_VARIABLE}
