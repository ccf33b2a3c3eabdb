"""The one module that imports MXNet, watched from fresh processes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ssdreg

SOURCES = Path(ssdreg.__file__).parent


def run(script: str, **environ: str) -> dict:
    """Run a script in a fresh process; return what it prints as JSON."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ("OMP_NUM_THREADS", "MXNET_SUBGRAPH_VERBOSE")}
    done = subprocess.run([sys.executable, "-W", "error::DeprecationWarning:ssdreg", "-c", script],
                          env={**kept, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


#: Notes what the environment holds at the moment MXNet starts to be imported.
WATCH = """
import json, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "mxnet":
            self.threads = os.environ.get("OMP_NUM_THREADS")
            self.verbose = os.environ.get("MXNET_SUBGRAPH_VERBOSE")
watch = Watch()
sys.meta_path.insert(0, watch)
from ssdreg import mx as module
print(json.dumps({
    "threads": watch.threads, "verbose": watch.verbose, "count": module.threads.count,
    "set_here": module.threads.set_here, "defaults": module.defaults_set,
    "sum": float(module.mx.nd.ones((2, 3)).sum().asscalar())}))
"""


def test_mxnet_works_and_the_threads_are_set_before_it_loads():
    found = run(WATCH)
    assert found["sum"] == 6
    assert (found["threads"], found["set_here"]) == (str(found["count"]), True)
    assert found["count"] >= 1
    assert (found["verbose"], found["defaults"]) == ("0", {"MXNET_SUBGRAPH_VERBOSE": "0"})


def test_the_users_settings_stay():
    found = run(WATCH, OMP_NUM_THREADS="3", MXNET_SUBGRAPH_VERBOSE="1")
    assert (found["threads"], found["count"], found["set_here"]) == ("3", 3, False)
    assert (found["verbose"], found["defaults"]) == ("1", {})


LAZY = """
import json, sys
import ssdreg
ssdreg.list_backbones(), ssdreg.list_heads(), ssdreg.get_backbone("ResNet-101").taps
print(json.dumps([name for name in sys.modules
                  if name.partition(".")[0] in ("mxnet", "matplotlib", "PIL")]))
"""


def test_importing_and_listing_do_not_import_mxnet():
    assert run(LAZY) == []


def imports(file: Path) -> set[str]:
    """Return the packages a source file imports, at its top or anywhere inside."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("file", sorted(SOURCES.rglob("*.py")),
                         ids=lambda file: str(file.relative_to(SOURCES)))
def test_only_one_module_imports_mxnet(file):
    assert ("mxnet" in imports(file)) == (file == SOURCES / "mx.py")


@pytest.mark.parametrize("file", sorted(SOURCES.rglob("*.py")),
                         ids=lambda file: str(file.relative_to(SOURCES)))
def test_only_one_module_imports_matplotlib(file):
    assert ("matplotlib" in imports(file)) == (file == SOURCES / "drawing" / "mpl.py")
