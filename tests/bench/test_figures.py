"""What measurements come to: rows, ratios, tables, JSON and the chart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.system.installing import install
from ssdreg_runtime.system.processor import BFLOAT16

from ssdreg.bench import tables
from ssdreg.bench.configurations import CONFIGURATIONS, choose
from ssdreg.bench.figures import (
    Configuration,
    Figures,
    Machine,
    Missing,
    Peak,
    Spread,
    Workload,
    make_post,
    make_rows,
    ratio,
    spread,
)
from ssdreg.bench.measure import Times
from ssdreg.drawing.latency_chart import draw_chart, label
from ssdreg.errors import BenchError

FIRST, SECOND, THIRD = (Configuration("mxnet", "float32"), Configuration("openvino", "bfloat16"),
                        Configuration("openvino", "int8"))
FLAGS = "ssdreg_runtime.system.processor._processor_flags"
SUBJECT = Workload("some_$net", "ssd", (300, 400), 20, 2268, 5_000_000_000)


def times(*rounds):
    return Times({}, tuple(tuple(turn) for turn in rounds))


@pytest.fixture
def figures():
    measured = {FIRST.name: times((0.1, 0.1), (0.2, 0.2), (0.1, 0.12)),
                THIRD.name: times((0.025, 0.025), (0.05, 0.05), (0.0252, 0.0254))}
    peaks = (Peak("float32", "numpy, 512x512", 300.0),)
    rows = make_rows((FIRST, SECOND, THIRD), measured, 2, SUBJECT.multiply_adds, peaks)
    return Figures(SUBJECT, Machine("Some | Processor", 2, 2, {"ssdreg": "1"}), 3, 2, rows,
                   (Missing(SECOND, "openvino not installed: run it"),
                    Missing(THIRD, "its process was ended by SIGSEGV", 8)), peaks)


def test_spread_is_the_median_and_the_quartiles():
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0)
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(3.0, 2.0, 4.0)


def test_ratios_are_taken_round_by_round():
    # the machine is ten times as slow in the second half, for both alike
    slow = times((1.0,), (1.0,), (10.0,), (10.0,))
    fast = times((0.5,), (0.6,), (5.0,), (5.0,))
    assert ratio(fast, slow) == 0.5
    assert ratio(slow, slow) == 1


def test_rows_of_given_times(figures):
    first, third = figures.rows
    assert (first.configuration, first.batch, first.samples) == (FIRST, 2, 6)
    assert first.seconds.median == pytest.approx(0.11)
    assert first.images_per_second == pytest.approx(2 / 0.11)
    assert first.ratio == 1
    # two operations a multiply-add, two images
    assert first.gflops == pytest.approx(2 * 5 * 2 / 0.11)
    assert first.share == pytest.approx(2 * 5 * 2 / 0.11 / 300)
    assert third.ratio == pytest.approx(0.25)
    assert third.share is None


def test_ratios_are_to_the_first_that_was_measured():
    rows = make_rows((FIRST, SECOND, THIRD), {SECOND.name: times((0.2,)), THIRD.name:
                     times((0.1,))}, 1, 1, ())
    assert [(row.configuration, row.ratio) for row in rows] == [(SECOND, 1.0), (THIRD, 0.5)]


def test_post_processing_is_held_against_the_whole_round_by_round():
    post = make_post(FIRST, times((1.0,), (2.0,), (1.0,)), times((0.9,), (1.8,), (0.5,)),
                     times((0.05,), (0.1,), (0.08,)), 1)
    assert post.share == pytest.approx(0.05)
    assert post.difference == pytest.approx(0.1)
    assert (post.whole.median, post.network.median, post.rest.median) == (1.0, 0.9, 0.08)


def test_tables_say_everything(figures):
    text = tables.text(figures)
    heading = text.splitlines()[:3]
    assert heading[0] == ("some_$net, ssd at 300x400, 20 classes, 2,268 anchors, "
                          "5.00 G multiply-adds an image")
    assert heading[1] == "Some | Processor, 2 cores, 2 threads; ssdreg 1"
    assert heading[2].startswith("medians of 3 rounds of 2, in turns")
    lines = text.splitlines()
    assert lines[4].split() == ["backend", "precision", "batch", "ms", "quartiles", "images/s",
                                "ratio", "GFLOP/s", "of", "peak"]
    assert lines[5].split() == ["mxnet", "float32", "2", "110", "100", "to", "180", "18.2", "1.00",
                                "182", "61%"]
    assert lines[6].split()[:4] == ["openvino", "int8", "2", "25.3"]
    assert lines[6].split()[-1] == "?"
    assert "openvino bfloat16: openvino not installed: run it" in lines
    assert "openvino int8, batch 8: its process was ended by SIGSEGV" in lines
    marked = tables.markdown(figures).splitlines()
    assert "| openvino | int8 | 2 | 25.3 |" in "\n".join(marked)
    assert "- openvino bfloat16: openvino not installed: run it" in marked


def test_json_has_everything(figures):
    found = json.loads(json.dumps(figures.to_dict()))
    assert found["format"] == 1
    assert found["workload"] == {"backbone": "some_$net", "head": "ssd", "data_shape": [300, 400],
                                "classes": 20, "anchors": 2268, "multiply_adds": 5_000_000_000}
    row = found["rows"][1]
    assert set(row) == {"configuration", "batch", "seconds", "samples", "images_per_second",
                        "ratio", "gflops", "share"}
    assert row["configuration"] == {"backend": "openvino", "precision": "int8"}
    assert set(row["seconds"]) == {"median", "lower", "upper"}
    assert found["peaks"] == [{"precision": "float32", "engine": "numpy, 512x512",
                               "gflops": 300.0}]
    assert [each["batch"] for each in found["missing"]] == [None, 8]
    assert (found["rounds"], found["timed"], found["post"]) == (3, 2, [])


def bar(picture, color):
    """Return the width of the leftmost bar of this colour in pixels; hatching cuts no bar off."""
    pixels = np.asarray(Image.open(picture).convert("RGB"), dtype=int)
    columns = np.flatnonzero((np.abs(pixels - color).max(axis=2) < 12).any(axis=0))
    gaps = np.flatnonzero(np.diff(columns) > 10)
    return columns[gaps[0] if len(gaps) else -1] - columns[0] + 1


def test_the_chart_has_bars_as_long_as_times(figures, tmp_path):
    out = tmp_path / "new" / "bars.png"
    draw_chart(figures, out)
    assert Image.open(out).format == "PNG"
    blue, green = bar(out, (0, 114, 178)), bar(out, (0, 158, 115))
    assert blue > 200
    assert green / blue == pytest.approx(0.23, abs=0.02)
    assert [path.name for path in out.parent.iterdir()] == ["bars.png"]


def test_the_chart_is_labelled(figures, tmp_path):
    draw_chart(figures, tmp_path / "bars.svg")
    svg = (tmp_path / "bars.svg").read_text(encoding="utf-8")
    for text in ("some_$net, ssd at 300x400, batch 2", "Some | Processor, 2 cores",
                 "110 ms   1.00\N{MULTIPLICATION SIGN}", "25.3 ms   0.25\N{MULTIPLICATION SIGN}",
                 "mxnet float32", "openvino int8"):
        assert text in svg
    assert label(figures.rows[0]) == "110 ms   1.00\N{MULTIPLICATION SIGN}"


def test_a_chart_of_another_suffix_is_refused(figures, tmp_path):
    with pytest.raises(BenchError, match=r"bars\.what: its suffix is to be \.svg or \.png"):
        draw_chart(figures, tmp_path / "bars.what")
    assert list(tmp_path.iterdir()) == []


def test_configurations_are_chosen_by_name(monkeypatch):
    monkeypatch.setattr("ssdreg.bench.configurations.find_spec", lambda name: name)
    monkeypatch.setattr(FLAGS, lambda: BFLOAT16)
    assert choose().configurations == CONFIGURATIONS
    assert choose().missing == ()
    chosen = choose(("openvino", "onnxruntime"), ("bfloat16",))
    assert chosen.configurations == (Configuration("openvino", "bfloat16"),)
    assert chosen.missing == (Missing(Configuration("onnxruntime", "bfloat16"),
                                      "ONNX Runtime has no bfloat16 on processors"),)


def test_what_is_not_installed_is_said_with_the_command(monkeypatch):
    monkeypatch.setattr("ssdreg.bench.configurations.find_spec",
                        lambda name: name if name == "openvino" else None)
    monkeypatch.setattr(FLAGS, lambda: BFLOAT16)
    chosen = choose(("onnxruntime", "openvino"))
    assert [each.name for each in chosen.configurations] == ["openvino float32",
                                                             "openvino bfloat16"]
    assert [(each.configuration.name, each.why) for each in chosen.missing] == [
        ("onnxruntime float32", f"onnxruntime not installed: run `{install('onnxruntime')}`"),
        ("onnxruntime int8", f"onnxruntime not installed: run `{install('onnxruntime')}`"),
        ("openvino int8", f"nncf not installed: run `{install('openvino', 'ssdreg')}`")]
    with pytest.raises(BenchError, match="nothing is left to measure: onnxruntime float32: onn"):
        choose(("onnxruntime",))


def test_what_this_processor_does_not_compute_is_said(monkeypatch):
    monkeypatch.setattr("ssdreg.bench.configurations.find_spec", lambda name: name)
    monkeypatch.setattr(FLAGS, frozenset)
    chosen = choose()
    assert [(each.configuration.name, each.why) for each in chosen.missing] == [
        (name, "this processor has no bfloat16 for it")
        for name in ("mxnet bfloat16", "openvino bfloat16")]
    assert len(chosen.configurations) == len(CONFIGURATIONS) - 2


@pytest.mark.parametrize(("backends", "precisions", "sentence"), [
    (("tensorrt",), (), "there is no backend 'tensorrt': choose among mxnet, onnxruntime"),
    ((), ("int4",), "there is no precision 'int4': choose among float32, bfloat16, int8"),
])
def test_names_there_are_not_are_refused(backends, precisions, sentence):
    with pytest.raises(BenchError, match=sentence):
        choose(backends, precisions)
