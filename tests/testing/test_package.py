"""Conformance of installed distributions: by pytest, by the command line, and in a new process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from support import paths
from support.runs import command

from ssdreg.errors import UnknownNameError
from ssdreg.testing import PACKAGE_CHECKS, ConformanceError, Package, conformance, subjects_of

PROJECT = paths.PROJECT
#: A module with a small backbone that keeps its promises, and where it may break some.
MODULE = """
import ssdreg
{at_import}

def symbol(name="fc"):
    from ssdreg.mx import mx
    {at_build}
    x = mx.sym.Variable("data")
    for stage in (1, 2, 3, 4, 5):
        x = mx.sym.Convolution(x, num_filter=8, kernel=(3, 3), stride=(2, 2), pad=(1, 1),
                               name=f"c{{stage}}")
        x = mx.sym.Activation(x, act_type="relu", name=f"r{{stage}}")
    x = mx.sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg")
    return mx.sym.FullyConnected(mx.sym.Flatten(x), num_hidden=2, name=name)

def declare(name, channels=8):
    return ssdreg.Backbone(
        name=name, family=name, depth=5, build=symbol, paper="https://example.org",
        taps=[ssdreg.Tap(stage, 2**stage, channels, f"r{{stage}}") for stage in (1, 2, 3, 4, 5)])

@ssdreg.hookimpl
def ssdreg_backbones():
    yield declare("first-of-{package}")
    yield declare("second-of-{package}", {channels})
    {at_declaration}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return what installs such a module as a distribution, here and in new processes."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(PROJECT)]))

    def install(distribution, at_import="", at_build="", at_declaration="", channels=8):
        package = distribution.replace("-", "_")
        monkeypatch.delitem(sys.modules, package, raising=False)
        (site / f"{package}.py").write_text(MODULE.format(
            package=package, at_import=at_import, at_build=at_build,
            at_declaration=at_declaration, channels=channels))
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ssdreg]\nnets = {package}\n")
        return distribution

    return install


def verdicts(distribution, *names):
    """Ask all checks of a package, or those of these names: some start processes."""
    package = Package(distribution)
    return [package.verdict(check) for check in PACKAGE_CHECKS
            if not names or check.name in names]


def test_a_good_distribution(installed):
    name = installed("fine-nets")
    assert [each.title for each in subjects_of(name)] == [
        "first-of-fine_nets", "second-of-fine_nets"]
    assert all(each.passed for each in verdicts(name))


@pytest.mark.parametrize(("mistake", "check", "sentence"), [
    ({"at_import": "print('welcome')"}, "import",
     "importing it prints 'welcome', into the output of whatever command does it"),
    ({"at_import": "import os; os.environ['OMP_NUM_THREADS'] = '7'"}, "import",
     "importing it changes the environment, which belongs to the whole process"),
    ({"at_declaration": "import numpy; numpy.random.seed(0)"}, "import",
     "importing it changes NumPy's random state, which belongs to the whole process"),
    ({"at_import": "import ssdreg.mx"}, "import", "importing it imports MXNet, which makes every"),
    ({"at_build": "import os; os.environ['MXNET_CPU_WORKER_NTHREADS'] = '7'"}, "elsewhere",
     "building first-of-loud_nets for the first time changes the environment, which belongs"),
    ({"at_build": "name = ''.join(sorted({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}, key=hash))"},
     "elsewhere", "another process builds other symbols for first-of-loud_nets, second-of-loud_"),
])
def test_a_distribution_that_leaves_traces(installed, mistake, check, sentence):
    (found,) = verdicts(installed("loud-nets", **mistake), check)
    assert not found.passed
    assert found.sentence.startswith(f"loud-nets: the package: {check}: {sentence}")


@pytest.mark.parametrize(("mistake", "sentence"), [
    ({"at_import": "1 / 0"}, "its plug-in 'nets' cannot be loaded: ZeroDivisionError: division "),
    ({"at_declaration": "raise KeyError('lost')"},
     "its plug-in 'nets' cannot be asked what it brings: KeyError: 'lost'"),
    ({"at_declaration": "yield 'resnet18'"},
     "its plug-in 'nets' yields 'resnet18', which is no Backbone, Head, DataFormat or "
     "Engine"),
    ({"at_declaration": "pass\n\n@ssdreg.hookimpl\ndef ssdreg_backbone():\n    return []"},
     "its plug-in 'nets' cannot be asked what it brings: PluginValidationError: unknown hook "),
])
def test_a_distribution_that_cannot_be_asked(installed, mistake, sentence):
    name = installed("broken-nets", **mistake)
    for each in verdicts(name):
        assert each.issue.startswith(sentence)
        assert "\n" not in each.issue
    with pytest.raises(ConformanceError):
        subjects_of(name)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["ssdreg-moblenet"], "no distribution called 'ssdreg-moblenet' is installed: "),
    (["attrs"], "attrs has no plug-in of ssdreg: it declares no entry point in the group 'ssdreg'"),
    (["ssdreg", "resnet1"], "ssdreg brings nothing that is called 'resnet1'; it brings vgg16_red"),
])
def test_what_is_not_there_is_a_sentence(arguments, sentence):
    with pytest.raises(UnknownNameError, match=sentence):
        subjects_of(*arguments)
    with pytest.raises(UnknownNameError):
        conformance(*arguments)


def test_names_are_patterns():
    assert [each.title for each in subjects_of("ssdreg", "resnet?8", "vgg*")] == [
        "vgg16_reduced", "resnet18"]
    assert [each.title for each in subjects_of("ssdreg", "* on *")] == [
        "ssd on resnet18", "ssdlite on resnet18"]


def test_importing_the_kit_imports_neither_mxnet_nor_pytest():
    subprocess.run([sys.executable, "-c", "import sys, ssdreg.testing; "
                    "assert not {'mxnet', 'pytest'} & set(sys.modules)"], check=True)


# By pytest

def test_a_test_file_of_three_lines(installed, tmp_path):
    name = installed("half-nets", channels=9)
    file = tmp_path / "test_half.py"
    file.write_text("from ssdreg.testing import conformance\n\n"
                    f'test_conformance = conformance("{name}")\n')
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-rs", str(file)],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    results = dict(re.findall(r"::test_conformance\[(.+)\] (PASSED|FAILED|SKIPPED)", done.stdout))
    assert results["the-package-import"] == results["first-of-half_nets-training"] == "PASSED"
    assert [item for item, result in results.items() if result == "FAILED"] == [
        "second-of-half_nets-taps"]
    assert {item for item, result in results.items() if result == "SKIPPED"} == {
        f"second-of-half_nets-{check}"
        for check in ("coverage", "declared", "forward", "training", "files", "batch",
                      "detections", "export")}
    assert ("half-nets: second-of-half_nets: taps: at every input size: 'r1' is declared with 9 "
            "channels but has 8; 'r2' is ") in done.stdout
    assert "Traceback" not in done.stdout


# By the command line

def check_plugin(*arguments):
    return subprocess.run([sys.executable, "-m", "ssdreg", "check", "--plugin", *arguments],
                          capture_output=True, text=True, check=False)


def test_the_command_tells_good_from_bad(installed, capfd):
    name = installed("half-nets", channels=9)
    done = command(capfd, "check", "--plugin", name)
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["the", "package", "ok", "2", "of", "2", "-", "-"],
        ["first-of-half_nets", "ok", "12", "of", "12", "-", "-"]]
    assert lines[3].split() == ["second-of-half_nets", "WRONG", "3", "of", "12", "taps", "coverage",
                                "declared", "forward", "training", "files", "batch",
                                "detections", "export"]
    assert len(lines) == 6
    assert lines[5].startswith("half-nets: second-of-half_nets: taps: at every input size: 'r1' is "
                               "declared with 9 channels but has 8; 'r2' is ")
    assert lines[5].endswith("The right tap for each stride is 2: 'r1' (8 channels), 4: 'r2' (8 "
                             "channels), 8: 'r3' (8 channels), 16: 'r4' (8 channels), 32: 'r5' (8 "
                             "channels)")


def test_the_command_says_why_a_backbone_stops_early(installed, capsys):
    name = installed("half-nets", at_declaration=(
        "import attrs; yield attrs.evolve(declare('third'), tap_strides=(8, 16), "
        "stops_at=ssdreg.StopsAt(16, 'the rest is slow'))"))
    done = command(capsys, "check", "--plugin", name, "third")
    assert (done.status, done.err) == (0, "")
    assert "\nthird: stops at stride 16 on purpose: the rest is slow\n" in done.out


def test_the_command_says_why_something_was_not_looked_at(installed, monkeypatch, capsys):
    monkeypatch.setattr("ssdreg_runtime.backends.installed", lambda: ())
    done = command(capsys, "check", "--plugin", installed("half-nets"), "first*")
    assert done.status == 0
    assert ("\nfirst-of-half_nets: export: not looked at: it can be written as ONNX, but not run "
            "here: the package onnxruntime is not installed") in done.out


def test_the_command_speaks_json(installed, capsys):
    done = command(capsys, "check", "--plugin", installed("half-nets", channels=9), "--json")
    assert (done.status, done.err) == (1, "")
    found = json.loads(done.out)
    assert {each["plugin"] for each in found} == {"half-nets"}
    assert [(each["title"], each["check"]) for each in found if each["issue"]] == [
        ("second-of-half_nets", "taps")]
    assert sum(each["passed"] for each in found) == 2 + 12 + 3
    assert found[-1]["failed_needs"] == ["training", "files", "batch", "detections"]
    assert found[-2]["failed_needs"] == ["forward"]


def test_the_command_fails_for_a_plug_in_that_cannot_be_loaded(installed):
    done = check_plugin(installed("broken-nets", at_import="1 / 0"))
    assert done.returncode == 1
    assert "broken-nets: the package: import: its plug-in 'nets' cannot be loaded" in done.stdout


def test_the_command_refuses_what_is_not_there():
    done = check_plugin("ssdreg-moblenet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ssdreg: no distribution called 'ssdreg-moblenet' is installed")
