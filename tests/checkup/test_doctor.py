"""`ssdreg doctor`: what is wrong with a run is found, and repaired where that can be."""

from __future__ import annotations

import json
import math
import re
import shutil

import pytest
from ssdreg_runtime.system.files import write_json
from ssdreg_runtime.system.leftovers import own_mark
from support.runs import SIDE, command, with_small

import ssdreg
from ssdreg.errors import RunError
from ssdreg.mx import mx
from ssdreg.runs.checksums import note
from ssdreg.runs.lock import writing
from ssdreg.runs.params import Params, read_params, write_params
from ssdreg.runs.run import open_run
from ssdreg.training import state


@pytest.fixture
def run(three_epochs, tmp_path):
    """A run that may be damaged, whose backbone is known by its name."""
    with with_small():
        yield open_run(shutil.copytree(three_epochs, tmp_path / "run"))


def contents(run):
    return {file.name: file.read_bytes() for file in run.path.iterdir() if file.is_file()}


def without_line(run, number):
    lines = run.log_file.read_text().splitlines(keepends=True)
    run.log_file.write_text("".join(lines[:number] + lines[number + 1:]))


def rewrite(file, **changes):
    write_json(file, {**json.loads(file.read_text()), **changes})


def test_a_whole_run(silence, run):
    before = contents(run)
    found = ssdreg.doctor(run.path)
    assert (found.healthy, found.findings, found.epochs) == (True, (), (1, 2, 3))
    assert found.goes_on == "with a larger --epochs than 3"
    assert ssdreg.doctor(run.path, repair=True) == found
    assert contents(run) == before


def test_the_command(capsys, run):
    done = command(capsys, "doctor", run.path)
    assert (done.status, done.out.splitlines()) == (0, [
        f"{run.path}: nothing is wrong", f"{run.path}: whole epochs: 1, 2, 3",
        f"{run.path}: --resume goes on with a larger --epochs than 3"])
    (run.path / "ssd-0003.states").unlink()
    done = command(capsys, "doctor", run.path)
    assert done.status == 1
    assert "state.json: " in done.out
    assert ("ssd-0003.states is damaged: it is not there; --repair: "
            "training goes on from epoch 3, with an optimizer that begins anew" in done.out)
    repaired = json.loads(command(capsys, "doctor", run.path, "--repair", "--json").out)
    assert repaired["healthy"]
    assert {finding["repaired"] for finding in repaired["findings"]} == {True}
    assert command(capsys, "doctor", run.path).status == 0


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def not_a_number(run):
    file = run.params_file(2)
    params = read_params(file)
    name = sorted(params.args)[0]
    write_params(file, Params({**params.args, name: mx.nd.full(params.args[name].shape, math.nan)},
                              params.auxs))
    note(run.path, file.name)


def leave(run):
    place, _, start, _ = own_mark().split("-")
    (run.path / f".ssd-0002.{place}-999999999-{start}-0.params").write_bytes(b"half")


#: What is done to a run, the file that is found, a part of the sentence, and of the repair.
REPAIRED = {
    "a flipped byte": (lambda run: flip(run.params_file(1)), "ssd-0001.params",
                       "its checksum differs", "renamed to ssd-0001.params.damaged"),
    "an empty file": (lambda run: run.params_file(2).write_bytes(b""), "ssd-0002.params",
                      "it is empty", "renamed"),
    "no number": (not_a_number, "ssd-0002.params", "is not a number everywhere", "renamed"),
    "no optimizer": (lambda run: (run.path / "ssd-0003.states").unlink(), "state.json",
                     "ssd-0003.states is damaged", "goes on from epoch 3"),
    "leftovers": (leave, None, "process 999999999 was killed while it wrote ssd-0002", "removed"),
    "a lock": (lambda run: (run.path / ".lock").write_text(""), ".lock", "was killed", "removed"),
    "a start": (lambda run: (run.path / "start.json").write_text("{}"), "start.json",
                "needed until the first save", "removed"),
    "no checksum": (lambda run: (run.path / "SHA256SUMS").unlink(), "ssd-0001.params",
                    "no checksum of it is known", "noted"),
    "bad checksums": (lambda run: (run.path / "SHA256SUMS").open("a").write("?\n"), "SHA256SUMS",
                      "damaged", "the 4 lines that can be read are kept"),
    "a file that went": (lambda run: run.params_file(1).unlink(), "ssd-0001.params",
                         "its checksum is noted, and it is not there", "not listed"),
    "no symbol": (lambda run: (run.path / "deploy-symbol.json").unlink(), "deploy-symbol.json",
                  "is missing from the run", "built from the plan"),
    "another symbol": (lambda run: mx.sym.Variable("data").save(
        str(run.path / "ssd-symbol.json")), "ssd-symbol.json", "not those of the network",
        "built from the plan"),
    "a log ahead": (lambda run: run.log_file.write_text(
        run.log_file.read_text() + run.log_file.read_text().splitlines()[-1].replace("3,", "4,", 1)
        + "\n"), "log.csv", "it has epochs behind 3", "removed"),
    "a log cut short": (lambda run: run.log_file.write_text(
        run.log_file.read_text() + "4,8,1"), "log.csv", "is no number", "the 3 lines that can be"),
    "an emptied log": (lambda run: run.log_file.write_text(""), "log.csv",
                       "it has no line of epoch 1, 2, 3", "losses as unknown"),
    "no log": (lambda run: run.log_file.unlink(), "log.csv",
               "it is not there, so that it has no line of epoch 1, 2, 3", "losses as unknown"),
    "a log without a line": (lambda run: without_line(run, 2), "log.csv",
                             "it has no line of epoch 2", "losses as unknown"),
}


@pytest.mark.parametrize(("damage", "file", "wrong", "repair"), REPAIRED.values(), ids=REPAIRED)
def test_what_is_found_and_repaired(run, damage, file, wrong, repair):
    damage(run)
    before = contents(run)
    findings = ssdreg.doctor(run.path).findings
    assert contents(run) == before
    assert any(file in (finding.file, None) and wrong in finding.wrong
               and repair in finding.repair for finding in findings), findings
    repaired = ssdreg.doctor(run.path, repair=True)
    assert repaired.healthy, repaired.text()
    assert ssdreg.doctor(run.path).findings == ()
    # nothing that was learnt has gone
    for name in before:
        if name.endswith(".params") and name[0] != ".":
            assert (run.path / name).is_file() or (run.path / f"{name}.damaged").is_file()


@pytest.mark.parametrize(("damage", "file", "wrong"), [
    (lambda run: rewrite(run.path / "state.json", data_shape=[128, 64]), "state.json",
     "it was trained at 128x64, and config.json says 64x64"),
    (lambda run: rewrite(run.config_file, classes=["a"]), "config.json",
     "its plan detects 3 classes, and it names 1"),
    (lambda run: run.config_file.write_text("{"), "config.json", "is not what `ssdreg train`"),
])
def test_what_is_found_and_cannot_be_repaired(run, damage, file, wrong):
    damage(run)
    found = ssdreg.doctor(run.path)
    assert any(finding.file == file and wrong in finding.wrong for finding in found.findings), found
    assert not ssdreg.doctor(run.path, repair=True).healthy


def test_a_repaired_run_trains_on(run):
    flip(run.params_file(3))
    found = ssdreg.doctor(run.path, repair=True)
    assert found.healthy
    assert (found.epochs, found.goes_on) == ((1, 2), "in epoch 3 of 3, after step 0")
    saved = state.load(run)
    assert (saved.state.epoch, saved.state.optimizer_began) == (2, 4)
    assert [line.epoch for line in run.log()] == [1, 2]
    assert [line.steps for line in ssdreg.resume(run.path).epochs] == [2, 4, 6]
    assert ssdreg.doctor(run.path).findings == ()


def test_a_log_is_restored_as_far_as_it_is_known(run):
    """Steps, rates and the whole time are the state's; what was measured is lost, and stays so."""
    before = run.log()
    run.log_file.unlink()
    (finding,) = ssdreg.doctor(run.path).findings
    assert not finding.repaired
    assert not run.log_file.exists()
    assert ssdreg.doctor(run.path, repair=True).healthy
    lines = run.log()
    assert [(line.epoch, line.steps, line.lr) for line in lines] == [
        (line.epoch, line.steps, line.lr) for line in before]
    assert lines[-1].seconds == pytest.approx(before[-1].seconds, rel=1e-3)
    assert all(map(math.isnan, (value for line in lines for value in (
        line.map, line.ap, line.cls_loss, line.loc_loss, line.images_per_second))))
    assert run.best_epoch() == 3
    result = ssdreg.resume(run.path, epochs=4)
    assert [line.steps for line in result.epochs] == [2, 4, 6, 8]
    assert result.best_epoch == 4
    assert ssdreg.doctor(run.path).findings == ()


def test_a_run_that_was_imported_or_not_begun(tmp_path, run):
    imported = ssdreg.load_checkpoint(run.path / "ssd", 2, run.classes, SIDE).save(tmp_path / "old")
    found = ssdreg.doctor(imported.path)
    assert (found.findings, found.epochs, found.goes_on) == ((), (2,), "")
    with pytest.raises(RunError, match="is no run: it has no config"):
        ssdreg.doctor(tmp_path)


def test_one_that_is_being_written(run):
    with writing(run.path, "a test"):
        assert re.match(r"process \d+ on .* \(a test\)", ssdreg.doctor(run.path).busy)
        with pytest.raises(RunError, match=r"is being written by process \d+ .*\(a test\)"):
            ssdreg.doctor(run.path, repair=True)
