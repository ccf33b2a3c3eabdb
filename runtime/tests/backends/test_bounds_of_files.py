"""What model files say of themselves is read within bounds."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from runtime_support.tiny_model import tiny_model
from ssdreg_runtime.backends.facts import read_facts
from ssdreg_runtime.backends.ir_file import read_metadata
from ssdreg_runtime.backends.model_file import describe
from ssdreg_runtime.errors import ModelError

WHOLE = {"format": "1", "version": '"0.1.0"', "classes": '["a"]', "data_shape": "[8, 8]",
         "backbone": '"b"', "head": '"h"', "threshold": "0.1", "nms_threshold": "0.5",
         "nms_topk": "1", "force_suppress": "false", "mean": "[1, 1, 1]", "std": "[1, 1, 1]",
         "precision": '"float32"'}


@pytest.mark.parametrize("value", [
    "[" * 200_000, "[1e999, 8]", "[" + "9" * 5_000 + ", 8]", "[0, 8]"])
def test_metadata_that_cannot_be(value):
    assert read_facts(WHOLE, None, "net.onnx").data_shape == (8, 8)
    with pytest.raises(ModelError, match="which cannot be right") as caught:
        read_facts({**WHOLE, "data_shape": value}, None, "net.onnx")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [
    '<!DOCTYPE net [<!ENTITY a "1">]><net><layers><layer><data size="&a;"/></layer></layers></net>',
    "<net>" * 500_000, "<net", "",
    '<net><layers><layer><data offset="-4" size="8"/></layer></layers></net>'])
def test_a_description_that_grows_or_is_none(tmp_path, text):
    (tmp_path / "net.xml").write_text(text)
    (tmp_path / "net.bin").write_bytes(b"1234")
    with pytest.raises(ModelError, match=r"is no model of OpenVINO, or it is truncated"):
        read_metadata(tmp_path / "net.xml")


@pytest.mark.parametrize(("kind", "dtype"), [
    ("f32", np.float32), ("f16", np.float16), ("f64", np.float64), ("bf16", np.uint16)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(tmp_path, kind, dtype, value):
    def stored(numbers):
        if kind == "bf16":  # the upper half of a float32
            return (np.asarray(numbers, np.float32).view(np.uint32) >> 16).astype(dtype)
        return np.asarray(numbers, dtype)
    numbers, size = 100_000, 100_000 * np.dtype(dtype).itemsize
    (tmp_path / "net.xml").write_text(
        '<net><layers><layer name="whole"><data element_type="i64" offset="0" size="8"/></layer>'
        f'<layer name="conv0"><data element_type="{kind}" offset="8" size="{size}"/></layer>'
        '<layer name="shape"><data/></layer></layers></net>')
    weights = np.linspace(-1e4, 1e4, numbers)
    (tmp_path / "net.bin").write_bytes(b"\xff" * 8 + stored(weights).tobytes())
    assert read_metadata(tmp_path / "net.xml") == {}
    weights[-1] = value
    (tmp_path / "net.bin").write_bytes(b"\xff" * 8 + stored(weights).tobytes())
    with pytest.raises(ModelError, match=r"'conv0' in .*net\.bin is not finite: the file is dam"):
        read_metadata(tmp_path / "net.xml")


@pytest.mark.parametrize(("key", "value"), [
    ("classes", '"abc"'), ("classes", '["a", "a"]'), ("data_shape", '"12"'),
    ("data_shape", "[true, 8]"), ("data_shape", "[8.5, 8]"), ("backbone", "5"), ("head", "null"),
    ("threshold", "NaN"), ("nms_threshold", "1e999"), ("nms_topk", "2.5"),
    ("force_suppress", '"no"'), ("mean", "[NaN, 1, 1]"), ("mean", '"123"'), ("std", "[0, 1, 1]"),
    ("std", "[1, 1]"), ("precision", "[]"), ("threshold", "1" + "0" * 400)])
def test_values_of_another_kind(key, value):
    with pytest.raises(ModelError, match=f"ssdreg_{key} = .* which cannot be right: "):
        read_facts({**WHOLE, key: value}, None, "net.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_parameters_that_are_not_finite(value, dtype):
    model = tiny_model()
    describe(model.SerializeToString(), "net.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(
        np.array([1, value], dtype), "conv0_weight"))
    with pytest.raises(ModelError, match=r"'conv0_weight' in net\.onnx is not finite"):
        describe(model.SerializeToString(), "net.onnx")
