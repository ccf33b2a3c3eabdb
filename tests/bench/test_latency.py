"""benchmarks/latency.py: its peers do the same work, and its verdicts follow from the figures."""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np
import pytest
from attrs import evolve
from support import paths

from ssdreg.bench.figures import Configuration, Figures, Machine, Workload, make_post, make_rows
from ssdreg.bench.measure import Times
from ssdreg.bench.workers import Worker
from ssdreg.bench.workload import drawn_images, prepare_workload
from ssdreg.deploy.model import random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.errors import BenchError, SsdregError

BENCHMARKS = paths.PROJECT / "benchmarks"
BATCH = 2
#: A Python with PyTorch, which need not be the one that has MXNet.
TORCH_PYTHON = os.environ.get("SSDREG_TORCH_PYTHON", sys.executable)


@pytest.fixture(scope="module")
def latency():
    """The benchmark, imported as the script that it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import latency
        yield latency


@pytest.fixture(scope="module")
def source():
    return random_deploy_model("resnet18", 3, 64, overrides=Overrides(tap_strides=(8, 16)))


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    return prepare_workload(source, drawn_images((64, 64), 4), tmp_path_factory.mktemp("workload"))


@pytest.fixture(scope="module")
def peers(latency, source, prepared, tmp_path_factory):
    """The peers' tasks, and why some cannot run; their files lie in `folder`."""
    folder = tmp_path_factory.mktemp("peers") / "files"
    options = argparse.Namespace(torch_python=TORCH_PYTHON, gluoncv_python=sys.executable,
                                 preset="ssd_512_resnet18_v1_voc", threads=1)
    tasks, missing = latency.peer_tasks(options, source, prepared, BATCH, folder)
    return tasks, {each.configuration: each.why for each in missing}, folder


def test_plain_sets_nothing_and_finds_the_same(latency, peers, monkeypatch):
    tasks, _, folder = peers
    expected = np.load(folder / "expected.npz")["detection"]
    for configuration in (latency.PLAIN, latency.PLAIN_INFERENCE):
        task = tasks[configuration]
        assert not [name for name in task.environ if name.startswith(("OMP_", "MXNET_"))]
        with Worker(task) as worker:
            facts = worker.prepare()
            assert facts == {"boxes": int((expected[..., 0] >= 0).sum())}
            assert len(worker.turn(0, 1)) == 1
    assert tasks[latency.PLAIN].job["for_inference"] is False


def test_who_is_not_installed_is_named_with_what_to_do(latency, source, prepared, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    options = argparse.Namespace(torch_python=str(python), gluoncv_python=str(python),
                                 preset="", threads=1)
    tasks, missing = latency.peer_tasks(options, source, prepared, BATCH, tmp_path / "files")
    assert set(tasks) == {latency.PLAIN, latency.PLAIN_INFERENCE}
    assert {each.configuration for each in missing} == {latency.GLUONCV, *latency.TORCH}
    assert all("--gluoncv-python" in each.why or "--torch-python" in each.why for each in missing)
    with pytest.raises(SsdregError, match="/no/python cannot be started"):
        latency.can_import("/no/python", "torch")


def test_gluoncv_runs_its_preset(latency, peers):
    tasks, missing, _ = peers
    if latency.GLUONCV not in tasks:
        pytest.skip(f"gluoncv {missing[latency.GLUONCV]}")
    with Worker(tasks[latency.GLUONCV]) as worker:
        assert "boxes" in worker.prepare()


def torch_task(latency, peers, mode):
    tasks, missing, _ = peers
    configuration = latency.TORCH[mode]
    if configuration not in tasks:
        pytest.skip(f"{missing[configuration]}; tests take the one in SSDREG_TORCH_PYTHON")
    return tasks[configuration]


# torch.compile is left to the benchmark: its C++ compiler takes half a minute
@pytest.mark.parametrize("mode", [0, 1], ids=["eager", "jit"])
def test_pytorch_states_the_same_network(latency, peers, mode):
    with Worker(torch_task(latency, peers, mode)) as worker:
        facts = worker.prepare()
        assert len(worker.turn(0, 1)) == 1
    expected = np.load(peers[2] / "expected.npz")["detection"]
    assert facts["worst"] <= 1e-3
    assert facts["boxes"] == int((expected[..., 0] >= 0).sum()) > 20
    assert facts["matched"] >= 0.99 * facts["boxes"]


def test_pytorch_that_states_another_network_is_refused(latency, peers, tmp_path):
    task = torch_task(latency, peers, 0)
    for file in peers[2].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with np.load(tmp_path / "params.npz") as loaded:
        params = dict(loaded)
    name = next(name for name in params if name.endswith("cls_pred_conv_bias"))
    params[name] = params[name] + np.linspace(-1, 1, params[name].size, dtype="float32")
    np.savez(tmp_path / "params.npz", **params)
    moved = evolve(task, job={**task.job, "folder": str(tmp_path)})
    with Worker(moved) as worker, pytest.raises(BenchError, match="its predictions differ from"):
        worker.prepare()


def test_verdicts_follow_from_the_figures(latency):
    names = (latency.PLAIN, Configuration("mxnet", "float32"), Configuration("openvino", "float32"),
             Configuration("openvino", "int8"), latency.TORCH[0])
    seconds = (1.0, 0.9, 0.5, 0.17, 0.1)
    rows = make_rows(names, {name.name: Times({}, ((second,),) * 3)
                             for name, second in zip(names, seconds)}, 1, 10, ())
    post = make_post(names[2], *(Times({}, ((second,),)) for second in (1.0, 0.97, 0.04)), 1)
    figures = Figures(Workload("net", "ssd", (1, 1), 1, 1, 10), Machine("one", 1, 1, {}), 3, 1,
                      rows, post=(post,))
    assert latency.verdicts(figures) == [
        "batch 1, float32: openvino takes 0.50 of plain's time, the target is 0.50: met",
        "batch 1, bfloat16: not measured",
        "batch 1, int8: openvino takes 0.17 of plain's time, the target is 0.16: NOT MET",
        "post-processing, openvino: 4.0% of 1000 ms (3.0% by difference), the target is 5%: met"]


def test_the_header_says_how_to_run_it(latency, capsys):
    with pytest.raises(SystemExit):
        latency.parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "python benchmarks/latency.py" in shown
    for option in ("--torch-python", "--gluoncv-python", "--rounds", "--chart", "--post"):
        assert option in shown
