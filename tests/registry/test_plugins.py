"""Plug-ins as packages: installed by pip, found by fresh processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from support.wheels import BUILD, install_wheels, write_wheel_of

import ssdreg
from ssdreg import UnknownNameError

PROJECT = Path(ssdreg.__file__).parent.parent

#: Module, or attribute of one, by the name of its entry point.
ENTRY_POINTS = {
    "good": "zoo_good", "heads": "zoo_heads", "missing": "zoo_missing", "crash": "zoo_crash",
    "raise": "zoo_raise", "halfway": "zoo_halfway", "thing": "zoo_thing", "thief": "zoo_thief",
    "typo": "zoo_typo", "unmarked": "zoo_unmarked", "last": "zoo_last:Plugin",
    "weights": "zoo_weights"}

DECLARE = """
from ssdreg import Backbone, Head, Tap, hookimpl

def tiny(name, **changes):
    return Backbone(name=name, family="tiny", depth=1, build="zoo_good:build",
                    taps=[Tap(1, 2, 4, "c1"), Tap(2, 4, 8, "c2")], tap_strides=(2, 4),
                    paper="https://example.org", **changes)
"""

MODULES = {
    "zoo_good": BUILD + """
@hookimpl
def ssdreg_backbones():
    yield tiny("Tiny-Net", aliases=("tiny_one",))
""",
    "zoo_heads": """
@hookimpl
def ssdreg_heads():
    return [Head(name="twin", summary="SSD again", paper="https://example.org",
                 predict="ssdreg.heads.ssd:predict")]
""",
    "zoo_crash": "raise OSError('no disk today')",
    "zoo_raise": """
@hookimpl
def ssdreg_backbones():
    raise KeyError("lost")
""",
    "zoo_halfway": """
@hookimpl
def ssdreg_backbones():
    yield tiny("half")
    yield tiny("other", detect_typo=1)
""",
    "zoo_thing": """
@hookimpl
def ssdreg_backbones():
    return ["resnet18", tiny("beside")]
""",
    "zoo_thief": """
@hookimpl(trylast=True)
def ssdreg_backbones():
    return [tiny("ResNet_101"), tiny("mine", aliases=("tinynet",)), tiny("kept")]
""",
    "zoo_typo": """
@hookimpl
def ssdreg_backbone():
    return [tiny("typo")]
""",
    "zoo_unmarked": """
def ssdreg_backbones():
    return [tiny("unmarked")]
""",
    "zoo_last": """
class Plugin:
    @staticmethod
    @hookimpl(specname="ssdreg_backbones")
    def more():
        return [tiny("last")]
""",
    "zoo_weights": """
from ssdreg import Weights

@hookimpl
def ssdreg_weights():
    yield Weights(backbone="tiny_net", locate="zoo_weights:find")
    yield Weights(backbone="Tiny-Net", locate="zoo_weights:find")
    yield Weights(backbone="Tiny-Net", name="coco", locate="zoo_weights:find")
""",
}

LOOK = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import ssdreg
    names = [backbone.name for backbone in ssdreg.list_backbones()]
    heads = [head.name for head in ssdreg.list_heads()]
    from ssdreg.weights.loading import weights_of
    weights = [weights.title for weights in weights_of("tiny_one")]
    ssdreg.list_backbones()
print(json.dumps({
    "names": names, "heads": heads, "weights": weights, "mxnet": "mxnet" in sys.modules,
    "warnings": [str(each.message) for each in caught
                 if issubclass(each.category, ssdreg.PluginWarning)]}))
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    """Install a distribution with plug-ins of every kind; return the folder it is in."""
    wheels, target = tmp_path_factory.mktemp("zoo"), tmp_path_factory.mktemp("site")
    write_wheel_of(wheels, "zoo", {name: DECLARE + text for name, text in MODULES.items()},
                   ENTRY_POINTS, version="1.0")
    install_wheels(wheels, target)
    return target


def run(script: str, *folders: Path) -> str:
    path = os.pathsep.join(map(str, (*folders, PROJECT)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def seen(zoo) -> dict:
    return json.loads(run(LOOK, zoo))


def test_installed_plug_ins_are_found(seen):
    assert {"Tiny-Net", "beside", "kept", "last"} <= set(seen["names"])
    assert {"ssd", "ssdlite", "twin"} <= set(seen["heads"])


def test_weights_are_found_by_any_of_their_backbones_names(seen):
    assert seen["weights"] == ["tiny_net/imagenet", "Tiny-Net/coco"]


def test_broken_plug_ins_take_nothing_else_down(seen):
    built_in = [backbone.name for backbone in ssdreg.list_backbones()]
    assert set(built_in) <= set(seen["names"])
    assert sorted(set(seen["names"]) - set(built_in)) == [
        "Tiny-Net", "beside", "kept", "last", "mine", "zoo:ResNet_101"]


@pytest.mark.parametrize("warning", [
    "plug-in zoo:missing 1.0 cannot be loaded: ModuleNotFoundError: No module named 'zoo_missing'",
    "plug-in zoo:crash 1.0 cannot be loaded: OSError: no disk today",
    "plug-in zoo:raise 1.0 raised KeyError in ssdreg_backbones: 'lost'",
    "plug-in zoo:halfway 1.0 raised TypeError in ssdreg_backbones: ",
    "plug-in zoo:thing 1.0 yielded 'resnet18' from ssdreg_backbones, which is no Backbone",
    "plug-in zoo:thief 1.0 brings 'ResNet_101', which is the name of a built-in: it can be had as "
    "zoo:ResNet_101",
    "plug-in zoo:thief 1.0 brings 'mine' with the alias 'tinynet', which is 'Tiny-Net': it goes "
    "without",
    "plug-in zoo:weights 1.0 brings 'Tiny-Net/imagenet', which 'tiny_net/imagenet' of zoo:weights "
    "is called already: it was left out",
    "plug-in zoo:typo 1.0 implements ssdreg_backbone, which is no hook: did you mean "
    "ssdreg_backbones?",
    "plug-in zoo:unmarked 1.0 brings nothing: none of its functions is marked with "
    "@ssdreg.hookimpl",
])
def test_every_mistake_is_named_once(seen, warning):
    assert sum(text.startswith(warning) for text in seen["warnings"]) == 1


def test_nothing_else_is_warned_about(seen):
    assert len(seen["warnings"]) == 10


def test_listing_does_not_import_mxnet(seen):
    assert seen["mxnet"] is False


def test_a_distribution_seen_twice_counts_once(zoo, tmp_path, seen):
    again = shutil.copytree(zoo, tmp_path / "again")
    assert json.loads(run(LOOK, zoo, again)) == seen


def test_a_detector_on_a_strangers_backbone(zoo):
    script = """
import warnings
warnings.simplefilter("ignore")
import ssdreg
made = ssdreg.plan("tiny net", 2, 32, head="twin")
print(made.from_layers, [(level.height, level.width) for level in made.levels])
symbol = ssdreg.build("TINY_ONE", 2, 32, head="twin", mode="deploy")
print(symbol.infer_shape(data=(1, 3, 32, 32))[1] == [(1, made.anchors, 6)])
"""
    assert run(script, zoo) == ("('c1', 'c2', '', '', '') "
                                "[(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]\nTrue\n")


# The built-in names

@pytest.mark.parametrize("name", ["resnet101", "ResNet-101", "resnet_101", "RESNET 101",
                                  "resnet101_v2", "ResNet-101.v2"])
def test_names_are_forgiving(name):
    assert ssdreg.get_backbone(name).name == "resnet101"


def test_a_declaration_stands_for_itself():
    backbone = attrs.evolve(ssdreg.get_backbone("resnet18"), name="another")
    assert ssdreg.get_backbone(backbone) is backbone
    head = ssdreg.get_head("SSD")
    assert ssdreg.get_head(head) is head


@pytest.mark.parametrize(("look_up", "name", "hint"), [
    (ssdreg.get_backbone, "resnet11", "did you mean resnet101 or resnet18"),
    (ssdreg.get_backbone, "vgg", "did you mean vgg16_reduced?"),
    (ssdreg.get_backbone, "qqqq", "there are "),
    (ssdreg.get_head, "sdd", "did you mean ssd"),
])
def test_an_unknown_name(look_up, name, hint):
    with pytest.raises(UnknownNameError) as caught:
        look_up(name)
    message = str(caught.value)
    assert f"is called {name!r}: " in message
    assert hint in message
    assert "more come from packages that declare an entry point in the group 'ssdreg'" in message


def test_backbones_are_listed_by_family_and_depth():
    assert [backbone.name for backbone in ssdreg.list_backbones()
            if backbone.family in ("inception", "resnet", "vgg")] == [
        "inceptionv3", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200",
        "resnet269", "vgg16_reduced"]


def test_backbones_and_heads_are_packages_and_functions():
    script = ("import ssdreg.backbones.resnet as resnet, ssdreg.heads.ssd as ssd, ssdreg\n"
              "from ssdreg.backbones import vgg16_reduced\n"
              "assert ssdreg.get_backbone('resnet50') in resnet.BACKBONES\n"
              "assert vgg16_reduced.BACKBONE in ssdreg.list_backbones()\n"
              "assert {head.name for head in ssdreg.list_heads()} >= {'ssd', 'ssdlite'}\n"
              "assert 'mxnet' not in __import__('sys').modules")
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_plug_in_that_is_there_twice_is_no_rival_of_itself():
    """As one that is installed, and registered in a notebook by another object."""
    mine = attrs.evolve(ssdreg.get_backbone("resnet18"), name="mine", aliases=("mein",))
    plugin = SimpleNamespace(ssdreg_backbones=ssdreg.hookimpl(lambda: [mine]))
    same = SimpleNamespace(ssdreg_backbones=ssdreg.hookimpl(lambda: [attrs.evolve(mine)]))
    other = SimpleNamespace(ssdreg_backbones=ssdreg.hookimpl(lambda: [attrs.evolve(mine, depth=9)]))
    with ssdreg.registry.host.register(plugin, "installed"), warnings.catch_warnings():
        warnings.simplefilter("error")
        with ssdreg.registry.host.register(same, "notebook"):
            for name in ("mine", "mein", "installed:mine", "notebook:mine"):
                assert ssdreg.get_backbone(name) == mine
            assert [each.name for each in ssdreg.list_backbones()].count("mine") == 1
        with ssdreg.registry.host.register(other, "notebook"), \
                pytest.raises(UnknownNameError, match="several plug-ins bring a backbone called"):
            ssdreg.get_backbone("mine")
