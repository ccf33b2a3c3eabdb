"""A job as manifests of Kubernetes: an indexed job, a pod each, and the service that names them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen

from ssdreg.errors import LaunchError
from ssdreg.launching.layout import Layout
from ssdreg.launching.telling import MODULE, words

#: Where the claimed volume is in the pods, and what paths in the command are relative to.
FOLDER = "/work"


@frozen(kw_only=True)
class Cluster:
    """What a cluster has to be told: the name of the job, the image of its pods, and a volume.

    `claim` is a PersistentVolumeClaim with the data and the runs, which many pods may mount.
    `gpus` of each pod are NVIDIA's.
    """

    name: str
    image: str
    claim: str
    gpus: int = 0


def manifests(layout: Layout, cluster: Cluster, command: Sequence[str]) -> str:
    """Return a service and an indexed job as one JSON document, which kubectl takes as YAML.

    A pod that fails ends the job and all its pods, and nothing starts it again: the command with
    ``--resume`` does. Raises LaunchError for a name that Kubernetes does not take.
    """
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", cluster.name):
        raise LaunchError(f"--name {cluster.name!r} is no name for Kubernetes: lower-case letters, "
                          f"digits and hyphens, at most 40, with a letter first")
    labels = {"app.kubernetes.io/name": cluster.name}
    found = evolve(layout, root=f"{cluster.name}-0.{cluster.name}")
    service = {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": cluster.name, "labels": labels},
        # of names alone; they are there before the pods are ready, which wait for each other
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels,
                 "ports": [{"name": "root", "port": layout.port}]}}
    job = {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": cluster.name, "labels": labels},
        "spec": {
            "completionMode": "Indexed", "completions": layout.members,
            "parallelism": layout.members, "backoffLimit": 0,
            "template": {"metadata": {"labels": labels},
                         "spec": _pod(found, cluster, command)}}}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, job]}, indent=2)


def _pod(layout: Layout, cluster: Cluster, command: Sequence[str]) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "member", "image": cluster.image, "workingDir": FOLDER,
        "command": ["python", "-m", MODULE, *words(layout, tied=False), "--", *command],
        "volumeMounts": [{"name": "work", "mountPath": FOLDER},
                         {"name": "shared-memory", "mountPath": "/dev/shm"}]}
    if cluster.gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": cluster.gpus}}
    return {"restartPolicy": "Never", "subdomain": cluster.name, "containers": [container],
            "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": cluster.claim}},
                        {"name": "shared-memory", "emptyDir": {"medium": "Memory"}}]}
