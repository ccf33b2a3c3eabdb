"""The manifests for Kubernetes, held against its schemas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssdreg.launching.kubernetes import Cluster, manifests
from ssdreg.launching.layout import Layout

DEPLOYMENT = Path(__file__).parents[2] / "deploy" / "kubernetes.yaml"
validation = pytest.importorskip("kubernetes_validate",
                                 reason="the package kubernetes-validate is not installed")
yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


def check(manifest):
    """Raise ValidationError for what Kubernetes does not know, misspelt fields too."""
    validation.validate(manifest, validation.latest_version(), strict=True)


@pytest.mark.parametrize(("engine", "gpus"), [("mxnet", 0), ("torch", 1)])
def test_a_job_is_what_kubernetes_takes(engine, gpus):
    text = manifests(Layout.of(engine, 4, None, "", 29500), Cluster(
        name="birds", image="registry/ssdreg:1", claim="data", gpus=gpus), ("train",))
    items = json.loads(text)["items"]
    for item in items:
        check(item)
    items[1]["spec"]["template"]["spec"]["volume"] = []
    with pytest.raises(validation.ValidationError, match="'volume' was unexpected"):
        check(items[1])


def test_the_deployment_is_what_kubernetes_takes():
    documents = list(yaml.safe_load_all(DEPLOYMENT.read_text(encoding="utf-8")))
    assert [document["kind"] for document in documents] == ["Deployment", "Service"]
    for document in documents:
        check(document)
