"""Bad plug-ins, each installed as a distribution of its own: what the user sees of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.wheels import BUILD, install_wheels, write_wheel
from support.worlds import start_in_turn

import ssdreg
from ssdreg.registry.entry_points import PRECEDENCE

PROJECT = Path(ssdreg.__file__).parent.parent

DECLARE = f"""
from ssdreg import Backbone, Tap, hookimpl
{BUILD}""" + """
def tiny(name, **changes):
    return Backbone(**{**dict(name=name, family="tiny-" + name, depth=1, build=build,
                              taps=[Tap(1, 2, 4, "c1"), Tap(2, 4, 8, "c2")], tap_strides=(2, 4),
                              paper="https://example.org"), **changes})
"""
YIELDS = "@hookimpl\ndef ssdreg_backbones():\n"

#: Distribution: the module behind its entry point.
MODULES = {
    "good-net": DECLARE + YIELDS + "    yield tiny('goodnet')",
    "bad-import": "raise OSError('no disk today')",
    "bad-exit": "import sys\nsys.exit('I would rather not')",
    "bad-hook": DECLARE + YIELDS + "    raise KeyError('lost')",
    "bad-halfway": (DECLARE + YIELDS
                    + "    yield tiny('half')\n    yield tiny('rest', tap_strides=(3,))"),
    "bad-thing": DECLARE + YIELDS + "    return ['resnet18', tiny('beside')]",
    "bad-thief": DECLARE + YIELDS + "    yield tiny('ResNet-101')",
    "bad-typo": DECLARE + "@hookimpl\ndef ssdreg_backbone():\n    return [tiny('typo')]",
    "bad-newer": DECLARE + YIELDS + "    yield tiny('newer')",
    "bad-nowhere": None,
    "bad-hooks": DECLARE + "ssdreg_hooks = '>=9'\n" + YIELDS + "    yield tiny('hooks')",
    "bad-build": DECLARE + YIELDS + "    yield tiny('nobuild', build='bad_build:lost')",
    "twin-one": DECLARE + YIELDS + "    yield tiny('twin')",
    "twin-two": DECLARE + YIELDS + "    yield tiny('Twin', depth=2)",
    "old-argument": DECLARE + "@hookimpl\ndef ssdreg_backbones(version):\n"
                              "    yield tiny('old' + version.partition('.')[0])",
    "new-argument": DECLARE + "@hookimpl\ndef ssdreg_backbones(host):\n"
                              "    yield tiny('hooks' + host.hooks.partition('.')[0])",
}

#: Distribution: its state, and the reason that `ssdreg plugins` and the warning give.
SEEN = {
    "bad-import": ("failed", "cannot be loaded: OSError: no disk today"),
    "bad-exit": ("failed", "cannot be loaded: SystemExit: I would rather not"),
    "bad-hook": ("failed", "raised KeyError in ssdreg_backbones: 'lost'; nothing of it was taken"),
    "bad-halfway": ("failed", "raised ValueError in ssdreg_backbones: backbone 'rest' has no tap "
                              "at stride 3: its taps are at 2, 4; nothing of it was taken"),
    "bad-thing": ("partly", "yielded 'resnet18' from ssdreg_backbones, which is no Backbone"),
    "bad-thief": ("partly", "brings 'ResNet-101', which is the name of a built-in: it can be had "
                            "as bad-thief:ResNet-101"),
    "bad-typo": ("failed", "implements ssdreg_backbone, which is no hook: did you mean "
                           "ssdreg_backbones?"),
    "bad-newer": ("failed", "needs ssdreg >=99, and this is "),
    "bad-nowhere": ("failed", "cannot be loaded: ModuleNotFoundError: No module named "
                              "'bad_nowhere'"),
    "bad-hooks": ("failed", "was written for hooks >=9, and these are 1.3"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Install all of them, each with its own metadata; return the folder."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    for name, text in MODULES.items():
        write_wheel(wheels, name, text, requires="ssdreg>=99" if name == "bad-newer" else "")
    install_wheels(wheels, target)
    return target


def ssdreg_command(site: Path, *arguments: str, **environment: str):
    return subprocess.run(
        [sys.executable, "-m", "ssdreg", *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)]),
             **environment})


def python(site: Path, script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)]),
             **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reported(site):
    done = ssdreg_command(site, "plugins", "--json")
    assert done.returncode == 1
    return {each["distribution"]: each for each in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def listed(site):
    done = ssdreg_command(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    return [each["name"] for each in json.loads(done.stdout)["backbones"]], done.stderr


#: Commands that build networks, by what they are for.
BUILDING = {
    "others": ("check", "goodnet", "resnet18", "beside"),
    "cannot be built": ("show", "nobuild"),
    "built in": ("show", "resnet101", "--json"),
    "thief": ("build", "bad-thief:resnet101", "--data-shape", "64"),
    "either": ("show", "twin"),
    "one": ("show", "twin-one:twin", "--data-shape", "64"),
    "two": ("show", "Twin_Two:TWIN", "--data-shape", "64")}


@pytest.fixture(scope="module")
def building(site, tmp_path_factory):
    """How they ended."""
    ended = start_in_turn(*BUILDING.values(), cwd=tmp_path_factory.mktemp("building"), environ={
        "HOME": os.environ.get("HOME", ""),
        "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT)])})
    return dict(zip(BUILDING, ended))


@pytest.mark.parametrize("name", SEEN)
def test_each_is_reported_with_version_and_reason(reported, name):
    state, reason = SEEN[name]
    found = reported[name]
    assert (found["version"], found["plugin"], found["state"]) == ("1.2", "net", state)
    assert found["reasons"][0].startswith(reason)
    assert "\n" not in found["reasons"][0]


@pytest.mark.parametrize("name", SEEN)
def test_each_is_warned_about_once(listed, name):
    _, warnings = listed
    lines = [line for line in warnings.splitlines() if f"plug-in {name}:net 1.2 " in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"ssdreg: warning: plug-in {name}:net 1.2 {SEEN[name][1]}")


@pytest.mark.parametrize("setting", ["error", "error::UserWarning", "ignore"])
def test_nothing_changes_where_warnings_are_made_errors(site, listed, setting):
    done = ssdreg_command(site, "list", "--json", PYTHONWARNINGS=setting)
    assert done.returncode == 0, done.stderr
    assert [each["name"] for each in json.loads(done.stdout)["backbones"]] == listed[0]
    assert sorted(done.stderr.splitlines()) == sorted(listed[1].splitlines())
    # also where the host is asked without the command line
    script = "import ssdreg; print(*(each.name for each in ssdreg.list_backbones()))"
    assert python(site, script, PYTHONWARNINGS=setting).split() == listed[0]


def test_everything_else_goes_on_working(building, listed):
    names, _ = listed
    assert {"goodnet", "resnet101", "beside", "nobuild", "bad-thief:ResNet-101"} <= set(names)
    assert {"half", "rest", "typo", "newer", "hooks"}.isdisjoint(names)
    assert building["others"].status == 0


def test_the_table_shows_all(site):
    done = ssdreg_command(site, "plugins")
    assert done.returncode == 1
    assert done.stderr == ""
    for name, (state, reason) in SEEN.items():
        assert any(line.split()[:4] == [name, "1.2", "net", state]
                   for line in done.stdout.splitlines()), name
        assert f"\n{name}:net: {reason}" in done.stdout


ASK = """
import warnings
warnings.simplefilter("ignore")
import ssdreg
try:
    ssdreg.get_backbone({name!r}){more}
except ssdreg.SsdregError as error:
    print(type(error).__name__, "|", error, "|", type(error.__cause__).__name__)
else:
    print("fine")
"""


@pytest.mark.parametrize(("name", "message", "cause"), [
    ("half", "the backbone 'half' cannot be had: its plug-in bad-halfway:net raised ValueError",
     "ValueError"),
    ("bad-import", "its plug-in bad-import:net cannot be loaded: OSError: no disk", "OSError"),
    ("bad-hook", "its plug-in bad-hook:net raised KeyError in ssdreg_backbones", "KeyError"),
    ("bad-newer:newer", "its plug-in bad-newer:net needs ssdreg >=99", "NoneType"),
    ("bad-import:anything", "its plug-in bad-import:net cannot be loaded: OSError", "OSError"),
])
def test_only_asking_for_its_own_backbone_raises(site, name, message, cause):
    kind, text, chained = python(site, ASK.format(name=name, more="")).strip().split(" | ")
    assert kind == "PluginError"
    assert message in text
    assert chained == cause


def test_a_network_that_cannot_be_built(site, building):
    kind, text, chained = python(site, ASK.format(name="nobuild", more=".symbol()")
                                 ).strip().split(" | ")
    assert (kind, chained) == ("PluginError", "AttributeError")
    assert text.startswith("backbone 'nobuild' cannot be built: AttributeError: ")
    done = building["cannot be built"]
    assert done.status == 2
    assert done.told[-1].startswith("ssdreg: backbone 'nobuild' cannot be built")


def test_a_built_in_cannot_be_replaced(building):
    done = building["built in"]
    assert json.loads(done.out)["backbone"] == "resnet101"
    assert b"blocks" in done.out
    other = building["thief"]
    assert other.status == 0, other.told
    assert b"c1" in other.out


def test_two_of_one_name_are_told_apart(building, listed):
    names, _ = listed
    assert {"twin-one:twin", "twin-two:Twin"} <= set(names)
    assert "twin" not in names
    assert building["either"].status == 2
    assert building["either"].told[-1] == (
        "ssdreg: several plug-ins bring a backbone called 'twin': say twin-one:twin or "
        "twin-two:Twin")
    for name in ("one", "two"):
        assert building[name].status == 0, building[name].told


def test_a_deprecated_argument_works_and_is_told_to_its_author(listed, reported):
    names, warnings = listed
    assert "old0" in names
    note = ("takes the argument 'version' in ssdreg_backbones, which is deprecated: take `host` "
            "instead and read `host.version`")
    assert f"plug-in old-argument:net 1.2 {note}\n" in warnings
    found = reported["old-argument"]
    assert (found["state"], found["reasons"]) == ("ok", [note])
    assert "hooks1" in names
    assert "new-argument" not in warnings


# Control

LOADED = ("import sys, json, warnings; warnings.simplefilter('ignore'); import ssdreg; "
          "ssdreg.list_backbones(); "
          "print(json.dumps([each.name for each in ssdreg.list_backbones()])); "
          "print(json.dumps(sorted(set(sys.modules))))")


def seen_by(site, **environment):
    names, modules = map(json.loads, python(site, LOADED, **environment).splitlines())
    return set(names), set(modules)


@pytest.mark.parametrize(("environment", "here", "gone"), [
    ({"SSDREG_DISABLE_PLUGINS": "all"}, {"resnet18"}, {"goodnet", "beside"}),
    ({"SSDREG_DISABLE_PLUGINS": "good_net, bad-thing:net"}, {"nobuild"}, {"goodnet", "beside"}),
    ({"SSDREG_DISABLE_PLUGINS": "Net"}, {"resnet18"}, {"goodnet", "beside"}),
    ({"SSDREG_PLUGINS": "net"}, {"resnet18"}, {"goodnet", "beside"}),
    ({"SSDREG_PLUGINS": "Good.Net"}, {"goodnet", "resnet18"}, {"beside", "nobuild"}),
    ({"SSDREG_PLUGINS": ""}, {"resnet18"}, {"goodnet", "beside"}),
    ({"SSDREG_PLUGINS": "good-net,bad-thing", "SSDREG_DISABLE_PLUGINS": "bad-thing"},
     {"goodnet"}, {"beside"}),
])
def test_what_is_not_allowed_is_not_imported(site, environment, here, gone):
    names, modules = seen_by(site, **environment)
    assert here <= names
    assert names.isdisjoint(gone)
    assert ("good_net" in modules) == ("goodnet" in names)
    assert ("bad_thing" in modules) == ("beside" in names)


def test_no_plugins_by_option(site):
    done = ssdreg_command(site, "--no-plugins", "list", "--json", SSDREG_PLUGINS="good-net")
    assert (done.returncode, done.stderr) == (0, "")
    names = {each["name"] for each in json.loads(done.stdout)["backbones"]}
    assert "resnet18" in names
    assert "goodnet" not in names
    done = ssdreg_command(site, "--no-plugins", "plugins", "--json")
    assert done.returncode == 0
    states = {each["distribution"]: (each["state"], each["reasons"])
              for each in json.loads(done.stdout)}
    assert states["bad-import"] == ("disabled", ["disabled by --no-plugins"])


def test_asking_for_one_that_is_disabled_says_so(site):
    done = ssdreg_command(site, "--no-plugins", "show", "good-net")
    assert done.returncode == 2
    assert done.stderr == ("ssdreg: the backbone 'good-net' cannot be had: its plug-in "
                           "good-net:net is disabled by --no-plugins\n")


def test_help_and_documentation_give_the_same_order(site):
    told = ssdreg_command(site, "--help").stdout
    assert told.endswith(PRECEDENCE)
    page = (PROJECT / "docs" / "plugins.md").read_text(encoding="utf-8").replace("`", "")
    assert PRECEDENCE in page
