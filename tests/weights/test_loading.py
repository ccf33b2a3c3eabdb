"""Weights declared, found by name, read in every format, and fitted to the backbone's symbol."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support import nets
from support.runs import command, refused

import ssdreg
from ssdreg import Backbone, PluginWarning, Tap, UnknownNameError, Weights, hookimpl
from ssdreg.errors import WeightsError
from ssdreg.mx import mx
from ssdreg.registry import host as plugins
from ssdreg.runs.params import Params, write_params
from ssdreg.weights.formats import read_file
from ssdreg.weights.loading import (
    find_weights,
    load_weights,
    read_weights,
    weights_of,
    weights_on_disk,
)

DIGEST = "0123abcd" * 8


def backbone(name="tiny", **changes):
    return Backbone(name=name, family="tiny", depth=1, build=nets.residual, tap_strides=(4, 8),
                    taps=[Tap(2, 4, 16, "s2u2_out"), Tap(3, 8, 32, "s3u2_out")],
                    paper="https://example.org", **changes)


@pytest.fixture
def register():
    """Register a plug-in that yields these declarations; forget it after the test."""
    host, registered = plugins.manager(), []

    def add(backbones=(), weights=(), name="strange"):
        plugin = SimpleNamespace(ssdreg_backbones=hookimpl(lambda: backbones),
                                 ssdreg_weights=hookimpl(lambda: weights))
        registered.append(host.register(plugin, name=name))
        plugins.answers.cache_clear()
    yield add
    for name in registered:
        host.unregister(name=name)
    plugins.answers.cache_clear()


# Declaring

@pytest.mark.parametrize(("changes", "sentence"), [
    ({}, "weights 'tiny/imagenet': say where they are, by url and sha256, or by locate"),
    ({"url": "https://a/b.pth"}, "'tiny/imagenet': a url needs the sha256 of its file"),
    ({"url": "ftp://a/b.pth", "sha256": DIGEST}, "must be the http or https address of a file"),
    ({"url": "https://a/", "sha256": DIGEST}, "must be the http or https address of a file"),
    ({"url": "https://a/b", "sha256": DIGEST[:7]}, "must be 8 to 64 hexadecimal digits in lower"),
    ({"url": "https://a/b", "sha256": DIGEST.upper()}, "must be 8 to 64 hexadecimal digits in low"),
    ({"locate": "nowhere"}, "'imagenet': locate must be a callable or 'module:function'"),
    ({"locate": "a:b", "names": 5}, "names must be a callable or 'module:function', not 5"),
    ({"backbone": "", "locate": "a:b"}, "'backbone' must be >= 1"),
])
def test_declarations_that_contradict_themselves(changes, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Weights(**{"backbone": "tiny", **changes})


def test_a_declaration_is_frozen_and_hashable():
    one = Weights(backbone="tiny", url="https://a/b.pth", sha256=DIGEST[:8])
    assert one == Weights(backbone="tiny", url="https://a/b.pth", sha256=DIGEST[:8])
    assert len({one, one}) == 1


# Finding

def test_the_first_declared_is_the_default(register, tmp_path):
    here = tmp_path / "here.params"
    here.write_bytes(b"")
    declared = [Weights(backbone="Tiny", locate=lambda weights: None),
                Weights(backbone="small-one", name="coco v2", locate=lambda weights: here)]
    register([backbone(aliases=("small_one",))], declared)
    assert weights_of("tiny") == tuple(declared)
    assert find_weights("tiny") == declared[0]
    assert find_weights("TINY", "COCO-v2") == find_weights(backbone(aliases=("smallone",)),
                                                           "coco_v2") == declared[1]
    assert weights_on_disk("tiny") == declared[1]
    here.unlink()
    assert weights_on_disk("tiny") is None


def test_names_that_are_unknown(register):
    register([backbone()], [Weights(backbone="tiny", name=name, locate="a:b")
                            for name in ("one", "two")])
    with pytest.raises(UnknownNameError, match="no weights of tiny are called 'six': there are one,"
                                               " two"):
        find_weights("tiny", "six")
    with pytest.raises(UnknownNameError, match=r"no weights are declared for vgg16_reduced; they "
                                               r"are for .*tiny"):
        find_weights("vgg16_reduced")
    with pytest.raises(UnknownNameError, match="no backbone is called 'tyni'"):
        find_weights("tyni")
    assert weights_of("vgg16_reduced") == ()
    assert weights_on_disk("vgg16_reduced") is None


def test_weights_declared_twice_are_told_apart_and_the_earlier_ones_are_the_default(register):
    first, second = (Weights(backbone=name, locate="a:b") for name in ("tiny", "Ti-ny"))
    register([backbone()], [first, "weights"])
    register([], [second], name="later")
    with pytest.warns(PluginWarning) as caught:
        found = weights_of("tiny")
    assert found == (first, Weights(backbone="Ti-ny", name="later:imagenet", locate="a:b"))
    assert find_weights("tiny", "Later:ImageNet") == found[1]
    assert [str(warning.message) for warning in caught] == [
        "plug-in strange yielded 'weights' from ssdreg_weights, which is no Weights"]


def test_one_distribution_cannot_declare_weights_twice(register):
    first, second = (Weights(backbone=name, locate="a:b") for name in ("tiny", "Ti-ny"))
    register([backbone()], [first, second])
    with pytest.warns(PluginWarning, match="brings 'Ti-ny/imagenet', which 'tiny/imagenet' of"):
        assert weights_of("tiny") == (first,)


def test_looking_for_weights_imports_neither_mxnet_nor_a_network():
    script = ("import sys, ssdreg\nfrom ssdreg.weights.loading import weights_on_disk\n"
              "print(weights_on_disk('resnet18'), [name for name in sys.modules if name in\n"
              "      ('mxnet', 'requests', 'safetensors')])")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True)
    assert done.stdout == "None []\n"


# Reading

@pytest.fixture(scope="module")
def arrays():
    """Random parameters of the network, by name."""
    symbol = backbone().symbol()
    shapes, _, moments = symbol.infer_shape(data=(1, 3, 64, 64))
    names = [*zip(symbol.list_arguments(), shapes),
             *zip(symbol.list_auxiliary_states(), moments)]
    generator = np.random.RandomState(3)
    return {name: generator.normal(0, 1, shape).astype("float32")
            for name, shape in names if name != "data"}


def save_safetensors(file, arrays):
    from safetensors.numpy import save_file
    save_file(arrays, str(file))


def save_mxnet(file, arrays):
    mx.nd.save(str(file), {name: mx.nd.array(array, dtype=array.dtype)
                           for name, array in arrays.items()})


def save_checkpoint(file, arrays):
    auxs = {name for name in arrays if "_moving_" in name}
    loaded = {name: mx.nd.array(array) for name, array in arrays.items()}
    write_params(file, Params({name: loaded[name] for name in loaded if name not in auxs},
                              {name: loaded[name] for name in auxs}))


def weights(path, **changes):
    return Weights(backbone="tiny", locate=lambda weights: path, **changes)


@pytest.mark.parametrize(("save", "suffix"), [
    (save_safetensors, "safetensors"), (save_mxnet, "params"), (save_checkpoint, "params")])
def test_every_format_is_sorted_by_the_symbol(register, tmp_path, arrays, save, suffix):
    file = tmp_path / f"tiny.{suffix}"
    save(file, arrays)
    register([backbone()], [weights(file)])
    params = load_weights("tiny")
    symbol = backbone().symbol()
    assert set(params.args) == set(symbol.list_arguments()) - {"data"}
    assert set(params.auxs) == set(symbol.list_auxiliary_states())
    for name, array in {**params.args, **params.auxs}.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.asnumpy(), arrays[name])
    bound = symbol.bind(mx.cpu(), {**params.args, "data": mx.nd.ones((1, 3, 64, 64))},
                        aux_states=params.auxs)
    assert np.isfinite(bound.forward()[0].asnumpy()).all()


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_become_float32(tmp_path, arrays, dtype):
    file = tmp_path / "tiny.safetensors"
    save_safetensors(file, {name: array.astype(dtype) for name, array in arrays.items()})
    params = read_weights(weights(file), file, backbone())
    for name, array in {**params.args, **params.auxs}.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.asnumpy(), arrays[name].astype(dtype).astype("float32"))


def test_bfloat16_of_safetensors(tmp_path):
    values = np.float32([[1, -2.5], [0.15625, 3e38]])
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    file = tmp_path / "a.safetensors"
    # NumPy has no bfloat16 to save: the format is a length, a JSON text of that length, the numbers
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + upper.tobytes())
    found = read_file(file)["w"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=2**-7)
    np.testing.assert_array_equal(found[0], values[0])


@pytest.mark.parametrize(("name", "sentence"), [
    ("a.safetensors", "is no file of safetensors, or it is truncated"),
    ("a.params", "is no parameter file of MXNet, or it is truncated"),
    ("a.pth", "cannot be read as weights of PyTorch: it does not begin"),
    ("a.PT", "cannot be read as weights of PyTorch: it does not begin"),
    ("a.h5", "weights are read from files that end in .safetensors, .params, .pth, .pt, .bin, not"),
    ("weights", "not in 'weights'"),
])
def test_files_that_cannot_be_read(tmp_path, name, sentence):
    file = tmp_path / name
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError) as error:
        read_file(file)
    assert str(file) in str(error.value)
    assert sentence in str(error.value)


# Names and shapes

def test_names_are_mapped(tmp_path, arrays):
    file = tmp_path / "a.safetensors"
    save_safetensors(file, {f"net.{name}": array for name, array in arrays.items()})
    declared = weights(file, names=lambda found: {
        name[len("net."):]: array for name, array in found.items()})
    assert set(read_weights(declared, file, backbone()).args) < set(arrays)


def test_a_mapping_that_fails(tmp_path, arrays):
    file = tmp_path / "a.safetensors"
    save_safetensors(file, arrays)
    with pytest.raises(WeightsError, match=r"a\.safetensors: the names of tiny/imagenet cannot be "
                                           r"mapped: KeyError: 'other'"):
        read_weights(weights(file, names=lambda found: {"x": found["other"]}), file, backbone())


def fitted(tmp_path, arrays):
    file = tmp_path / "a.safetensors"
    save_safetensors(file, arrays)
    return read_weights(weights(file), file, backbone())


def complaint(tmp_path, arrays):
    with pytest.raises(WeightsError) as error:
        fitted(tmp_path, arrays)
    text = str(error.value)
    start = f"the weights tiny/imagenet in {tmp_path}/a.safetensors do not fit tiny: "
    assert text.startswith(start)
    return text[len(start):]


def test_missing_superfluous_and_misshapen_parameters_are_named(tmp_path, arrays):
    changed = {name: array for name, array in arrays.items()
               if not name.startswith(("stem_bn", "s2u1_a_bn"))}
    changed.update({"stem_weight": np.zeros((8, 3, 5, 5), "float32"),
                    "backbone.w": np.zeros(1, "float32")})
    needed = len(arrays) - 2
    assert complaint(tmp_path, changed) == (
        f"they lack 8 of {needed} parameters: stem_bn_gamma, stem_bn_beta, stem_bn_moving_mean, "
        f"..., and have, unknown to the backbone, 1 of {len(changed)} parameters: backbone.w, and "
        f"have in another shape 1 of {needed} parameters: "
        f"stem_weight (8, 3, 5, 5) instead of (8, 3, 3, 3)")


def test_another_number_of_classes_is_no_error(tmp_path, arrays):
    other = {**arrays, "fc_weight": np.zeros((21, 32), "float32"),
             "fc_bias": np.zeros(21, "float32")}
    params = fitted(tmp_path, other)
    assert set(arrays) - {*params.args, *params.auxs} == {"fc_weight", "fc_bias"}


def test_without_the_classifier(tmp_path, arrays):
    features = {name: array for name, array in arrays.items() if not name.startswith("fc_")}
    assert {*fitted(tmp_path, features).args} < set(features)
    assert "fc_weight" in fitted(tmp_path, arrays).args


def test_a_batch_norms_parameters_are_no_mere_classifier(tmp_path, arrays):
    last = {name: array for name, array in arrays.items() if name != "s3u2_b_weight"}
    assert complaint(tmp_path, last).startswith("they lack 1 of")


# The command

def test_the_table(capsys, register, tmp_path, arrays):
    file = tmp_path / "a.safetensors"
    save_safetensors(file, arrays)
    register([backbone()], [
        weights(file, about="from here", licence="CC0-1.0"),
        Weights(backbone="tiny", name="far", url="https://example.org/a/b.pth", sha256=DIGEST)])
    done = command(capsys, "weights", "tiny")
    assert done.status == 0
    assert [line.split(maxsplit=3) for line in done.out.splitlines()] == [
        ["weights", "on", "disk", "licence  from"],
        ["tiny/imagenet", "yes", "CC0-1.0", "from here"],
        ["tiny/far", "no", "-", "example.org"]]
    everything = command(capsys, "weights").out
    assert all(title in everything for title in ("tiny/imagenet", "tiny/far"))
    found = json.loads(command(capsys, "weights", "tiny", "tiny/imagenet", "--json").out)
    assert [(each["name"], each["path"]) for each in found] == [("imagenet", str(file)),
                                                                ("far", None)]


def test_fetching_by_the_command(capsys, register, tmp_path, monkeypatch):
    monkeypatch.setenv("SSDREG_OFFLINE", "1")
    register([backbone()], [
        Weights(backbone="tiny", name="far", url="https://example.org/b.pth", sha256=DIGEST)])
    done = command(capsys, "weights", "tiny", "--fetch")
    assert refused(done, "the weights tiny/far are not on disk, and SSDREG_OFFLINE forbids to")
    assert refused(command(capsys, "weights", "--fetch"), "say whose weights to fetch")
    assert refused(command(capsys, "weights", "tiny/near"), "no weights of tiny are called 'near'")
    assert refused(command(capsys, "weights", "vgg16_reduced"), "no weights are declared for vgg16")


def test_what_is_exported():
    assert (ssdreg.Weights, ssdreg.load_weights) == (Weights, load_weights)
