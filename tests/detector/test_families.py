"""`ssdreg check`: true declarations pass, false ones are named."""

from __future__ import annotations

import json
import subprocess
import sys

import attrs
from support.runs import command, refused

import ssdreg
from ssdreg.backbones import ssdreg_backbones
from ssdreg.detector.families import SHAPES, check, parameter_count

#: A plug-in module with a backbone that lies, two that cannot be built, and one that is true.
PLUGIN = """
import sys
import attrs
import ssdreg

resnet50, resnet101 = map(ssdreg.get_backbone, ("resnet50", "resnet101"))

class Plugin:
    @ssdreg.hookimpl
    def ssdreg_backbones(self):
        copied = [attrs.evolve(tap, node=other.node)
                  for tap, other in zip(resnet101.taps, resnet50.taps)]
        yield attrs.evolve(resnet101, name="copied", aliases=(), family="mine", taps=copied)
        yield attrs.evolve(resnet50, name="gone", aliases=(), family="mine",
                           build="no_such_module:build")
        yield attrs.evolve(resnet50, name="raises", aliases=(), family="mine",
                           build=lambda **arguments: 1 / 0)
        yield attrs.evolve(resnet50, name="true", aliases=(), family="other")

ssdreg.registry.host.answers.cache_clear()
ssdreg.registry.host.manager().register(Plugin())
from ssdreg.cli.main import main
sys.exit(main(["check", *sys.argv[1:]]))
"""


def plugin(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PLUGIN, *arguments], capture_output=True,
                          text=True, check=False)


def test_all_that_is_built_in_is_true(capsys):
    built_in = [each.name for each in ssdreg_backbones()]
    done = command(capsys, "check", "--json", *built_in)
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert [each["name"] for each in found] == built_in
    for each in found:
        assert (each["passed"], each["issues"]) == (True, [])
        assert each["coverage"] > 0.999  # all but a normalisation behind the last tap
        assert [tuple(shape) for shape in each["shapes"]] == list(SHAPES)
    resnets = [each["parameters"] for each in found if each["family"] == "resnet"]
    assert resnets == sorted(resnets)
    assert len(resnets) == 7


def test_one_is_checked_by_any_of_its_names(capsys):
    done = command(capsys, "check", "ResNet-18")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["backbone", "verdict", "parameters"]
    assert lines[1].split()[:2] == ["resnet18", "ok"]
    assert len(lines) == 2
    assert refused(command(capsys, "check", "resnet19"), "did you mean resnet18")


def test_parameters_are_counted():
    from ssdreg.mx import mx
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=5, kernel=(3, 3), name="conv")
    data = mx.sym.BatchNorm(data, name="bn")
    data = mx.sym.FullyConnected(mx.sym.Flatten(data), num_hidden=2, name="fc")
    symbol = mx.sym.SoftmaxOutput(data, name="softmax")  # brings a label, which is no parameter
    # 5 filters of 3 * 3 * 3 and a bias; 4 of each channel, half of them auxiliary; 6 * 8 cells
    assert parameter_count(symbol, (8, 10)) == 5 * 27 + 5 + 4 * 5 + 2 * (5 * 6 * 8) + 2


def test_wrong_taps_are_named():
    resnet18 = ssdreg.get_backbone("resnet18")
    wrong = attrs.evolve(resnet18, taps=[
        attrs.evolve(tap, node="_plus4") if tap.stride == 16 else tap for tap in resnet18.taps])
    found, = check([wrong])
    assert not found.passed
    assert len(found.issues) == 1
    assert found.issues[0].startswith("at every input size: these taps are not the ends of")
    assert "'_plus4' is not the end of stage 3 (stride 16): 1 unit is still to come before the " \
           "resolution drops, the last ends in '_plus5'" in found.issues[0]


def test_wrong_channels_are_named():
    resnet18 = ssdreg.get_backbone("resnet18")
    *others, last = resnet18.taps
    found, = check([attrs.evolve(resnet18, taps=[*others, attrs.evolve(last, channels=2048)])])
    assert "2048" in found.issues[0]
    assert "'_plus7'" in found.issues[0]


def test_a_deeper_network_must_be_larger():
    shallow, deep = (ssdreg.get_backbone(name) for name in ("resnet18", "resnet34"))
    small, large = (f"{parameter_count(each.symbol(), SHAPES[0]):,}" for each in (shallow, deep))
    swapped = [attrs.evolve(shallow, depth=34), attrs.evolve(deep, depth=18)]
    first, second = check(swapped)
    assert first.issues == (f"is deeper (34) than resnet34 (18) but has fewer or as many "
                            f"parameters: {small} against {large}",)
    assert second.issues == ()
    # also against those that are only registered
    found, = check([attrs.evolve(shallow, depth=1000)])
    assert len(found.issues) == 6
    assert "is deeper (1000) than resnet269 (269)" in found.issues[-1]


def test_other_families_do_not_count():
    found, = check([attrs.evolve(ssdreg.get_backbone("resnet18"), name="mine", family="mine",
                                 depth=1000)])
    assert found.passed


def test_a_plug_in_that_lies_fails_by_name():
    done = plugin("copied", "resnet18")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["copied", "WRONG"], ["resnet18", "ok"]]
    assert ("copied: at every input size: these taps are not the ends of the backbone's stages"
            in done.stdout)
    assert "'_plus12' is not the end of stage 3 (stride 16): 17 units are still to" in done.stdout


def test_a_plug_in_that_cannot_be_built_does_not_hide_the_others():
    done = plugin("--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert [name for name, each in found.items() if not each["passed"]] == [
        "gone", "raises", "copied"]
    assert found["gone"]["issues"] == [
        "backbone 'gone' cannot be built: ModuleNotFoundError: No module named 'no_such_module'"]
    assert found["raises"]["issues"] == [
        "backbone 'raises' cannot be built: ZeroDivisionError: division by zero"]
    assert found["true"]["passed"]
