"""The functions of the commands: how they are called, and that they print nothing."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys

import attrs
import pytest
from support.runs import DETECTOR, SIDE, command

import ssdreg
from ssdreg.cli.main import parser
from ssdreg.training.options import FINE_TUNING

#: The commands whose function has their name, and the others.
FUNCTIONS = {"train": ssdreg.train, "eval": ssdreg.evaluate, "export": ssdreg.export,
             "quantize": ssdreg.quantize, "bench": ssdreg.benchmark, "audit": ssdreg.audit,
             "resume": ssdreg.resume, "tune": ssdreg.tune, "resume_tuning": ssdreg.resume_tuning,
             "doctor": ssdreg.doctor}
#: Options that say how something is printed, or are another argument's value.
PRINTED = {"json", "markdown", "chart", "help"}
OTHERWISE = {
    # a function of its own; pretrained=False; part of data_format
    "train": {"resume", "no_pretrained", "columns"},
    "tune": {"resume", "no_pretrained", "columns"},
    "eval": {"mean", "std", "columns"},
    "export": {"mean", "std", "format", "dynamic_batch", "no_nms"},
    "quantize": {"mean", "std", "no_eval", "columns"}, "bench": {"no_peak"}, "audit": set(),
    "doctor": set()}
NAMED = {"run_folder": "run", "path": "model", "format": "data_format"}


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


# How they are called

@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_named_typed_and_explained(name):
    function = FUNCTIONS[name]
    signature = inspect.signature(function)
    first, *others = signature.parameters.values()
    if name not in ("train", "tune"):  # which have no subject but their data
        assert first.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {each.kind for each in others} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(each.annotation is not inspect.Parameter.empty for each in (first, *others))
    assert signature.return_annotation is not inspect.Signature.empty
    fields = {field.name for field in attrs.fields(ssdreg.TrainOptions)}
    for each in signature.parameters:
        explained = f"`{each}`" in function.__doc__
        assert explained or (name, each in fields) == ("train", True) or \
            (name, each) in {("resume", "split"), ("resume", "val_data"), ("resume", "val_split")}
    assert "Raises" in function.__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_misspelt_argument_is_a_type_error(name):
    function = FUNCTIONS[name]
    needed = {each.name: "x" for each in inspect.signature(function).parameters.values()
              if each.default is inspect.Parameter.empty}
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch_count'"):
        function(**needed, epoch_count=3)


@pytest.mark.parametrize("name", OTHERWISE)
def test_every_option_is_an_argument_with_the_same_default(name):
    options = {action.dest: action for action in subparser(name)._actions
               if action.dest not in {*PRINTED, *OTHERWISE[name]}}
    arguments = inspect.signature(FUNCTIONS[name]).parameters
    assert {NAMED.get(each, each) for each in options} <= set(arguments)
    for each, action in options.items():
        argument = arguments[NAMED.get(each, each)]
        if action.default not in (None, "==SUPPRESS==", "1") and action.option_strings:
            assert argument.default == action.default, each


def subparser(name):
    return next(action for action in parser((name,))._actions
                if hasattr(action, "choices") and action.choices).choices[name]


def test_the_recipe_has_the_same_defaults():
    arguments = inspect.signature(ssdreg.train).parameters
    for field in attrs.fields(ssdreg.TrainOptions):
        # what differs where training starts from weights is not known before
        expected = None if field.name in FINE_TUNING else field.default
        assert arguments[field.name].default == expected, field.name


def test_the_names_are_functions_whatever_is_imported():
    """A package of the same name would take its place as soon as it is imported."""
    code = ("import pkgutil, importlib, ssdreg\n"
            "for each in pkgutil.walk_packages(ssdreg.__path__, 'ssdreg.'):\n"
            "    if '.templates' not in each.name and not each.name.endswith('__main__'):\n"
            "        importlib.import_module(each.name)\n"
            "print([name for name in ssdreg.__all__\n"
            "       if type(getattr(ssdreg, name)).__name__ == 'module'])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True)
    assert done.stdout == "[]\n"


# What they return, and that nothing is printed

def test_evaluating(silence, tiny_run, tiny_shapes):
    found = ssdreg.evaluate(tiny_run)
    assert (found.model, found.epoch, found.measures.voc.images) == (str(tiny_run), 1, 6)
    assert [each.name for each in found.measures.voc.classes] == ["circle", "square", "triangle"]
    assert found.data == f"{tiny_shapes}, split val"
    assert found.map == ssdreg.evaluate(tiny_run, data=tiny_shapes, split="val").map
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.epoch = 2


def test_evaluating_is_what_the_command_does(capsys, tiny_run):
    done = command(capsys, "eval", tiny_run, "--json")
    assert json.loads(done.out) == ssdreg.evaluate(tiny_run).to_dict()
    assert command(capsys, "eval", tiny_run).out == f"{ssdreg.evaluate(tiny_run).text()}\n"


def test_exporting(silence, tiny_run, tiny_shapes, tmp_path):
    told = []
    photo = tiny_shapes / "JPEGImages" / "000001.jpg"
    exported = ssdreg.export(tiny_run, out=tmp_path / "model.onnx", check=photo,
                             progress=told.append)
    assert exported.file == tmp_path / "model.onnx"
    assert exported.size == exported.file.stat().st_size
    assert (exported.images, exported.agrees, exported.replaced) == (1, True, False)
    assert all(parity.equal for parity in exported.parity.values())
    # as soon as it is there, and before it is compared
    assert [(each.file, dict(each.parity)) for each in told] == [(exported.file, {})]
    again = ssdreg.export(tiny_run, out=exported.file, batch_size=None, nms=False)
    assert (again.replaced, again.options.batch, dict(again.parity)) == (True, None, {})


def test_exporting_is_what_the_command_does(capsys, tiny_run, tmp_path):
    assert command(capsys, "export", tiny_run, "--out", tmp_path / "one.onnx").status == 0
    ssdreg.export(tiny_run, out=tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_quantizing(silence, run, tiny_shapes):
    report = ssdreg.quantize(run, data=tiny_shapes, calibration_images=3, rounds=2, drop=1.0,
                             backend="mxnet", out=run.with_name("eight"))
    assert report.out == str(run.with_name("eight"))
    assert (report.quantized.backend, report.quantized.precision) == ("mxnet", "int8")
    assert report.after.evaluation.images == 6
    assert report.before.latency.median > 0
    assert not report.missed()
    assert ssdreg.Detector(report.out, backend="mxnet").precision == "int8"


def test_quantizing_is_what_the_command_does(capsys, run, tiny_shapes, tmp_path):
    def said(out):
        return {name: value for name, value in out.items() if name != "out"}
    done = command(capsys, "quantize", run, "--data", tiny_shapes, "--calibration-images", 3,
                   "--no-eval", "--json", "--out", tmp_path / "one.onnx")
    report = ssdreg.quantize(run, data=tiny_shapes, calibration_images=3, measure=False,
                             out=tmp_path / "two.onnx")
    assert said(json.loads(done.out)) == said(report.to_dict())
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_benchmarking(silence, tiny_run):
    told = []
    figures = ssdreg.benchmark(tiny_run, backends="onnxruntime", precisions="float32", rounds=2,
                               peak=False, progress=told.append)
    row, = figures.rows
    assert (row.configuration.name, row.batch) == ("onnxruntime float32", 1)
    assert 0 < row.seconds.lower <= row.seconds.median <= row.seconds.upper
    assert figures.workload.data_shape == (SIDE, SIDE)
    assert [each.what for each in told if each.what][-1] == "measured"
    assert told[-1].ended


def test_auditing(silence, tmp_path):
    file = tmp_path / "net-symbol.json"
    ssdreg.get_backbone("resnet101").symbol().save(str(file))
    copied = ssdreg.plan("resnet50").taps
    audit = ssdreg.audit(file, layers=copied)
    assert not audit.passed
    found, = audit.items
    assert tuple(layer.name for layer in found.right) == ssdreg.plan("resnet101").taps
    assert found.share < 0.5
    assert ssdreg.audit(file, layers=ssdreg.plan("resnet101").taps).passed


def test_auditing_is_what_the_command_does(capsys, tmp_path):
    file = tmp_path / "net-symbol.json"
    ssdreg.get_backbone("resnet50").symbol().save(str(file))
    done = command(capsys, "audit", file, "--layers", "_plus12,_plus15", "--json")
    item, = ssdreg.audit(file, layers="_plus12,_plus15").items
    said, = json.loads(done.out)
    assert said == json.loads(json.dumps({**attrs.asdict(item), "share": item.share}))


@pytest.mark.parametrize(("function", "subject", "arguments"), [
    ("eval", ["nowhere"], {}),
    ("eval", ["nowhere"], {"split": "val"}),
    ("eval", ["nowhere"], {"device": "cuda", "backend": "openvino"}),
    ("export", ["nowhere"], {}),
    ("export", ["nowhere"], {"opset": 3}),
    ("export", ["nowhere"], {"out": "model.txt"}),
    ("export", ["nowhere"], {"nms": False, "check": "photo.jpg"}),
    ("quantize", ["nowhere"], {"data": "nowhere"}),
    ("quantize", ["nowhere"], {"data": "nowhere", "drop": 7.0}),
    ("quantize", ["nowhere"], {"data": "nowhere", "backend": "tvm"}),
    ("bench", ["resnet51"], {}),
    ("bench", ["resnet18"], {"rounds": 0}),
    ("bench", ["resnet18"], {"batch_size": ()}),
    ("bench", ["resnet18"], {"backends": "tvm"}),
    ("audit", [], {}),
    ("audit", ["nowhere.json"], {}),
    ("audit", ["nowhere.json"], {"gluoncv": True}),
    ("resume", ["nowhere"], {}),
    ("resume_tuning", ["nowhere"], {}),
    ("tune", [], {"data": "nowhere", "out": "tuning", "backbone": "resnet18"}),
    ("tune", [], {"data": "nowhere", "out": "tuning", "budget": -1.0})])
def test_what_cannot_be_is_one_sentence(silence, function, subject, arguments, tmp_path,
                                        monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ssdreg.SsdregError) as caught:
        FUNCTIONS[function](*subject, **arguments)
    assert len(str(caught.value)) > 20
    assert list(tmp_path.iterdir()) == []


# What they tell

def test_packing_is_told(silence, tiny_shapes, tmp_path, monkeypatch):
    data = shutil.copytree(tiny_shapes, tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (data / "JPEGImages" / "000003.jpg").write_bytes(b"no image")
    told = []
    result = ssdreg.train(backbone="resnet18", data=data, out=tmp_path / "run", data_shape=SIDE,
                          tap_strides=(8, 16), epochs=1, batch_size=8, progress=told.append)
    packing = [each for each in told if getattr(each, "what", "") == "packing train"]
    # the one whose size cannot be read is not packed
    assert [each.done for each in packing] == [*range(16), 15]
    assert [each.ended for each in packing] == [False] * 16 + [True]
    assert {each.total for each in packing} == {15}
    issues, = (each for each in told if isinstance(each, ssdreg.DataIssues))
    assert "000003.jpg: unreadable image" in str(issues)
    assert issues.issues == result.issues


def test_whatever_is_told_is_a_line(tiny_shapes, tmp_path):
    """So that `progress=print` shows something that can be read."""
    lines = []
    ssdreg.train(backbone="resnet18", data=tiny_shapes, out=tmp_path / "run", data_shape=SIDE,
                 tap_strides=(8, 16), epochs=1, batch_size=8,
                 progress=lambda event: lines.append(str(event)))
    assert not any("object at 0x" in line for line in lines)
    patterns = (r"resnet18, ssd at 64x64: 16 images with \d+ objects of 3 classes \(.*\)",
                r"epoch 1/1, step 2/2: 16 of 16 images, cls [\d.]+ loc [\d.]+",
                r"epoch   1 +[\d.]+ img/s  cls [\d.]+  loc [\d.]+  mAP [\d.]+  AP [\d.]+  "
                r"[\d.]+ s")
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line) for line in lines), pattern


def test_the_console_shows_what_the_command_shows(capsys, tiny_shapes, tmp_path):
    recipe = {"epochs": 2, "batch_size": 8}
    done = command(capsys, "train", *DETECTOR, "--data", tiny_shapes, "--out", tmp_path / "one",
                   "--epochs", 2, "--batch-size", 8)
    with pytest.warns(ssdreg.DetectorWarning):
        ssdreg.train(backbone="resnet18", data=tiny_shapes, out=tmp_path / "two",
                     data_shape=SIDE, tap_strides=(8, 16), progress=ssdreg.Console(), **recipe)
    shown = capsys.readouterr()

    def timeless(text):
        return re.sub(r" +[\d.]+ img/s|  [\d.]+ (s|min|h)$", "", text, flags=re.MULTILINE)
    lines = done.out.splitlines()
    assert timeless(shown.out).splitlines() == timeless(done.out).splitlines()[:-2]
    assert lines[6].startswith("reached mAP 0.")
    assert lines[7].startswith("there are few objects")
    assert len(lines) >= 4 + 2 + 2 + 2
    assert shown.err == ""
