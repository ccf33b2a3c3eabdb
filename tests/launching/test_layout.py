"""Who is who in a job, where each runs, and by what command: said before anything starts."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from ssdreg.cli.main import main
from ssdreg.errors import LaunchError
from ssdreg.launching.finding import first_node, own_number, own_place, tasks_per_node
from ssdreg.launching.hosts import Host, placed, read_hosts
from ssdreg.launching.kubernetes import Cluster, manifests
from ssdreg.launching.launch import members
from ssdreg.launching.layout import Layout, Place

TRAIN = ("train", "--data", "my data", "--backbone", "resnet18", "--out", "runs/a",
         "--engine", "mxnet")


def test_members_are_the_scheduler_then_servers_then_workers():
    layout = Layout.of("mxnet", 2, 2, "10.0.0.1", 9000)
    assert [layout.title(member) for member in range(layout.members)] == [
        "scheduler", "server 0 of 2", "server 1 of 2", "worker 0 of 2", "worker 1 of 2"]
    assert layout.environment(4, Place(1, 2, "10.0.0.2")) == {
        "DMLC_ROLE": "worker", "DMLC_PS_ROOT_URI": "10.0.0.1", "DMLC_PS_ROOT_PORT": "9000",
        "DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "2", "DMLC_NODE_HOST": "10.0.0.2",
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "9000"}
    assert "RANK" not in layout.environment(0, Place())
    alone = Layout.of("torch", 2, None, "10.0.0.1", 9000)
    assert [alone.title(member) for member in range(alone.members)] == [
        "worker 0 of 2", "worker 1 of 2"]
    assert "DMLC_ROLE" not in alone.environment(0, Place())
    assert Layout.of("mxnet", 2, None, "10.0.0.1", 9000).servers == 1
    assert Layout.of("mxnet", 1, None, "10.0.0.1", 9000).servers == 0


@pytest.mark.parametrize(("engine", "workers", "servers", "sentence"), [
    ("mxnet", 0, None, "--workers 0: at least one"),
    ("mxnet", 1, 0, "--servers 0: MXNet needs at least one"),
    ("torch", 2, 1, "the engine torch has no servers")])
def test_numbers_that_cannot_be(engine, workers, servers, sentence):
    with pytest.raises(LaunchError, match=sentence):
        Layout.of(engine, workers, servers, "", 1)


def test_machines_take_the_workers_that_their_file_says(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# ours\none 2\ntwo  # a small one\n\n")
    hosts = read_hosts(file)
    assert hosts == (Host("one", 2), Host("two"))
    layout = Layout.of("mxnet", 3, 2, "one", 9000)
    assert placed(layout, hosts) == (
        (hosts[0], Place(address="one")), (hosts[0], Place(address="one")),
        (hosts[1], Place(address="two")), (hosts[0], Place(0, 2, "one")),
        (hosts[0], Place(1, 2, "one")), (hosts[1], Place(0, 1, "two")))
    with pytest.raises(LaunchError, match="4 workers are wanted, and the 2 machines take 3"):
        placed(Layout.of("torch", 4, None, "one", 1), hosts)
    for text, sentence in (("one x", "line 1: 'one x' is no machine"), ("a 0", "is no machine"),
                           ("-oProxyCommand=x", "is no machine"), ("# none", "names no machine")):
        file.write_text(text)
        with pytest.raises(LaunchError, match=sentence):
            read_hosts(file)
    with pytest.raises(LaunchError, match="cannot be read as a list of machines"):
        read_hosts(tmp_path / "none")


def test_ssh_starts_members_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("SSDREG_OFFLINE", raising=False)
    file = tmp_path / "hosts"
    file.write_text("one\ntwo\n")
    started = members("mxnet", 2, TRAIN, hosts=file)
    assert [member.title for member in started] == [
        "scheduler on one", "server 0 of 2 on one", "server 1 of 2 on two",
        "worker 0 of 2 on one", "worker 1 of 2 on two"]
    *options, host, line = started[4].command
    assert options[0] == "ssh"
    assert "ServerAliveInterval=5" in options
    assert host == "two"
    # the shell there takes it apart again
    assert shlex.split(line) == [
        "cd", str(Path.cwd()), "&&", "exec", "env", "OMP_NUM_THREADS=3", sys.executable, "-m",
        "ssdreg.cli.member",
        "--workers", "2", "--servers", "2", "--root", "one", "--port", "29500", "--member", "4",
        "--place", "0", "1", "two", "--tied", "--", *TRAIN]


def test_slurm_starts_a_task_for_each_member(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NODELIST", "gpu[07-09,12],cpu1")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "5")
    (started,) = members("mxnet", 3, TRAIN, slurm=True)
    assert started.command[:3] == ("srun", "--ntasks=7", "--distribution=cyclic")
    assert started.command[-len(TRAIN):] == TRAIN
    assert "gpu07" in started.command
    assert "--member" not in started.command
    assert first_node("login") == "login"
    with pytest.raises(LaunchError, match="run `ssdreg launch --slurm` in an allocation"):
        first_node("")


def test_a_task_of_slurms_finds_out_which_member_it_is():
    # 5 members in turns: the scheduler and workers 0 and 2 on one machine, the others on the next
    layout = Layout.of("mxnet", 3, 1, "one", 9000)
    tasks = [{"SLURM_PROCID": str(task), "SLURM_STEP_TASKS_PER_NODE": "3,2",
              "SLURM_NODEID": str(task % 2), "SLURM_LOCALID": str(task // 2)} for task in range(5)]
    assert list(map(own_number, tasks)) == [0, 1, 2, 3, 4]
    assert [own_place(layout, tasks[task]) for task in (2, 3, 4)] == [
        Place(0, 2), Place(0, 1), Place(1, 2)]
    assert tasks_per_node("2(x3),1") == (2, 2, 2, 1)
    with pytest.raises(LaunchError, match="is no list of numbers"):
        tasks_per_node("2x3")
    with pytest.raises(LaunchError, match="neither SLURM_PROCID nor JOB_COMPLETION_INDEX"):
        own_number({})
    assert own_number({"JOB_COMPLETION_INDEX": "4"}) == 4
    assert own_place(layout, {}) == Place()


def test_the_manifests_of_kubernetes():
    layout = Layout.of("mxnet", 4, 2, "", 29500)
    service, job = json.loads(manifests(layout, Cluster(
        name="birds", image="registry/ssdreg:1", claim="data", gpus=1), TRAIN))["items"]
    assert (service["kind"], service["spec"]["clusterIP"]) == ("Service", "None")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (job["kind"], spec["completionMode"], spec["backoffLimit"]) == ("Job", "Indexed", 0)
    assert spec["completions"] == spec["parallelism"] == 7
    assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["command"] == [
        "python", "-m", "ssdreg.cli.member", "--workers", "4", "--servers", "2",
        "--root", "birds-0.birds", "--port", "29500", "--", *TRAIN]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]}
    for name in ("Birds", "-a", "a" * 41, ""):
        with pytest.raises(LaunchError, match="is no name for Kubernetes"):
            manifests(layout, Cluster(name=name, image="a", claim="b"), TRAIN)


def test_what_would_be_started_is_printed(capsys):
    assert main(["launch", "--workers", "2", "--port", "9000", "--dry-run", "--", *TRAIN]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "scheduler", "server 0 of 1", "worker 0 of 2", "worker 1 of 2"]
    assert lines[3].endswith("--member 3 --place 1 2 127.0.0.1 --tied -- " + shlex.join(TRAIN))


@pytest.mark.parametrize(("words", "sentence"), [
    (("--", "eval", "runs/a"), "`ssdreg launch` starts trainings, and behind -- stands 'eval'"),
    (("--kubernetes", "--", *TRAIN), "--kubernetes needs --image")])
def test_what_is_refused(words, sentence, capsys):
    assert main(["launch", "--workers", "2", *words]) == 2
    assert sentence in capsys.readouterr().err
