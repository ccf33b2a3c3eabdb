"""What starts a container in SageMaker's place: its entry points, image and manifests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import jobs
from support.paths import PROJECT

from ssdreg.sagemaker.contract import ROOT
from ssdreg.sagemaker.serve import PORT

DEPLOY = PROJECT / "deploy"


def read(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.fixture(scope="module")
def dockerfile():
    """The instructions of the image that is run, each with all of its arguments."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM"))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines[last:])]


@pytest.fixture
def path(monkeypatch):
    """A search path on which the entry points find the command."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


def test_the_entry_point_says_why_a_job_failed(path, tmp_path):
    root = jobs.pictures_job(tmp_path / "ml", train=1, validation=1, optimizer="adadelta")
    done = subprocess.run([DEPLOY / "train", "--root", root], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ssdreg: the hyperparameter optimizer is 'adadelta'")
    assert (root / "output" / "failure").read_text() in done.stderr


def test_the_image(dockerfile):
    assert dockerfile[0] == ("FROM", "python:3.12-slim")
    given = dict(dockerfile)
    # by a number, which a cluster can tell from root, and only the group that owns the folders
    assert given["USER"] == "${UID}:0"
    assert ("ARG", "UID=1000") in dockerfile
    assert given["EXPOSE"] == str(PORT)
    copied = [rest for word, rest in dockerfile if word == "COPY"]
    assert "--chmod=755 deploy/train deploy/serve /usr/local/bin/" in copied
    for name in ("train", "serve"):
        assert os.access(DEPLOY / name, os.X_OK)
        assert (DEPLOY / name).read_text().endswith(f'\nexec ssdreg sagemaker {name} "$@"\n')


def test_what_the_image_is_built_of_is_there():
    """Whatever is let into the build's context, and no tests."""
    lines = [line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
             if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert "**/tests" in lines
    for line in lines:
        if line.startswith("!"):
            assert (PROJECT / line[1:]).exists(), line


def test_the_services():
    document, = read("compose.yaml")
    services = document["services"]
    assert set(services) == {"train", "serve"}
    for name, service in services.items():
        assert service["command"] == [name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert re.fullmatch(r"\d+g", service["mem_limit"])
        assert all(volume.split(":")[1].startswith((str(ROOT), "/scratch"))
                   for volume in service["volumes"])
    assert services["serve"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert f":{PORT}/ping" in services["serve"]["healthcheck"]["test"][-1]


def test_the_manifest_of_a_cluster():
    deployment, service = read("kubernetes.yaml")
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    container, = pod["spec"]["containers"]
    assert container["args"] == ["serve"]
    port, = container["ports"]
    assert port["containerPort"] == PORT
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/ping", "port": port["name"]}
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    timeout, = (int(entry["value"]) for entry in container["env"])
    # what was taken is finished before the pod is killed
    assert pod["spec"]["terminationGracePeriodSeconds"] > timeout + 5
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"model": str(ROOT / "model"), "temporary": "/tmp"}
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == set(mounts)
