"""``ssdreg audit`` on symbols, and what all its sources share."""

from __future__ import annotations

import importlib.metadata
import json
import sys

import pytest
from support.nets import NETS, conv, conv_relu, residual
from support.runs import command, refused

import ssdreg
from ssdreg.auditing import ALTERED, RIGHT, UNKNOWN, VERDICTS, WRONG, Audit, Audited, Layer
from ssdreg.auditing.audited import right_layers
from ssdreg.auditing.extractors import judge_extractor
from ssdreg.auditing.gluoncv_presets import _hidden
from ssdreg.detector.families import parameter_count
from ssdreg.graph.stages import StageEnd
from ssdreg.mx import mx

COPIED = ssdreg.plan("resnet50").taps
OWN = ssdreg.plan("resnet101").taps


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hold ResNet-101's symbol, as this MXNet writes it and as the first ones did."""
    folder = tmp_path_factory.mktemp("audit")
    symbol = ssdreg.get_backbone("resnet101").symbol()
    symbol.save(str(folder / "resnet101-symbol.json"))
    ssdreg.get_backbone("inceptionv3").symbol().save(str(folder / "inceptionv3-symbol.json"))
    ssdreg.build("resnet18", mode="deploy").save(str(folder / "ssd-symbol.json"))
    (folder / "old-symbol.json").write_text(json.dumps(old_spelling(json.loads(symbol.tojson()))))
    return folder


def old_spelling(graph):
    """Spell a symbol as MXNet 0.8 did under Python 2: ``param``, ``_Plus``, ``(3L, 3L)``."""
    nodes = []
    for node in graph["nodes"]:
        settings = {key: (f"({value[1:-1].replace(',', 'L,')}L)" if value.startswith("(")
                          else value)
                    for key, value in node.get("attrs", {}).items()}
        nodes.append({"op": {"elemwise_add": "_Plus"}.get(node["op"], node["op"]),
                      "param": settings, "name": node["name"],
                      "inputs": [reference[:2] for reference in node["inputs"]],
                      "backward_source_id": -1})
    return {"nodes": nodes, "arg_nodes": graph["arg_nodes"],
            "heads": [reference[:2] for reference in graph["heads"]]}


def counted(backbone, taps, classes=20, levels=6):
    layers = (*taps, *[""] * (levels - len(taps)))
    plan = ssdreg.plan(backbone, classes, from_layers=layers)
    return parameter_count(ssdreg.assemble(ssdreg.get_backbone(backbone).symbol(), plan, "deploy"),
                           plan.data_shape)


# Symbols

@pytest.mark.parametrize("name", ["resnet101-symbol.json", "old-symbol.json"])
def test_the_taps_of_resnet50_are_found_wrong_on_resnet101(capsys, folder, name):
    done = command(capsys, "audit", folder / name, "--layers", ",".join(COPIED), "--json")
    found, = json.loads(done.out)
    assert (done.status, done.err) == (1, "")
    assert found["verdict"] == WRONG
    assert [(tap["name"], tap["stride"], tap["channels"]) for tap in found["declared"]] == [
        (name, 16, 1024) for name in COPIED]
    assert [(tap["name"], tap["stride"], tap["channels"]) for tap in found["right"]] == [
        (OWN[0], 16, 1024), (OWN[1], 32, 2048)]
    assert 0.27 < found["share"] < 0.29
    assert found["published"] == counted("resnet101", COPIED) < 18e6
    assert found["corrected"] == counted("resnet101", OWN) > 50e6
    assert any(f"{COPIED[0]!r} is not the end of its stage (stride 16): 17 units are still to come"
               in reason for reason in found["reasons"])


def test_the_right_taps_pass_under_the_name_of_their_output(capsys, folder):
    done = command(capsys, "audit", folder / "resnet101-symbol.json", "--layers",
                   f" {OWN[0]}_output, {OWN[1]}", "--data-shape", "256x320", "--json")
    found, = json.loads(done.out)
    assert (done.status, found["verdict"], found["reasons"]) == (0, RIGHT, [])
    assert found["data_shape"] == [256, 320]
    assert found["declared"] == found["right"]
    assert found["share"] > 0.999
    assert found["published"] == found["corrected"] == counted("resnet101", OWN)


def test_the_table_shows_a_line_for_every_tap_and_the_reasons_below(capsys, folder):
    done = command(capsys, "audit", folder / "resnet101-symbol.json",
                   "--layers", ",".join(COPIED), "--num-classes", 3)
    lines = done.out.splitlines()
    assert lines[1].split() == [
        "resnet101-symbol.json", "WRONG", "16:", f"{COPIED[0]},", "1024", "16:", f"{OWN[0]},",
        "1024", "28%", f"{counted('resnet101', COPIED, 3):,}",
        f"{counted('resnet101', OWN, 3):,}"]
    assert lines[2].split() == ["16:", f"{COPIED[1]},", "1024", "32:", f"{OWN[1]},", "2048"]
    assert lines[4] == f"resnet101-symbol.json: {VERDICTS[WRONG]}"
    assert lines[-1].startswith("Parameters published: ")
    assert "3 classes" in lines[-1]


def test_the_table_as_markdown(capsys, folder):
    done = command(capsys, "audit", folder / "resnet101-symbol.json", "--layers", ",".join(OWN),
                   "--markdown")
    header, rule, row = done.out.splitlines()[:3]
    size = f"{counted('resnet101', OWN):,}"
    assert header.count("|") == rule.count("|") == row.count("|") == 8
    assert row == (f"| resnet101-symbol.json | 16: {OWN[0]}, 1024; 32: {OWN[1]}, 2048 | right "
                   f"| the same | 100% | {size} | {size} |")


def test_a_layer_that_is_missing_is_wrong_and_nothing_is_counted_with_it(capsys, folder):
    done = command(capsys, "audit", folder / "resnet101-symbol.json", "--layers",
                   f"{OWN[0]},nowhere", "--json")
    found, = json.loads(done.out)
    assert (done.status, found["verdict"], found["published"]) == (1, WRONG, None)
    assert found["declared"][1] == {"name": "nowhere", "stride": None, "channels": None}
    assert found["reasons"][0].startswith("there is no node 'nowhere'")
    assert [layer["name"] for layer in found["right"]] == list(OWN)
    assert found["corrected"] == counted("resnet101", OWN)


def test_more_taps_than_stages_have_no_corrected_detector(capsys, tmp_path):
    residual().save(str(tmp_path / "net.json"))
    ends = [node for _, node, _ in NETS["residual"][1]]
    done = command(capsys, "audit", tmp_path / "net.json", "--data-shape", 64,
                   "--layers", ",".join(["stem", *ends]), "--json")
    found, = json.loads(done.out)
    assert (done.status, found["corrected"]) == (1, None)
    assert found["published"] > 0
    assert found["reasons"][-1] == ("there is no corrected detector: 4 taps are declared, the "
                                    "network has 3 stages")


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["resnet101-symbol.json"], "say which layers the detector taps, as in `--layers"),
    (["resnet101-symbol.json", "--layers", " , "], "say which layers the detector taps"),
    (["ssd-symbol.json", "--layers", "relu0"], "is a whole detector"),
    (["missing.json", "--layers", "relu0"], "No such file or directory"),
    (["inceptionv3-symbol.json", "--layers", "relu0", "--data-shape", "40"],
     "does not accept an input of 40x40 pixels"),
    (["resnet101-symbol.json", "--layers", "relu0", "--num-classes", "0"],
     "--num-classes 0: at least one class is needed"),
    (["--gluoncv", "--layers", "relu0"], "leave out --layers and --data-shape"),
    (["--gluoncv", "--data-shape", "300"], "leave out --layers and --data-shape"),
])
def test_bad_input_is_one_sentence(capsys, folder, arguments, sentence):
    arguments = [folder / each if each.endswith(".json") else each for each in arguments]
    assert refused(command(capsys, "audit", *arguments), sentence)


@pytest.mark.parametrize("content", ["", "{", '{"nodes": [], "arg_nodes": [], "heads": []',
                                     '{"nodes": 3}', '{"nodes": []}', '{"nodes": [{"op": "Fly"}]}'])
def test_a_broken_symbol_is_one_sentence(capsys, tmp_path, content):
    file = tmp_path / "net-symbol.json"
    file.write_text(content)
    assert refused(command(capsys, "audit", file, "--layers", "relu0"), str(file))


def test_a_symbol_that_is_no_picture_network_is_one_sentence(capsys, tmp_path):
    file = tmp_path / "net.json"
    mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc").save(str(file))
    assert refused(command(capsys, "audit", file, "--layers", "fc"), "net has no stages")


@pytest.mark.parametrize("arguments", [[], ["FILE", "--gluoncv"],
                                       ["FILE", "--json", "--markdown"]])
def test_one_source_and_one_form(capsys, arguments):
    assert command(capsys, "audit", *arguments).status == 2


def test_gluoncv_that_is_missing_is_one_sentence(capsys):
    try:
        importlib.metadata.version("gluoncv")
    except importlib.metadata.PackageNotFoundError:
        assert refused(command(capsys, "audit", "--gluoncv"), "pip install gluoncv==0.10.5")
    else:
        pytest.skip("GluonCV is installed")


# What the sources share

def test_an_audit_passes_when_nothing_is_wrong_and_something_was_judged():
    def audit(*verdicts):
        return Audit(tuple(Audited(preset=verdict, network="n", data_shape=(64, 64), declared=(),
                                   verdict=verdict) for verdict in verdicts), "")
    assert audit(RIGHT, ALTERED, UNKNOWN).passed
    assert not audit(RIGHT, WRONG).passed
    assert not audit(UNKNOWN, UNKNOWN).passed
    assert not audit().passed


def test_right_layers_keep_declared_strides_or_take_the_coarsest():
    ends = [StageEnd(stride, f"end{stride}", stride, 1, 1, 1) for stride in (4, 8, 16, 32)]

    def chosen(*strides):
        return [layer.stride for layer in
                right_layers(ends, [Layer("x", stride, 1) for stride in strides])]
    assert chosen(8, 32) == [8, 32]
    assert chosen(16, 16) == [16, 32]
    assert chosen(16, None) == [16, 32]
    assert chosen(8, 64) == [16, 32]
    assert chosen(2, 4, 8, 16, 32) == [4, 8, 16, 32]


def test_a_module_is_out_of_sight_only_for_a_while():
    import colorsys
    with _hidden("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert sys.modules["colorsys"] is colorsys
    del sys.modules["colorsys"]
    with pytest.raises(KeyError), _hidden("colorsys"):
        raise KeyError
    assert "colorsys" not in sys.modules
    assert importlib.import_module("colorsys")


# Feature extractors of their own, as small symbols

def extractor(tap="s2u2_out", strided=True, branch=None):
    """Tap stages 2 and 3 of the residual net and make a level behind; stage 3 may lose its stride.

    Stage 2's level comes L2-normalised, or through a convolution of its own.
    """
    net = residual() if strided else residual_without_last_stride()
    nodes = net.get_internals()
    fine, coarse = nodes[f"{tap}_output"], nodes["s3u2_out_output"]
    level = (mx.sym.L2Normalization(fine, mode="channel", name="norm") * 20.0 if branch is None
             else conv(fine, branch, 8))
    behind = conv_relu(conv_relu(coarse, "squeeze", 8, kernel=1), "extra", 16, stride=2)
    return [level, coarse, behind]


def residual_without_last_stride():
    """Set the stride of stage 3 to 1, on its branch and its shortcut."""
    graph = json.loads(residual().tojson())
    for node in graph["nodes"]:
        if node["name"] in ("s3u1_a", "s3u1_sc"):
            node["attrs"]["stride"] = "(1, 1)"
    return mx.sym.load_json(json.dumps(graph))


def test_an_extractor_is_read_through_its_l2_normalisation_up_to_its_extra_levels():
    found = judge_extractor("p", "net", extractor(), residual(), (64, 64))
    assert found.verdict == RIGHT
    assert found.declared == found.right == (Layer("s2u2_out", 4, 16), Layer("s3u2_out", 8, 32))
    assert (found.share, found.reasons) == (1.0, ())


@pytest.mark.parametrize(("plain", "verdict"), [(residual, ALTERED), (lambda: None, WRONG)])
def test_a_stride_taken_away_makes_an_extractor_altered(plain, verdict):
    found = judge_extractor("p", "net", extractor(strided=False), plain(), (64, 64))
    assert found.verdict == verdict
    assert found.declared == (Layer("s2u2_out", 4, 16), Layer("s3u2_out", 4, 32))
    reason, = found.reasons
    assert "2 units follow on maps of the same 16x16 cells" in reason
    assert ("'s2u2_out' is the end of a stage of net" in reason) is (verdict == ALTERED)


def test_a_tap_inside_a_stage_is_wrong_in_an_extractor_too():
    found = judge_extractor("p", "net", extractor(tap="s2u1_out"), residual(), (64, 64))
    assert found.verdict == WRONG
    assert found.right == (Layer("s2u2_out", 4, 16), Layer("s3u2_out", 8, 32))
    assert found.reasons == ("'s2u1_out' is not the end of its stage: 1 unit follows on maps of "
                             "the same 16x16 cells",)


def test_a_level_with_a_branch_of_its_own_is_unknown():
    found = judge_extractor("p", "net", extractor(branch="lateral"), residual(), (64, 64))
    assert found.verdict == UNKNOWN
    assert "branch of its own from 's2u2_out', with 'lateral' in it" in found.reasons[0]


def test_a_level_that_is_no_map_ends_the_taps():
    mean = mx.sym.Pooling(residual().get_internals()["s3u2_out_output"], global_pool=True,
                          kernel=(1, 1), pool_type="avg", name="mean")
    found = judge_extractor("p", "net", [*extractor()[:2], mean], None, (64, 64))
    assert found.verdict == RIGHT
    assert [layer.stride for layer in found.declared] == [4, 8]
    found = judge_extractor("p", "net", [residual()], None, (64, 64))
    assert (found.verdict, found.declared) == (UNKNOWN, ())
    assert found.reasons == ("its finest level is no feature map",)


def test_a_file_that_is_too_large_for_a_symbol_is_not_read(capsys, tmp_path):
    file = tmp_path / "big-symbol.json"
    with file.open("wb") as opened:
        opened.truncate(100 * 2**20)
    assert refused(command(capsys, "audit", file, "--layers", "a"),
                   "has 104,857,600 bytes: no symbol or configuration is that large")
