"""Files and archives that are damaged, foreign or hostile: a sentence each, and nothing done."""

from __future__ import annotations

import gzip
import json
import pickle
import tarfile

import numpy as np
import pytest
from support import checkpoints as files
from support.checkpoints import HYPERPARAMETERS, SIDE, archive_of, member, own_symbol, same, tarred

import ssdreg
from ssdreg.checkpoints import archive as archives
from ssdreg.checkpoints.archive import unpack
from ssdreg.graph.symbol_file import parse
from ssdreg.mx import mx
from ssdreg.runs.params import Params, write_params


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small network of nobody, packed as SageMaker's training leaves its own."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "hyperparams.json").write_text(json.dumps(HYPERPARAMETERS))
    return files.write(folder / "model_algo_1", own_symbol("train"), SIDE, epoch=0)


@pytest.fixture(scope="module")
def model(checkpoint):
    return tarred(checkpoint.prefix.parent, checkpoint.prefix.parent / "model.tar.gz")


def load(path, **settings):
    with pytest.raises(ssdreg.RunError) as caught:
        ssdreg.load_checkpoint(path, **settings)
    sentence = str(caught.value)
    assert "/ssdreg-" not in sentence  # a place that is gone tells nobody anything
    return sentence


# SageMaker ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_sagemakers_model_is_read(tmp_path, packed):
    """Its training symbol is the example's, with a copy node behind the input."""
    symbol = files.example_symbol("resnet18", files.taps_of("resnet18", 16, 32), 2, copied=True,
                                  detection={"nms_threshold": .45})
    (tmp_path / "hyperparams.json").write_text(json.dumps(HYPERPARAMETERS))
    checkpoint = files.write(tmp_path / "model_algo_1", symbol, SIDE, epoch=0)
    found = ssdreg.load_checkpoint(
        tarred(tmp_path, tmp_path / "model.tar.gz") if packed else tmp_path)
    assert found.kind == "SageMaker's object detection (resnet-50)"
    assert found.plan.backbone == "resnet18"
    assert found.plan.head == "ssd"
    assert found.plan.data_shape == (SIDE, SIDE)
    assert found.plan.nms_threshold == pytest.approx(.45)
    assert found.plan.preprocessing.mean == (0, 0, 0)
    assert any("normalised" in note for note in found.notes)
    assert same(found, checkpoint)


def test_the_network_counts_and_not_what_is_written_beside_it(checkpoint, tmp_path):
    for file in checkpoint.prefix.parent.glob("model_algo_1*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "hyperparams.json").write_text(json.dumps({**HYPERPARAMETERS, "num_classes": "7"}))
    preprocessing = ssdreg.Preprocessing((1, 2, 3))
    found = ssdreg.load_checkpoint(tarred(tmp_path, tmp_path / "model.tar.gz"),
                                   preprocessing=preprocessing)
    assert found.plan.num_classes == 2
    assert found.plan.preprocessing == preprocessing
    assert ["7 classes" in note for note in found.notes] == [True]


def test_an_archive_may_hold_more_than_the_model(checkpoint, tmp_path):
    folder = checkpoint.prefix.parent
    content = [(file.name, file.read_bytes()) for file in sorted(folder.iterdir())
               if file.name != "model.tar.gz"]
    target = archive_of(tmp_path / "model.tar.gz", member("./", b"", type=tarfile.DIRTYPE),
                        *(member(f"./model/{name}", data) for name, data in content),
                        member("./code/inference.py", b"print()"))
    assert ssdreg.load_checkpoint(target).plan.backbone == "unknown"


@pytest.mark.parametrize("missing", ["model_algo_1-symbol.json", "model_algo_1-0000.params"])
def test_a_missing_member_is_named(checkpoint, tmp_path, missing):
    for file in checkpoint.prefix.parent.glob("[mh]*"):
        if file.name not in (missing, "model.tar.gz"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    sentence = load(tarred(tmp_path, tmp_path / "model.tar.gz"))
    assert "model.tar.gz" in sentence
    assert missing.partition("-")[2].partition(".")[2] in sentence


def test_hyperparameters_that_are_none(checkpoint, tmp_path):
    for file in checkpoint.prefix.parent.glob("model_algo_1*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "hyperparams.json").write_text("[1, 2]")
    assert "no JSON object of hyperparameters" in load(tarred(tmp_path, tmp_path / "m.tar.gz"))


# hostile archives --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings", "says"), [
    ("../outside-symbol.json", {}, "would lie outside"),
    ("/etc/outside-symbol.json", {}, "would lie outside"),
    ("a/../../outside-symbol.json", {}, "would lie outside"),
    ("C:\\outside-symbol.json", {}, "would lie outside"),
    ("model-symbol.json", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a link"),
    ("model-symbol.json", {"type": tarfile.LNKTYPE, "linkname": "other"}, "a link"),
    ("model-symbol.json", {"type": tarfile.CHRTYPE}, "a link or a device"),
    ("model-symbol.json", {"type": tarfile.FIFOTYPE}, "a link or a device"),
])
def test_a_hostile_member_is_refused_and_nothing_written(tmp_path, name, settings, says):
    folder = tmp_path / "inside"
    folder.mkdir()
    content = b"" if settings else b"{}"
    target = archive_of(tmp_path / "model.tar.gz", member(name, content, **settings))
    with pytest.raises(ssdreg.RunError, match=says):
        unpack(target, folder, lambda name: True)
    assert list(folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "model.tar.gz"]
    assert says in load(target)


def test_what_is_not_wanted_is_not_copied(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    target = archive_of(tmp_path / "model.tar.gz", member("a-symbol.json"), member("b.py"))
    assert [path.name for path in unpack(target, folder, lambda name: name.endswith(".json"))] == [
        "a-symbol.json"]
    assert [path.name for path in folder.iterdir()] == ["a-symbol.json"]


def test_permissions_and_times_are_not_taken(tmp_path):
    target = archive_of(tmp_path / "model.tar.gz", member("a/x-symbol.json", mode=0o6777, mtime=1))
    (file,) = unpack(target, tmp_path, lambda name: True)
    assert file == tmp_path / "x-symbol.json"
    assert file.stat().st_mode & 0o7111 == 0
    assert file.stat().st_mtime > 1


def test_two_members_of_one_name(tmp_path):
    target = archive_of(tmp_path / "model.tar.gz", member("a/x-symbol.json"),
                        member("b/x-symbol.json"))
    assert "twice" in load(target)


def test_a_bomb_of_zeros_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 8 * 2**20)
    target = archive_of(tmp_path / "model.tar.gz", member("big.bin", bytes(16 * 2**20)))
    assert target.stat().st_size < 2**15
    assert "unpacks to more than" in load(archive_of(
        tmp_path / "two.tar.gz", *(member(f"{index}.bin", bytes(6 * 2**20)) for index in range(2))))
    assert f"of {16 * 2**20:,} bytes" in load(target)


def test_a_member_that_claims_more_than_there_is(tmp_path):
    info, _ = member("model-symbol.json", b"")
    info.size = 2**31
    target = tmp_path / "model.tar.gz"
    target.write_bytes(gzip.compress(info.tobuf() + bytes(1024)))
    assert "truncated" in load(target)


def test_a_header_as_large_as_a_bomb(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 64 * 2**20
    target = tmp_path / "model.tar.gz"
    target.write_bytes(gzip.compress(header.tobuf() + bytes(header.size)))
    assert "holds a header of" in load(target)


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    target = archive_of(tmp_path / "model.tar.gz", *(member(f"{index}.txt") for index in range(6)))
    assert "more than 5 members" in load(target)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_truncated_archive(model, tmp_path, keep):
    target = tmp_path / "model.tar.gz"
    target.write_bytes(model.read_bytes()[:keep])
    assert "no gzipped tar archive, or it is truncated" in load(target)


def test_a_foreign_archive(tmp_path):
    target = tmp_path / "model.tar.gz"
    target.write_bytes(b"PK\x03\x04 something else")
    assert "no gzipped tar archive" in load(target)
    target.write_bytes(gzip.compress(b"no tar " * 1000))
    assert "no gzipped tar archive" in load(target)
    assert "has none" in load(archive_of(target, member("readme.txt")))


def test_nothing_pickled_is_executed(tmp_path):
    fired = tmp_path / "fired"
    payload = b"cbuiltins\nopen\n(V" + str(fired).encode() + b"\nVw\ntR."
    pickle.loads(payload).close()  # it would do it
    assert fired.exists()
    fired.unlink()
    (tmp_path / "net-0000.params").write_bytes(payload)
    assert "no parameter file of MXNet" in load(tmp_path / "net-0000.params")
    own_symbol("train").save(str(tmp_path / "net-symbol.json"))
    assert "no parameter file of MXNet" in load(tmp_path / "net", data_shape=SIDE)
    assert not fired.exists()


# damaged symbols ---------------------------------------------------------------------------------


def small():
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")


def broken(change):
    document = json.loads(small().tojson())
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(("text", "says"), [
    ("", "no symbol of MXNet, or it is truncated"),
    (small().tojson()[:100], "truncated"),
    ("[]", "no list of nodes"),
    ('{"nodes": 3}', "no list of nodes"),
    (broken(lambda it: it.pop("heads")), "no outputs"),
    (broken(lambda it: it.update(heads=[[99, 0, 0]])), "nodes that it does not have"),
    (broken(lambda it: it.update(arg_nodes=[-1])), "nodes that it does not have"),
    (broken(lambda it: it["nodes"][-1].update(inputs=[[50, 0, 0]])), "does not come before it"),
    (broken(lambda it: it["nodes"][-1].update(inputs=[[-1, 0, 0]])), "does not come before it"),
    (broken(lambda it: it["nodes"][-1]["inputs"][0].__setitem__(1, 7)), "'data' has no output 7"),
    (broken(lambda it: it.update(heads=[[3, 2, 0]])), "'fc' has no output 2"),
    (broken(lambda it: it["nodes"][-1].update(attrs=[])), "no dictionary"),
    (broken(lambda it: it["nodes"][0].pop("name")), "no operator or no name"),
    (broken(lambda it: it["nodes"][0].pop("inputs")), "has no inputs"),
    (broken(lambda it: it["nodes"][-1].update(op="NoSuchThing")), "this MXNet cannot read"),
    (broken(lambda it: it["nodes"][-1].update(op="Custom")), "an operator of its own at 'fc'"),
    ("[" * 100_000, "no symbol of MXNet"),
])
def test_a_damaged_symbol(text, says):
    with pytest.raises(ssdreg.RunError, match=says) as caught:
        parse(text, "net-symbol.json")
    assert str(caught.value).startswith("net-symbol.json ")


def test_python_2s_long_integers_are_numbers():
    text = broken(lambda it: it["nodes"][-1]["attrs"].update(num_hidden="3L"))
    net = parse(text, "x")
    assert net.attrs(net.find("FullyConnected")[0])["num_hidden"] == "3"


@pytest.mark.parametrize(("symbol", "says"), [
    (small(), "neither MultiBoxDetection nor MultiBoxTarget"),
    (mx.sym.contrib.MultiBoxDetection(
        mx.sym.Variable("data"), mx.sym.Variable("b"), mx.sym.Variable("c")),
     "not from a softmax"),
    (mx.sym.contrib.MultiBoxDetection(
        mx.sym.softmax(mx.sym.Variable("data"), axis=1), mx.sym.Variable("b"),
        mx.sym.Variable("c")), "not predicted by convolutions"),
])
def test_a_symbol_that_is_no_detector(tmp_path, symbol, says):
    symbol.save(str(tmp_path / "net-symbol.json"))
    sentence = load(tmp_path / "net-symbol.json", data_shape=64)
    assert "is no SSD detector" in sentence
    assert says in sentence


def test_a_detector_with_a_node_that_cannot_be(tmp_path):
    document = json.loads(own_symbol("deploy").tojson())
    document["nodes"][-1]["inputs"].pop()
    (tmp_path / "net-symbol.json").write_text(json.dumps(document))
    assert "that its operator cannot have" in load(tmp_path / "net-symbol.json", data_shape=64)


# parameters that do not belong -------------------------------------------------------------------


def with_params(checkpoint, folder, change):
    """Write a checkpoint's symbol beside changed parameters."""
    prefix = folder / "net"
    checkpoint.symbol.save(f"{prefix}-symbol.json")
    args = dict(checkpoint.params.args)
    change(args)
    write_params(folder / "net-0001.params", Params(args, checkpoint.params.auxs))
    return prefix


def not_finite(args):
    values = args["stem_weight"].asnumpy().copy()
    values[0, 0, 0, 0] = np.nan
    args["stem_weight"] = mx.nd.array(values)


@pytest.mark.parametrize(("change", "says"), [
    (lambda args: args.pop("stem_weight"), "lack 1 of the"),
    (lambda args: args.update(stem_weight=mx.nd.zeros((1, 2))), "do not belong together"),
    (not_finite, "'stem_weight' .* is not finite"),
])
def test_parameters_of_another_network(checkpoint, tmp_path, change, says):
    prefix = with_params(checkpoint, tmp_path, change)
    with pytest.raises(ssdreg.RunError, match=says):
        ssdreg.load_checkpoint(prefix, data_shape=SIDE)


def test_half_precision_becomes_single(checkpoint, tmp_path):
    def halve(args):
        args["stem_weight"] = args["stem_weight"].astype("float16")
    found = ssdreg.load_checkpoint(with_params(checkpoint, tmp_path, halve), data_shape=SIDE)
    assert found.params.args["stem_weight"].dtype == np.float32


def test_parameters_alone_need_their_symbol(checkpoint, tmp_path):
    write_params(tmp_path / "net-0001.params", checkpoint.params)
    assert "no symbol beside it" in load(tmp_path / "net-0001.params")
    assert "net-symbol.json is missing" in load(tmp_path / "net")


def test_epochs_are_chosen(checkpoint, tmp_path):
    prefix = with_params(checkpoint, tmp_path, lambda args: None)
    write_params(tmp_path / "net-0012.params", checkpoint.params)
    assert "several epochs (1, 12)" in load(prefix, data_shape=SIDE)
    assert "no parameters of epoch 2: on disk are 1, 12" in load(prefix, epoch=2)
    assert "is epoch 12, not 1" in load(tmp_path / "net-0012.params", epoch=1)
    assert ssdreg.load_checkpoint(prefix, epoch=12, data_shape=SIDE).epoch == 12
    assert ssdreg.load_checkpoint(tmp_path / "net-0012.params", data_shape=SIDE).epoch == 12


def test_what_has_to_be_given(checkpoint, tmp_path):
    prefix = with_params(checkpoint, tmp_path, lambda args: None)
    assert "give it with --data-shape" in load(prefix)
    assert "tells 2 classes apart" in load(prefix, data_shape=SIDE, classes=("a",))
    assert "2 classes apart" in load(prefix, data_shape=SIDE, classes=("a", "a"))
    assert "neither a side" in load(prefix, data_shape=0)
    assert "is no checkpoint" in load(tmp_path / "nothing")
    assert "does not exist" in load(tmp_path / "nowhere" / "net")
    assert "is not there" in load(tmp_path / "model.tar.gz")
    assert "is not there" in load(tmp_path / "net-0099.params")


def test_an_input_that_is_too_small(tmp_path):
    symbol = files.example_symbol("vgg16_reduced", files.taps_of("vgg16_reduced", 8, 16), 2,
                                  "deploy", scale=512)
    symbol.save(str(tmp_path / "net-symbol.json"))
    sentence = load(tmp_path / "net-symbol.json", data_shape=6)
    assert "does not work on an input of 6x6 pixels" in sentence
    assert "give another --data-shape" in sentence
