"""Detectors that are declared with their weights: fetched, opened by name, trained on."""

from __future__ import annotations

import hashlib
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support import gluon_ssd
from support.runs import SIDE, SMALL, command, refused
from support.serving import Answering, served

import ssdreg
from ssdreg import DetectorWeights, hookimpl
from ssdreg.errors import UnknownNameError, WeightsError
from ssdreg.registry import host as plugins
from ssdreg.runs.run import open_run
from ssdreg.weights.fetching import cached_file

NAME = "tiny.shapes"
DIGEST = "0123abcd"


@pytest.fixture(scope="module")
def server(tiny_run, tmp_path_factory):
    """Serve a run's parameters, as they are and in an archive; count who asks."""
    run = open_run(tiny_run)
    params = run.params_file(run.best_epoch()).read_bytes()
    archive = tmp_path_factory.mktemp("archive") / "tiny.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("tiny.params", params)
    files = {"/tiny.params": params, "/tiny.zip": archive.read_bytes(), "/text.zip": b"no archive"}

    class Handler(Answering):
        def reply(self):
            self.answer(files[self.path])

    with served(Handler) as running:
        running.params = params
        yield running


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SSDREG_OFFLINE", raising=False)


@pytest.fixture
def declare(tiny_run, server):
    """Declare what a run is, with its numbers; its file lies on the server."""
    run, registered = open_run(tiny_run), []
    plan = run.plan
    server.asked.clear()

    def made(**changes):
        declared = DetectorWeights(**{
            "name": NAME, "classes": run.classes, "backbone": plan.backbone, "head": plan.head,
            "data_shape": plan.data_shape, "preprocessing": plan.preprocessing,
            "settings": {name: getattr(plan, name) for name in (
                "from_layers", "num_filters", "strides", "pads", "sizes", "ratios", "steps",
                "box_loss")},
            "url": f"http://127.0.0.1:{server.server_port}/tiny.params",
            "sha256": hashlib.sha256(server.params).hexdigest()[:8], "about": "the shapes",
            **changes})
        plugin = SimpleNamespace(ssdreg_detectors=hookimpl(lambda: [declared]),
                                 ssdreg_backbones=hookimpl(lambda: [SMALL]))
        registered.append(plugins.register(plugin, "some"))
        return declared
    yield made
    for registration in registered:
        registration.close()


def pictures(count=2):
    return np.random.RandomState(2).randint(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(pictures()[0]).save(file)
    return file


def rows(detector):
    return [np.column_stack((found.labels, found.scores, found.xyxy))
            for found in detector.detect(pictures())]


# Opening by name

def test_it_detects_what_the_run_detects(declare, server, tiny_run):
    declared = declare()
    found = rows(ssdreg.Detector(NAME, backend="mxnet"))
    for mine, its in zip(found, rows(ssdreg.Detector(tiny_run, backend="mxnet"))):
        np.testing.assert_allclose(mine, its, atol=1e-6)
    assert server.asked == ["/tiny.params"]
    assert cached_file(declared).read_bytes() == server.params
    # spelt otherwise, and from the cache
    ssdreg.Detector("Tiny-Shapes", backend="mxnet")
    assert server.asked == ["/tiny.params"]


def test_whatever_takes_a_run_takes_its_name(declare, capsys, picture, tiny_shapes, tmp_path,
                                             monkeypatch):
    declare()
    done = command(capsys, "predict", NAME, picture, "--backend", "mxnet", "--out",
                   tmp_path / "written")
    assert done.status == 0, done.err
    done = command(capsys, "eval", NAME, "--data", tiny_shapes, "--backend", "mxnet")
    assert done.status == 0, done.err
    assert done.out.startswith(f"{NAME}, mxnet in float32, ")
    assert refused(command(capsys, "eval", NAME), "has no data of its own: give --data")
    monkeypatch.chdir(tmp_path)
    done = command(capsys, "export", NAME)
    assert done.status == 0, done.err
    assert (tmp_path / f"{NAME}.onnx").is_file()


def test_a_file_or_folder_of_its_name_goes_first(declare, tiny_run, tmp_path, monkeypatch):
    declare(classes=("other",) * 1, settings={}, data_shape=(SIDE, SIDE))
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).symlink_to(tiny_run)
    assert ssdreg.Detector(NAME, backend="mxnet").classes == open_run(tiny_run).classes


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--epoch", "1"], "is a detector with the weights of one epoch: leave --epoch out"),
    (["--classes", "a,b"], "is a detector that knows its classes, input size and normalisation")])
def test_what_it_knows_is_not_told(declare, capsys, picture, arguments, sentence):
    declare()
    assert refused(command(capsys, "predict", NAME, picture, *arguments), f"{NAME} {sentence}")


def test_a_checkpoint_that_says_what_it_is(declare, tmp_path, recwarn):
    file = tmp_path / "preset.params"
    original = gluon_ssd.network(gluon_ssd.expanded(*gluon_ssd.MOBILENET, (16, 24)))
    original.save_parameters(str(file))
    declared = declare(backbone="", head="", data_shape=None, settings={}, preprocessing=None,
                       classes=("a", "b", "c"), url="", sha256="", locate=lambda declaration: file)
    detector = ssdreg.Detector(NAME, backend="mxnet")
    assert (detector.classes, detector.data_shape) == (declared.classes,
                                                       (gluon_ssd.SIDE, gluon_ssd.SIDE))
    for mine, its in zip(rows(detector), rows(ssdreg.Detector(file, backend="mxnet"))):
        np.testing.assert_array_equal(mine[:, 1:], its[:, 1:])


# Without a network, with a wrong file

def test_offline_says_how_to_bring_the_file(declare, capsys, picture, monkeypatch, server):
    declared = declare()
    monkeypatch.setenv("SSDREG_OFFLINE", "1")
    sentence = (f"the weights {NAME} are not on disk, and SSDREG_OFFLINE forbids to fetch them; "
                f"elsewhere, download {declared.url} and put it at {cached_file(declared)}")
    assert refused(command(capsys, "predict", NAME, picture), sentence)
    assert server.asked == []
    cached_file(declared).parent.mkdir(parents=True)
    cached_file(declared).write_bytes(server.params)
    assert ssdreg.Detector(NAME, backend="mxnet").classes == declared.classes


def test_no_network_says_how_to_bring_the_file(declare, monkeypatch):
    from ssdreg.weights import fetching
    monkeypatch.setattr(fetching, "FIRST_WAIT", 0.01)
    declared = declare(url="http://127.0.0.1:1/tiny.params")
    with pytest.raises(WeightsError, match=r"cannot fetch the weights tiny\.shapes") as caught:
        ssdreg.Detector(NAME)
    assert str(caught.value).endswith(f"put it at {cached_file(declared)}")


def test_a_file_out_of_an_archive(declare, server):
    url = f"http://127.0.0.1:{server.server_port}"
    declared = declare(url=f"{url}/tiny.zip", member="tiny.params", sha256="",
                       sha1=hashlib.sha1(server.params).hexdigest()[:8])
    ssdreg.Detector(NAME, backend="mxnet")
    assert cached_file(declared).name == "tiny.params"
    assert cached_file(declared).read_bytes() == server.params
    assert [file.name for file in cached_file(declared).parent.iterdir()] == ["tiny.params"]


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"sha256": DIGEST}, "has the SHA-256 "),
    ({"sha256": "", "sha1": DIGEST}, "has the SHA-1 "),
    ({"url": "/tiny.zip", "member": "other.params"}, "is no zip archive with other.params in it"),
    ({"url": "/text.zip", "member": "tiny.params"}, "is no zip archive with tiny.params in it")])
def test_another_file_is_not_kept(declare, server, changes, sentence):
    if "url" in changes:
        changes = {**changes, "url": f"http://127.0.0.1:{server.server_port}{changes['url']}"}
    declared = declare(**changes)
    with pytest.raises(WeightsError, match=sentence):
        ssdreg.Detector(NAME)
    assert not list(cached_file(declared).parent.iterdir())


def test_weights_of_another_network(declare):
    declare(classes=("one", "two"))
    with pytest.raises(WeightsError, match=r"do not fit the detector: they have in another shape"):
        ssdreg.Detector(NAME)


# Listed

def test_it_is_listed(declare, capsys):
    declared = declare()
    assert declared in ssdreg.list_detectors()
    assert ssdreg.get_detector("TINY_shapes") == declared
    with pytest.raises(UnknownNameError, match=r"no detector is called 'tiny\.shape': did you "
                                                r"mean tiny\.shapes"):
        ssdreg.get_detector("tiny.shape")
    assert [NAME, declared.backbone, "3", "the", "shapes"] in [
        line.split() for line in command(capsys, "list").out.splitlines()]
    assert [NAME, "no"] in [line.split()[:2] for line in
                            command(capsys, "weights").out.splitlines()]
    done = command(capsys, "weights", NAME, "--fetch")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1].split()[:2] == [NAME, "yes"]
    assert "1 backbone, 1 detector" in command(capsys, "plugins").out


# Trained on

def trained(capsys, tmp_path, data, *arguments):
    done = command(capsys, "train", "--data", data, "--out", tmp_path / "run", "--epochs", 1,
                   "--batch-size", 8, "--engine", "mxnet", *arguments)
    assert done.status == 0, done.err
    return done, open_run(tmp_path / "run")


def boxes_of(params):
    return {name: array.asnumpy() for name, array in params.args.items() if "loc_pred" in name}


def test_training_goes_on_from_its_boxes(declare, capsys, tmp_path, tiny_shapes, tiny_run):
    declare()
    start = open_run(tiny_run)
    done, run = trained(capsys, tmp_path, tiny_shapes, "--pretrained", NAME,
                        "--freeze", ".*loc_pred")
    assert f"starts from {NAME}: " in done.out
    assert (run.plan, run.classes) == (start.plan, start.classes)
    for name, values in boxes_of(run.load_params()).items():
        np.testing.assert_array_equal(values, boxes_of(start.load_params())[name])


def test_other_classes_start_anew_and_boxes_do_not(declare, capsys, tmp_path, tiny_run):
    from ssdreg.data.synthetic import write_shapes
    declare()
    start = open_run(tiny_run)
    data = tmp_path / "data"
    write_shapes(data, 8, 4, (SIDE, SIDE))
    for file in (data / "Annotations").glob("*.xml"):
        text = file.read_text(encoding="utf-8")
        for name in start.classes[1:]:
            text = text.replace(f"<name>{name}</name>", f"<name>{start.classes[0]}</name>")
        file.write_text(text, encoding="utf-8")
    for listed in data.rglob("*.txt"):
        if listed.read_text(encoding="utf-8").split() == list(start.classes):
            listed.write_text(start.classes[0] + "\n", encoding="utf-8")
    done, run = trained(capsys, tmp_path, data, "--pretrained", NAME, "--freeze", ".*loc_pred")
    assert run.classes == start.classes[:1]
    assert run.plan.sizes == start.plan.sizes
    assert "start anew, of another shape there (other classes or anchors)" in done.out
    for name, values in boxes_of(run.load_params()).items():
        np.testing.assert_array_equal(values, boxes_of(start.load_params())[name])


def test_another_network_takes_what_fits(declare, capsys, tmp_path, tiny_shapes):
    declare()
    done, run = trained(capsys, tmp_path, tiny_shapes, "--backbone", SMALL.name, "--data-shape",
                        SIDE, "--tap-strides", "8,16", "--sizes", "example", "--pretrained", NAME)
    assert f"starts from the detector {NAME}: " in done.out
    assert run.plan.backbone == SMALL.name


def test_a_network_that_goes_on_takes_no_options(declare, capsys, tmp_path, tiny_shapes):
    declare()
    done = command(capsys, "train", "--data", tiny_shapes, "--out", tmp_path / "run",
                   "--pretrained", NAME, "--head", "ssdlite")
    assert refused(done, f"--head goes with --backbone: without one, the network of {NAME} goes on")


# Declaring

@pytest.mark.parametrize(("changes", "sentence"), [
    ({"classes": ("a", "a")}, "two of its classes are called 'a'"),
    ({"head": ""}, "a backbone needs a head and a data_shape"),
    ({"backbone": ""}, "without a backbone its file is a checkpoint"),
    ({"url": ""}, "say where they are"),
    ({"sha256": ""}, "a url needs the sha256"),
    ({"sha1": "0123"}, "sha1 must be 8 to 40 hexadecimal digits"),
    ({"member": "a.params"}, "member must be the name of a file in a zip archive"),
    ({"data_shape": (64,)}, "data_shape")])
def test_declarations_that_contradict_themselves(changes, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        DetectorWeights(**{"name": NAME, "classes": ("a", "b"), "backbone": "resnet18",
                           "head": "ssd", "data_shape": (64, 64), "sha256": DIGEST,
                           "url": "https://example.org/a.params", **changes})


def test_settings_that_a_plan_does_not_have(declare):
    declare(settings={"colour": "red"})
    with pytest.raises(ssdreg.PluginError, match=r"its settings are no arguments of ssdreg\.plan"):
        ssdreg.Detector(NAME)
