"""The Gluon model zoo as backbones: what is listed, built, proven, and its weights."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import ssdreg_gluon.families
import ssdreg_gluon.network
import ssdreg_gluon.store
import ssdreg_gluon.zoo
from ssdreg_runtime.system import caches
from tqdm import tqdm

import ssdreg
from ssdreg.detector.families import SHAPES, check
from ssdreg.errors import SsdregError
from ssdreg.graph.finding import complete
from ssdreg.graph.nodes import Net
from ssdreg.mx import mx

vision = mx.gluon.model_zoo.vision

#: A network of each family, and the least input at which it is itself: some classifiers' poolings
#: are for one size of map only.
SMALL = {"alexnet": 64, "vgg11": 32, "vgg11_bn": 32, "densenet121": 224, "squeezenet1.0": 224,
         "squeezenet1.1": 224, "inceptionv3": 299, "mobilenet0.25": 64, "mobilenetv2_0.25": 64,
         "resnet18_v1": 64, "resnet50_v1": 64, "resnet18_v2": 64, "resnet50_v2": 64}


def zoo() -> list[str]:
    with pytest.raises(ValueError, match="Available options are") as caught:
        vision.get_model("no such network")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def backbones(prefix: str = "gluon.") -> list[ssdreg.Backbone]:
    return [each for each in ssdreg.list_backbones() if each.name.startswith(prefix)]


def trained(network: str, side: int, seed: int = 1) -> tuple[mx.gluon.HybridBlock, mx.nd.NDArray]:
    """Build Gluon's own network, with weights as training might leave them, and an input."""
    mx.random.seed(seed)
    random = np.random.RandomState(seed)
    net = vision.get_model(network)
    net.initialize(mx.init.MSRAPrelu(slope=0.0))
    data = mx.nd.array(random.normal(size=(1, 3, side, side)))
    net(data)
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "running_var")):
            parameter.set_data(mx.nd.array(random.uniform(0.7, 1.3, parameter.shape)))
        elif name.endswith(("beta", "running_mean", "bias")):
            parameter.set_data(mx.nd.array(random.normal(0, 0.2, parameter.shape)))
    return net, data


def scores(symbol: mx.sym.Symbol, arrays: dict[str, mx.nd.NDArray],
           data: mx.nd.NDArray) -> np.ndarray:
    auxiliary = set(symbol.list_auxiliary_states())
    executor = symbol.bind(
        mx.cpu(), {"data": data, **{k: v for k, v in arrays.items() if k not in auxiliary}},
        aux_states={k: v for k, v in arrays.items() if k in auxiliary}, grad_req="null")
    return executor.forward(is_train=False)[0].asnumpy()


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert theirs.std() > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


# What is listed, and that listing is cheap.

def test_every_network_of_the_zoo_is_listed():
    assert sorted(each.name for each in backbones()) == sorted(f"gluon.{name}" for name in zoo())
    assert all(each.taps == () for each in backbones())


@pytest.mark.parametrize("name", ["gluon.resnet50_v1", "Gluon ResNet50-v1", "gluon.mobilenet1.0",
                                  "gluon.mobilenet_v2_1.0", "gluon.inception_v3"])
def test_names_as_people_write_them(name):
    assert ssdreg.get_backbone(name) in backbones()


def test_mobilenets_of_both_versions_are_told_apart():
    names = {ssdreg.get_backbone(name).name
             for name in ("gluon.mobilenet0.25", "gluon.mobilenetv2_0.25")}
    assert len(names) == 2


def run(code: str, **environment: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True,
                          text=True, check=False, env=environment or None)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_listing_imports_no_framework():
    assert run("""
        import sys
        import ssdreg
        from ssdreg.registry.names import list_weights
        print(sum(each.name.startswith("gluon.") for each in ssdreg.list_backbones()),
              sum(each.backbone.startswith("gluon.") for each in list_weights()),
              {"mxnet", "gluoncv", "torch"} & set(sys.modules))
        """) == f"{len(zoo())} {len(zoo())} set()\n"


def test_gluoncv_is_listed_from_its_source(tmp_path):
    package = tmp_path / "gluoncv" / "model_zoo"
    package.mkdir(parents=True)
    (tmp_path / "gluoncv" / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "model_zoo.py").write_text(
        "_models = {'resnet50_v1b': f, 'resnet50_v1b_gn': f, 'ssd_512_resnet50_v1_voc': f}\n")
    (package / "model_store.py").write_text(
        f"_model_sha1 = {{n: c for c, n in [('{'0' * 40}', 'resnet50_v1b')]}}\n")
    assert run(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from ssdreg_gluon import declaring
        for each in (*declaring.backbones(), *declaring.weights()):
            print(getattr(each, "family", "weights of " + getattr(each, "backbone", "")))
        """).split("\n")[-3:-1] == ["weights of gluon.mobilenetv2_0.25",
                                    "weights of gluoncv.resnet50_v1b"]


# What is built.

@pytest.mark.parametrize("family", sorted({each.family for each in backbones()}))
def test_the_graph_gives_taps_that_pass_at_every_size(family):
    for each in check([each for each in backbones() if each.family == family]):
        assert (each.issues, each.shapes) == ((), SHAPES)
        # but for MobileNetV2's last 1x1 convolution: it is behind the last stage
        assert each.coverage > (0.5 if "mobilenet-v2" in family else 0.999)


def test_a_symbol_is_the_same_whatever_was_built_before():
    networks = ["gluon.resnet18_v1", "gluon.squeezenet1.1", "gluon.mobilenetv2_0.25"]
    first = {name: ssdreg.get_backbone(name).symbol().tojson() for name in networks}
    ssdreg_gluon.network._net.cache_clear()
    vision.get_model("resnet18_v1")
    assert {name: ssdreg.get_backbone(name).symbol().tojson()
            for name in reversed(networks)} == first


@pytest.mark.parametrize("network", ["densenet121", "inceptionv3", "squeezenet1.0"])
def test_classifiers_take_any_size(network):
    symbol = ssdreg.get_backbone(f"gluon.{network}").symbol()
    for shape in SHAPES:
        assert symbol.infer_shape(data=(1, 3, *shape))[1] == [(1, 1000)]


def test_nodes_of_a_block_that_is_used_twice_get_names_of_their_own():
    activation = mx.gluon.nn.Activation("relu", prefix="act_")
    x = activation(activation(activation(mx.sym.Variable("data"))))
    assert [node.name for node in ssdreg_gluon.network._named_apart(Net.of(x)).nodes] == [
        "data", "act_fwd", "act_fwd_call2", "act_fwd_call3"]


def test_linear_bottlenecks_are_projected():
    plan = ssdreg.plan("gluon.mobilenetv2_1.0", num_classes=3, data_shape=300)
    assert plan.projections[:2] == (256, 256)
    assert ssdreg.plan("gluon.mobilenet1.0").projections[:2] == (-1, -1)


@pytest.mark.parametrize("network", ["mobilenet0.25", "mobilenetv2_0.25"])
def test_a_step_of_training_moves_every_parameter(network):
    symbol = ssdreg.build(f"gluon.{network}", num_classes=2, data_shape=96)
    module = mx.mod.Module(symbol, label_names=("label",))
    module.bind([("data", (2, 3, 96, 96))], [("label", (2, 1, 5))])
    mx.random.seed(3)
    module.init_params(mx.init.Xavier())
    module.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": 0.1})
    before = {name: array.asnumpy() for name, array in module.get_params()[0].items()}
    label = mx.nd.array([[[0, 0.1, 0.1, 0.6, 0.6]], [[1, 0.3, 0.2, 0.9, 0.8]]])
    module.forward_backward(mx.io.DataBatch([mx.nd.random.normal(shape=(2, 3, 96, 96))], [label]))
    module.update()
    after = module.get_params()[0]
    assert all(np.isfinite(output.asnumpy()).all() for output in module.get_outputs())
    # the last level is one cell, of which no anchor may match
    still = [name for name in before if "multi_feat" not in name and "pred" not in name
             and (before[name] == after[name].asnumpy()).all()]
    assert still == []


# Weights.

@pytest.mark.parametrize("network", SMALL)
def test_names_map_one_to_one(network, tmp_path):
    net, data = trained(network, SMALL[network])
    net.save_parameters(str(tmp_path / "saved.params"))
    saved = {name: array.asnumpy() for name, array in
             mx.nd.load(str(tmp_path / "saved.params")).items()}
    named = ssdreg_gluon.store.rename(saved, "gluon", network)
    symbol = ssdreg.get_backbone(f"gluon.{network}").symbol()
    assert set(named) == set(symbol.list_inputs()) - {"data"}
    assert_same(scores(symbol, {name: mx.nd.array(array) for name, array in named.items()}, data),
                net(data).asnumpy())


def test_old_files_name_parameters_without_the_prefix(tmp_path):
    net, _ = trained("mobilenet0.25", 64)
    net.collect_params().save(str(tmp_path / "old.params"), strip_prefix=net.prefix)
    saved = {name: array.asnumpy() for name, array in
             mx.nd.load(str(tmp_path / "old.params")).items()}
    named = ssdreg_gluon.store.rename(saved, "gluon", "mobilenet0.25")
    symbol = ssdreg.get_backbone("gluon.mobilenet0.25").symbol()
    assert set(named) == set(symbol.list_inputs()) - {"data"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Let Gluon keep its files in a folder of the test's own."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.delenv("SSDREG_OFFLINE", raising=False)
    return tmp_path / "models"


def no_home(tmp_path, monkeypatch):
    """Leave no folder for Gluon's files but a temporary one; return that."""
    monkeypatch.delenv("MXNET_HOME", raising=False)
    # below a file there is no folder, for root neither
    monkeypatch.setenv("HOME", str(Path(__file__) / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(caches, "_notified", set())
    return tmp_path / f"ssdreg-{os.getuid()}" / "mxnet" / "models"


def fetched_by(monkeypatch, loader):
    """Let a function stand for the loader of the zoo; return what `fetch` brings by it."""
    monkeypatch.setattr(mx.gluon.model_zoo.model_store, "get_model_file", loader)
    return ssdreg_gluon.store.fetch(None, "gluon", "resnet18_v1")


def test_without_a_home_files_are_in_a_temporary_folder(tmp_path, monkeypatch, caplog):
    folder = no_home(tmp_path, monkeypatch)
    assert ssdreg_gluon.store.locate(None, "gluon", "resnet18_v1") is None
    assert not caplog.records  # looking for them needs no folder

    def load(network, root):
        file = Path(root, ssdreg_gluon.store.stored_file("gluon", network).name)
        file.touch()
        return str(file)

    found = fetched_by(monkeypatch, load)
    assert found.parent == folder
    (record,) = caplog.records
    assert record.getMessage().endswith("; MXNET_HOME moves them")
    assert ssdreg_gluon.store.locate(None, "gluon", "resnet18_v1") == found


def test_a_loaders_own_moving_line_is_for_terminals(home, monkeypatch, capsys):
    def load(network, root):
        print("Downloading")
        for _ in tqdm(range(3), mininterval=0):
            pass
        return root

    fetched_by(monkeypatch, load)
    assert capsys.readouterr() == ("", "")


def test_what_gluon_has_stored_is_loaded(home):
    name = "resnet18_v1"
    net, data = trained(name, 64)
    home.mkdir()
    digest = mx.gluon.model_zoo.model_store.short_hash(name)
    net.save_parameters(str(home / f"{name}-{digest}.params"))
    params = ssdreg.load_weights(f"gluon.{name}")
    assert_same(scores(ssdreg.get_backbone(f"gluon.{name}").symbol(),
                       {**params.args, **params.auxs}, data), net(data).asnumpy())


def test_files_of_the_other_zoo_are_not_taken_for_it(home):
    home.mkdir()
    (home / "mobilenet0.25-00000000.params").write_bytes(b"")
    assert ssdreg_gluon.store.locate(None, "gluon", "mobilenet0.25") is None


def test_without_a_network(home, monkeypatch, capsys):
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:9/")  # nobody answers there
    with pytest.raises(SsdregError) as caught:
        ssdreg.load_weights("gluon.squeezenet1.1")
    digest = mx.gluon.model_zoo.model_store.short_hash("squeezenet1.1")
    message = str(caught.value)
    assert message.startswith("the loader of mxnet.gluon.model_zoo cannot fetch the weights of "
                              "squeezenet1.1 (")
    assert message.endswith("; get them where there is a network, and put them at "
                            f"{home / f'squeezenet1.1-{digest}.params'}")
    assert len(message.splitlines()) == 1
    assert capsys.readouterr().out == ""


@pytest.fixture
def store(monkeypatch):
    """Serve archives by path, on this machine, as Gluon's repository does."""
    served: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in served else 404)
            self.end_headers()
            self.wfile.write(served.get(self.path, b""))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MXNET_GLUON_REPO", f"http://127.0.0.1:{server.server_port}/")
        yield served
        server.shutdown()


def archive(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(f"{name}.params", content)
    return stream.getvalue()


def test_gluon_own_loader_fetches(home, store, tmp_path, monkeypatch):
    name = "squeezenet1.1"
    net, data = trained(name, 224)
    net.save_parameters(str(tmp_path / "file.params"))
    content = (tmp_path / "file.params").read_bytes()
    digest = hashlib.sha1(content).hexdigest()
    # this file's digest for that of the one in the store, which no test can have
    monkeypatch.setitem(mx.gluon.model_zoo.model_store._model_sha1, name, digest)
    store[f"/gluon/models/{name}-{digest[:8]}.zip"] = archive(f"{name}-{digest[:8]}", content)
    params = ssdreg.load_weights(f"gluon.{name}")
    assert_same(scores(ssdreg.get_backbone(f"gluon.{name}").symbol(),
                       {**params.args, **params.auxs}, data), net(data).asnumpy())
    assert [file.name for file in home.iterdir()] == [f"{name}-{digest[:8]}.params"]


def test_gluon_own_loader_refuses_another_file(home, store):
    name = "squeezenet1.1"
    full = f"{name}-{mx.gluon.model_zoo.model_store.short_hash(name)}"
    store[f"/gluon/models/{full}.zip"] = archive(full, b"something else")
    with pytest.raises(SsdregError, match="Downloaded file has different hash"):
        ssdreg.load_weights(f"gluon.{name}")


# GluonCV, where it is installed.

@pytest.mark.skipif(not ssdreg_gluon.zoo.networks(ssdreg_gluon.zoo.GLUONCV),
                    reason="GluonCV is not installed")
@pytest.mark.parametrize("network", [
    "googlenet", "mobilenetv3_small", "resnest14", "resnet50_v1d", "resnext50_32x4d",
    "se_resnet18_v1", "shufflenet_v2", "xception"])
def test_gluoncv(network):
    found, = check([ssdreg.get_backbone(f"gluoncv.{network}")])
    assert found.issues == ()
    strides = [tap.stride for tap in complete(ssdreg.get_backbone(f"gluoncv.{network}")).taps]
    assert strides[-3:] == [8, 16, 32]
