"""Ray for the tests: small, silent, with nothing left of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

#: Seconds in which what was told to end has ended.
PATIENCE = 60

NODES = """
import os, sys, time
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
cluster.add_node(**node)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def processes_in(folder):
    """Return the commands of living processes that have the folder's name in them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
                # what a process that has ended leaves has no command
                if os.fsencode(folder) in words:
                    found.append(words.replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
    return found


@contextmanager
def ray_folder():
    """Yield a folder for what Ray keeps meanwhile; all of its processes must have ended then."""
    # its sockets are below it, whose names are short
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    (folder / "ray").mkdir()
    try:
        yield folder
        end = monotonic() + PATIENCE
        while processes_in(folder) and monotonic() < end:
            sleep(0.1)
        assert processes_in(folder) == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environ_of(folder):
    """Return the environment of a process whose Ray keeps everything in this folder."""
    return {**os.environ, "RAY_TMPDIR": str(folder), "TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def two_nodes(folder):
    """Run a cluster of two nodes with a processor each; yield its address."""
    with (folder / "nodes.log").open("wb") as log, subprocess.Popen(
            [sys.executable, "-c", NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=log, text=True, env=environ_of(folder)) as nodes:
        try:
            address = nodes.stdout.readline().strip()
            assert address, (folder / "nodes.log").read_text(encoding="utf-8")
            yield address
        finally:
            nodes.stdin.close()
            try:
                nodes.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                nodes.kill()
