"""Plug-ins that are worse than a mistake: whatever they do, the others go on working."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from support.runs import command
from support.wheels import install_wheels, write_wheel

import ssdreg
from ssdreg.registry import host as plugins

PROJECT = Path(ssdreg.__file__).parent.parent

DECLARE = """
from ssdreg import Backbone, Tap, Weights, hookimpl

def tiny(name, **changes):
    return Backbone(**{**dict(name=name, family="tiny-" + name, depth=1, build="lost:lost",
                              taps=[Tap(1, 2, 4, "c1"), Tap(2, 4, 8, "c2")], tap_strides=(2, 4),
                              paper="https://example.org"), **changes})
"""
YIELDS = "@hookimpl\ndef ssdreg_backbones():\n"
WEIGHTS = "@hookimpl\ndef ssdreg_weights():\n    yield Weights(backbone='{}', locate=print)\n"

#: Distribution: the module behind its entry point.
MODULES = {
    "good-net": YIELDS + "    yield tiny('goodnet')",
    "worse-exit": "class Stop(BaseException): pass\nraise Stop('all of you')",
    "worse-cancel": YIELDS + "    import asyncio\n    raise asyncio.CancelledError('not now')",
    "worse-words": "class Mute(Exception):\n    def __str__(self): raise OSError\nraise Mute",
    "worse-print": "print('[')\n" + YIELDS + "    print('{')\n    yield tiny('loud')",
    "worse-lines": YIELDS + "    raise ValueError('first\\nsecond ' + 'long ' * 999)",
    "worse-repr": YIELDS + "    yield {number: 'x' * 999 for number in range(999)}",
    "worse-half": YIELDS + "    yield tiny('part')\n@hookimpl\ndef ssdreg_heads(lost): return []",
    "worse-wrap": "@hookimpl(hookwrapper=True)\ndef ssdreg_backbones():\n    (yield).get_result()",
    "worse-mask": YIELDS + "    yield tiny('good-net:goodnet')\n"
                           "    yield tiny('mask', aliases=('ssdreg:resnet101',))",
    "worse-range": "ssdreg_hooks = 'new'\n" + YIELDS + "    yield tiny('range')",
    "worse-lists": YIELDS + "    yield tiny('listed')",
    "worse-bytes": YIELDS + "    yield tiny('bytes')",
    "twin-one": YIELDS + "    yield tiny('twin', aliases=('first',))\n" + WEIGHTS.format("twin"),
    "twin-two": YIELDS + "    yield tiny('Twin', aliases=('second',))\n" + WEIGHTS.format("TWIN"),
    "twin-weights": WEIGHTS.format("twin"),
    "more-weights": WEIGHTS.format("resnet18"),
    "same-weights": WEIGHTS.format("ResNet-18"),
    "told-weights": WEIGHTS.format("Good_Net:goodnet"),
    "old-python": YIELDS + "    yield tiny('marked')",
    "new-ssdreg": YIELDS + "    yield tiny('asked')",
}
REQUIRES = {"old-python": 'ssdreg>=99; python_version < "3"',
            "new-ssdreg": 'ssdreg[all] (>=99) ; python_version >= "3"'}
#: Files that are damaged after their installation: pip would refuse them.
DAMAGE = {"worse_lists-1.2.dist-info/entry_points.txt": b"[ssdreg]\nno assignment\n",
          "worse_bytes-1.2.dist-info/METADATA": b"Name: \xff\xfe\n"}

#: Distribution: why it is not used, in whole or in part.
SEEN = {
    "worse-exit": "cannot be loaded: Stop: all of you",
    "worse-cancel": "raised CancelledError in ssdreg_backbones: not now; nothing of it was taken",
    "worse-words": "cannot be loaded: Mute: its message raises OSError",
    "worse-lines": "raised ValueError in ssdreg_backbones: first second long long long ",
    "worse-repr": "yielded {0: 'xxx",
    "worse-half": "cannot be loaded: PluginValidationError: ",
    "worse-wrap": "wraps ssdreg_backbones: a plug-in declares what is its own, and cannot change "
                  "what others do",
    "worse-mask": "brings 'good-net:goodnet': a colon stands between a distribution and a name",
    "worse-range": "states ssdreg_hooks = 'new', which is no range of versions such as '>=1.0,<2'",
    "worse_lists": "has metadata that cannot be read: ",
    "worse_bytes": "has metadata that cannot be read: UnicodeDecodeError: ",
    "twin-weights": "brings 'twin/imagenet', and several plug-ins a backbone of that name: it must "
                    "be for twin-one:twin or twin-two:Twin; it was left out",
    "new-ssdreg": "needs ssdreg >=99, and this is ",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Install all of them, and damage what is to be damaged."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    for name, text in MODULES.items():
        write_wheel(wheels, name, DECLARE + text, requires=REQUIRES.get(name, ""))
    install_wheels(wheels, target)
    for file, content in DAMAGE.items():
        (target / file).write_bytes(content)
    return target


def on(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ssdreg", *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)])})


@pytest.fixture(scope="module")
def reported(site):
    return {each["distribution"]: each for each in json.loads(on(site, "plugins", "--json").stdout)}


@pytest.fixture(scope="module")
def listed(site):
    done = on(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    return {each["name"] for each in json.loads(done.stdout)["backbones"]}, done.stderr


@pytest.mark.parametrize("name", SEEN)
def test_each_is_reported_and_warned_about_in_one_line(reported, listed, name):
    reason, *_ = reported[name]["reasons"]
    assert reason.startswith(SEEN[name])
    assert "\n" not in reason
    assert len(reason) <= 300
    warnings = [line for line in listed[1].splitlines() if f"plug-in {name}:" in line]
    assert len(warnings) == len(reported[name]["reasons"])
    assert warnings[0] == f"ssdreg: warning: plug-in {name}:{reported[name]['plugin']} 1.2 {reason}"


def test_everything_else_goes_on_working(listed):
    names, _ = listed
    assert {"goodnet", "resnet101", "loud", "marked", "twin-one:twin", "twin-two:Twin"} <= names
    assert {"part", "mask", "range", "listed", "bytes", "asked"}.isdisjoint(names)


def test_what_they_print_is_no_output_of_a_command(listed):
    # that the output was JSON is tested above
    assert "[\n" in listed[1]
    assert "{\n" in listed[1]


def test_plug_ins_are_in_the_order_of_their_names(reported):
    strangers = [name for name in (each.replace("_", "-") for each in reported) if name in MODULES]
    assert strangers == sorted(MODULES)


@pytest.mark.parametrize(("name", "title"), [
    ("good-net:goodnet", "goodnet"), ("ssdreg:ResNet-101", "resnet101"), ("first", "twin-one:twin"),
    ("Twin.Two:second", "twin-two:Twin")])
def test_a_qualified_name_is_its_owners(site, name, title):
    script = (f"import warnings; warnings.simplefilter('ignore'); import ssdreg; "
              f"print(ssdreg.get_backbone({name!r}).name)")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)])})
    assert done.stdout.splitlines()[-1] == title


@pytest.mark.parametrize(("arguments", "titles"), [
    (["twin-one:twin"], ["twin-one:twin/imagenet"]),
    (["twin-two:twin/imagenet"], ["twin-two:Twin/imagenet"]),
    (["goodnet"], ["goodnet/imagenet"]),
    (["resnet18"], ["resnet18/imagenet", "ResNet-18/same-weights:imagenet"]),
    (["resnet18/same-weights:imagenet"], ["ResNet-18/same-weights:imagenet"]),
])
def test_weights_are_told_apart_and_follow_their_backbone(site, arguments, titles):
    done = on(site, "weights", *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[[line.split()[0] for line in lines].index("weights")
                                              + 1:]] == titles


# Registered by hand

@pytest.fixture
def mine():
    backbone = attrs.evolve(ssdreg.get_backbone("resnet18"), name="mine", aliases=())
    return SimpleNamespace(ssdreg_backbones=ssdreg.hookimpl(lambda: [backbone]))


def test_a_registration_is_undone_at_the_end(mine):
    before = ssdreg.list_backbones()
    with plugins.register(mine, "notebook"):
        assert ssdreg.get_backbone("mine") is ssdreg.get_backbone("notebook:Mine")
        assert len(ssdreg.list_backbones()) == len(before) + 1
    assert ssdreg.list_backbones() == before
    again = plugins.register(mine, "notebook")
    again.close()
    again.close()
    assert ssdreg.list_backbones() == before


def test_a_registration_outlives_a_command_without_plug_ins(capsys, mine):
    with plugins.register(mine, "notebook"):
        assert "\nmine " in command(capsys, "--no-plugins", "list").out
        assert ssdreg.get_backbone("mine").name == "mine"
    with pytest.raises(ssdreg.UnknownNameError):
        ssdreg.get_backbone("mine")


@pytest.mark.parametrize(("plugin", "name", "sentence"), [
    (SimpleNamespace(), "empty", "'empty' cannot be registered: it brings nothing: none of its"),
    (SimpleNamespace(ssdreg_head=ssdreg.hookimpl(lambda: [])), "typo",
     "it implements ssdreg_head, which is no hook: did you mean ssdreg_heads?"),
    (SimpleNamespace(ssdreg_hooks="<1", ssdreg_heads=ssdreg.hookimpl(lambda: [])), "old",
     "it was written for hooks <1, and these are "),
    (SimpleNamespace(), "ssdreg", "no plug-in can be registered as 'ssdreg': choose a name"),
    (SimpleNamespace(), "ssdreg:resnet", "no plug-in can be registered as 'ssdreg:resnet'"),
])
def test_what_cannot_be_registered(plugin, name, sentence):
    before = plugins.manager().list_name_plugin()
    with pytest.raises(ssdreg.PluginError, match=sentence):
        plugins.register(plugin, name)
    assert plugins.manager().list_name_plugin() == before


def test_nothing_is_registered_twice(mine):
    with plugins.register(mine, "notebook"):
        with pytest.raises(ssdreg.PluginError, match="'notebook' is registered already: close"):
            plugins.register(mine, "notebook")
        with pytest.raises(ssdreg.PluginError, match="it names the same object as notebook"):
            plugins.register(mine, "other")
    assert "mine" not in {each.name for each in ssdreg.list_backbones()}
