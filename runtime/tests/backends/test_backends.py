"""Opening model files with either runtime, and one clear sentence for what is none."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import numpy as np
import onnx
import pytest
from runtime_support.tiny_model import (
    CLASSES,
    DATA_SHAPE,
    QUARTERS,
    ROWS,
    metadata,
    picture,
    tiny_model,
)
from ssdreg_runtime import DependencyError, ModelError, SsdregError
from ssdreg_runtime.backends import BACKENDS, installed, open_backend
from ssdreg_runtime.backends.model_file import describe
from ssdreg_runtime.backends.precisions import MIXED, resolve_precision
from ssdreg_runtime.system.telemetry import no_telemetry
from ssdreg_runtime.system.threads import choose

RED, GREEN, BLUE, DARK = (200, 0, 0), (0, 250, 0), (10, 0, 100), (0, 0, 0)
#: What the tiny model finds in the picture of these colours.
EXPECTED = [(1, 250 / 255, *QUARTERS[1]), (0, 200 / 255, *QUARTERS[0]),
            (2, 100 / 255, *QUARTERS[2])]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param not in installed():
        pytest.skip(f"the package {request.param} is not installed")
    return request.param


@pytest.fixture
def write(tmp_path):
    def write(name="tiny.onnx", batch=1, **changes):
        onnx.save(tiny_model(batch, **changes), tmp_path / name)
        return tmp_path / name
    return write


@pytest.fixture
def write_ir(tmp_path, openvino):
    def write_ir(name="tiny.xml", batch=1, **changes):
        plain = tiny_model(batch)
        del plain.metadata_props[:]
        model = openvino.Core().read_model(plain.SerializeToString())
        for key, value in metadata(**changes).items():
            model.set_rt_info(value, ["ssdreg", key])
        openvino.save_model(model, tmp_path / name, compress_to_fp16=False)
        return tmp_path / name
    return write_ir


@pytest.fixture
def openvino():
    with no_telemetry():
        return pytest.importorskip("openvino", reason="the package openvino is not installed")


def images(count=1):
    """Return `count` pictures of the model's size, the colours moved on by one each time."""
    colors = [RED, GREEN, BLUE, DARK]
    height, width = DATA_SHAPE
    return np.stack([picture(np.roll(colors, index, axis=0), (width, height))
                     for index in range(count)])


def rows(found):
    return found[found[:, 0] >= 0]


# What opens

@pytest.mark.parametrize("batch", [1, 3, None])
def test_a_file_and_its_bytes(write, backend, batch):
    file = write(batch=batch)
    for model in (file, str(file), file.read_bytes()):
        opened = open_backend(model, backend, 1)
        assert (opened.name, opened.precision) == (backend, "float32")
        facts = opened.facts
        assert (facts.classes, facts.data_shape, facts.batch) == (CLASSES, DATA_SHAPE, batch)
        assert (facts.threshold, facts.nms_threshold, facts.nms_topk, facts.force_suppress) == (
            0.01, 0.45, 400, False)
        assert (facts.backbone, facts.head, facts.mean, facts.std, facts.version) == (
            "quarters", "mean", (0, 0, 0), (1, 1, 1), "0.1.0")
        found = opened.run(images(batch or 2))
        assert (found.shape, found.dtype) == ((batch or 2, ROWS, 6), np.float32)
        assert np.allclose(rows(found[0]), EXPECTED, atol=1e-6)


def test_openvinos_own_files(write_ir):
    file = write_ir(classes=["rot", "grün", "blau"], batch=2)
    opened = open_backend(file, threads=1)
    assert (opened.name, opened.facts.classes) == ("openvino", ("rot", "grün", "blau"))
    assert opened.facts.batch == 2
    assert np.allclose(rows(opened.run(images(2))[0]), EXPECTED, atol=1e-6)


def test_a_file_that_openvino_made_of_an_onnx_file(write, tmp_path, openvino):
    openvino.save_model(openvino.Core().read_model(write()), tmp_path / "converted.xml")
    opened = open_backend(tmp_path / "converted.xml", threads=1)
    assert np.allclose(rows(opened.run(images())[0]), EXPECTED, atol=1e-3)


def test_any_batch_gives_each_image_what_it_gets_alone(write, backend):
    opened = open_backend(write(batch=None), backend, 1)
    pictures = images(6)
    alone = [opened.run(pictures[index:index + 1])[0] for index in range(6)]
    # more sizes than OpenVINO compiles a model for
    for count in (2, 3, 5, 6, 4, 1):
        found = opened.run(pictures[:count])
        assert len(found) == count
        for index in range(count):
            assert np.allclose(rows(found[index]), rows(alone[index]), atol=1e-6)
    assert not np.allclose(rows(alone[0]), rows(alone[1]))


def test_answers_are_the_callers_own(write, backend):
    opened = open_backend(write(), backend, 1)
    first = opened.run(images())
    kept = first.copy()
    opened.run(np.full((1, *DATA_SHAPE, 3), 77, np.uint8))
    assert np.array_equal(first, kept)


def test_images_in_another_order_in_memory(write, backend):
    opened = open_backend(write(), backend, 1)
    turned = np.ascontiguousarray(images()[..., ::-1])[..., ::-1]
    assert np.allclose(rows(opened.run(turned)[0]), EXPECTED, atol=1e-6)


def test_threads_may_share_a_backend(write, backend):
    opened = open_backend(write(batch=None), backend, 1)
    pictures, wrong = images(4), []
    alone = [opened.run(pictures[index:index + 1])[0] for index in range(4)]

    def work(index):
        wrong.extend(index for _ in range(50)
                     if not np.array_equal(opened.run(pictures[index:index + 1])[0], alone[index]))

    threads = [Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_backend_sends_nothing_home(write, backend, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environ = {name: value for name, value in os.environ.items()
               if name not in ("CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")}
    subprocess.run(
        [sys.executable, "-c", "import sys; from ssdreg_runtime.backends import open_backend\n"
         "open_backend(sys.argv[1], sys.argv[2], 1)", str(write()), backend],
        env={**environ, "HOME": str(home)}, check=True)
    # where it would have left the number that it knows the user by
    assert list(home.iterdir()) == []


# Which backend, how many threads

def test_auto_prefers_openvino(write, monkeypatch):
    if installed() != BACKENDS:
        pytest.skip("one of the packages openvino and onnxruntime is not installed")
    assert open_backend(write(), threads=1).name == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert open_backend(write(), threads=1).name == "onnxruntime"


def test_a_missing_runtime_is_named_with_what_to_install(write, backend, monkeypatch):
    file = write()
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(DependencyError, match=rf"tiny\.onnx needs the package {backend}, which is "
                                              rf"not installed: run `pip install "
                                              rf"'{backend}>=[\d.]+'`"):
        open_backend(file, backend)
    for name in BACKENDS:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=r"neither is installed: run `pip install "
                                              r"'openvino>=[\d.]+'` or"):
        open_backend(file)


def test_openvinos_files_need_openvino(write_ir, monkeypatch):
    file = write_ir()
    with pytest.raises(ModelError, match=r"tiny\.xml is a model of OpenVINO, which ONNX Runtime "
                                         r"cannot run: use the backend openvino"):
        open_backend(file, "onnxruntime")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DependencyError, match=r"tiny\.xml needs the package openvino"):
        open_backend(file)


def test_a_runtime_that_does_not_import(write, tmp_path):
    broken = tmp_path / "onnxruntime.py"
    broken.write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from ssdreg_runtime.backends import open_backend\n"
         "try: open_backend(sys.argv[1], 'onnxruntime')\n"
         "except ImportError as error: print(error)", str(write())],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == ("the package onnxruntime is installed but cannot be imported: "
                           "libgomp.so.1: cannot open shared object file\n")


@pytest.mark.parametrize(("given", "variable", "used"), [
    (3, "2", 3), (None, "2", 2), (None, "4,2", 4)])
def test_the_number_of_threads(write, backend, monkeypatch, given, variable, used):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    opened = open_backend(write(), backend, given)
    if backend == "onnxruntime":
        count = opened._session.get_session_options().intra_op_num_threads
    else:
        request = next(iter(opened._requests.values()))
        count = request.get_compiled_model().get_property("INFERENCE_NUM_THREADS")
        # it takes no more than there are cores
        used = min(used, choose({}).count)
    assert count == used


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_what_is_no_number_of_threads(write, threads):
    with pytest.raises(SsdregError, match="is no number of threads: give 1 or more"):
        open_backend(write(), threads=threads)


def test_an_unknown_backend(write):
    with pytest.raises(ModelError, match="there is no backend 'tensorrt' for model files: choose "
                                         "one of auto, openvino, onnxruntime"):
        open_backend(write(), "tensorrt")


# Precision

@pytest.mark.parametrize(("stored", "asked", "computed"), [
    ("float32", "auto", "float32"), ("float32", "float32", "float32"),
    ("float32", "bfloat16", "bfloat16"), ("float16", "auto", "float16"),
    ("float16", "float32", "float32"), ("bfloat16", "auto", "bfloat16"),
    ("bfloat16", "float32", "float32"), ("int8", "auto", "int8"), ("int8", "int8", "int8"),
    ("int8", "bfloat16", MIXED)])
def test_the_precision_that_is_computed_in(write, stored, asked, computed):
    file = describe(write(precision=stored), "")
    assert resolve_precision(asked, file.facts, "tiny.onnx") == computed


@pytest.mark.parametrize(("stored", "asked", "sentence"), [
    ("float32", "int8", "holds float32 and cannot be computed in int8: make one with "
                        "`ssdreg quantize RUN --data DIR`"),
    ("float32", "float16", "cannot be computed in float16: make one with `ssdreg export"),
    ("int8", "float32", "holds int8 and cannot be computed in float32: export the run"),
    ("float32", "int4", "there is no precision 'int4': choose one of auto, float32")])
def test_a_precision_that_the_file_cannot_have(write, backend, stored, asked, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_backend(write(precision=stored), backend, 1, asked)


def test_openvino_computes_in_float32_unless_bfloat16_is_asked(write, openvino):
    def hint(opened):
        request = next(iter(opened._requests.values()))
        name = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return opened.precision, name

    assert hint(open_backend(write(), "openvino", 1)) == ("float32", "f32")
    assert hint(open_backend(write(precision="int8"), "openvino", 1)) == ("int8", "f32")
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for stored, asked, computed in (("float32", "bfloat16", "bfloat16"),
                                    ("bfloat16", "auto", "bfloat16"),
                                    ("int8", "bfloat16", MIXED)):
        file = write(precision=stored)
        if "BF16" in capabilities:
            assert hint(open_backend(file, "openvino", 1, asked)) == (computed, "bf16")
        else:
            with pytest.raises(ModelError, match="this processor has no bfloat16"):
                open_backend(file, "openvino", 1, asked)


def test_onnx_runtime_has_no_bfloat16(write):
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    for stored, asked in (("float32", "bfloat16"), ("bfloat16", "auto"), ("int8", "bfloat16")):
        with pytest.raises(ModelError, match="ONNX Runtime has no bfloat16 on processors; use the "
                                             "backend openvino, or another precision"):
            open_backend(write(precision=stored), "onnxruntime", 1, asked)


# What does not open

def test_files_that_are_no_onnx_file(write, tmp_path, backend, capfd):
    whole = write().read_bytes()
    contents = {"cut": whole[:len(whole) // 2], "cut_late": whole[:-30], "text": b"no model " * 20,
                "zeros": bytes(1000), "picture": b"\xff\xd8\xff\xe0\x00\x10JFIF" * 50}
    for name, content in contents.items():
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name}\.onnx is no ONNX file, or it is truncated"):
            open_backend(file, backend)
        with pytest.raises(ModelError, match="the cells is no ONNX file, or it is truncated"):
            open_backend(content, backend, name="the cells")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match=r"empty\.onnx is empty: fetch or export it again"):
        open_backend(tmp_path / "empty.onnx", backend)
    with pytest.raises(ModelError, match=r"the model in memory is no ONNX file: it holds no graph"):
        open_backend(b"", backend)
    # the runtimes themselves would have written lines of their own
    assert capfd.readouterr() == ("", "")


def test_every_place_to_cut_a_file(write):
    whole = write().read_bytes()
    for end in range(0, len(whole), 7):
        with pytest.raises(ModelError, match=r"the model in memory (is no ONNX file|is a model, "
                                             r"but no detector|lacks ssdreg_)"):
            open_backend(whole[:end])


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"format": None}, r"is a model, but no detector of ssdreg: its metadata have no "
                       r"ssdreg_format; write one with `ssdreg export RUN --format onnx`"),
    ({"format": 2, "version": "9.1"}, "was written by ssdreg 9.1 in format 2, and this "
                                      "ssdreg-runtime reads format 1: upgrade it from "),
    ({"mean": None}, "lacks ssdreg_mean in its metadata: export it again"),
    ({"classes": "cat"}, "says ssdreg_classes = '\"cat\"' in its metadata, which cannot be right: "
                         "it should be a list of names"),
    ({"data_shape": [0, 3]}, r"says ssdreg_data_shape = .* height and width"),
    ({"data_shape": [8]}, "says ssdreg_data_shape"), ({"std": 1}, "says ssdreg_std = '1'"),
    ({"precision": "int4"}, "it should be one of float32"),
    ({"data_shape": [300, 300]}, r"takes images of the shape \(1, 8, 12, 3\), but its metadata say "
                                 r"300x300 pixels"),
    ({"inputs": "data"}, "has the inputs data and the outputs detection, where a detector has "
                         "images and detection"),
    ({"outputs": ("detection", "more")}, "and the outputs detection, .*, where"),
    ({"outputs": ("scores", "boxes")}, "was exported without non-maximum suppression, .* export it "
                                       "without --no-nms"),
])
def test_models_that_are_no_detector(write, backend, changes, sentence):
    with pytest.raises(ModelError, match=rf"tiny\.onnx .*{sentence}"):
        open_backend(write(**changes), backend)


def test_metadata_that_are_no_json(write, tmp_path):
    model = onnx.load(write())
    for entry in model.metadata_props:
        if entry.key == "ssdreg_head":
            entry.value = "ssd"
    onnx.save(model, tmp_path / "plain.onnx")
    with pytest.raises(ModelError, match="says ssdreg_head = 'ssd' in its metadata, which cannot "
                                         "be right"):
        open_backend(tmp_path / "plain.onnx")


def test_a_model_that_the_runtime_refuses(write, tmp_path, backend):
    model = onnx.load(write())
    model.graph.node[0].op_type, model.graph.node[0].domain = "Strange", "my.own"
    model.opset_import.add(domain="my.own", version=1)
    onnx.save(model, tmp_path / "own.onnx")
    sentence = rf"own\.onnx cannot be opened by {backend} \d.*damaged, or newer .*-U {backend}`\): "
    with pytest.raises(ModelError, match=sentence) as caught:
        open_backend(tmp_path / "own.onnx", backend)
    assert caught.value.__cause__ is not None
    assert "\n" not in str(caught.value)


def test_folders_and_nothing(tmp_path, backend):
    with pytest.raises(ModelError, match="is a folder and no model file: give the "):
        open_backend(tmp_path, backend)
    with pytest.raises(ModelError, match=r"none\.onnx is not there: give a model file"):
        open_backend(tmp_path / "none.onnx", backend)


def test_openvinos_files_that_are_not_whole(write_ir, capfd):
    file = write_ir()
    text, weights = file.read_text(), file.with_suffix(".bin").read_bytes()
    file.with_suffix(".bin").write_bytes(weights[:-20])
    with pytest.raises(ModelError, match=rf"tiny\.bin is truncated, or belongs to another file .*"
                                         rf"it has {len(weights) - 20} bytes of {len(weights)}"):
        open_backend(file)
    file.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"tiny\.bin is not there, which holds the weights"):
        open_backend(file)
    file.with_suffix(".bin").write_bytes(weights)
    cut = text[:len(text) // 2]
    for content, sentence in ((cut, "is no model of OpenVINO, or it is truncated"),
                              ("<svg></svg>", "is no model of OpenVINO: its XML describes no "),
                              ("no XML", "is no model of OpenVINO, or it is truncated")):
        file.write_text(content)
        with pytest.raises(ModelError, match=rf"tiny\.xml {sentence}"):
            open_backend(file)
    assert capfd.readouterr() == ("", "")


def test_openvinos_files_of_others(write_ir):
    with pytest.raises(ModelError, match=r"tiny\.xml is a model, but no detector of ssdreg"):
        open_backend(write_ir(format=None))
    with pytest.raises(ModelError, match=r"tiny\.xml was written by ssdreg 9\.1 in format 7"):
        open_backend(write_ir(format=7, version="9.1"))
