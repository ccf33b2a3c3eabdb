"""The runtime stands alone: it needs neither MXNet nor ssdreg, and imports nothing large."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import ssdreg_runtime

PACKAGE = Path(ssdreg_runtime.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
#: What only ssdreg may use, wherever in a module and under whatever condition.
FORBIDDEN = {"mxnet", "ssdreg", "nncf", "torch"}
#: What extras install or is used where it is there: imported by what needs it, when it does.
LATER = ("onnx", "onnxruntime", "openvino", "av", "supervision", "trackers", "matplotlib",
         "fastapi", "pydantic", "starlette", "uvicorn", "prometheus_client", "python_multipart",
         "ray", "pyarrow")
#: What is imported under another name than that of its distribution.
NAMES = {"pillow": "PIL"}

IMPORT = f"""
import sys
import ssdreg_runtime, ssdreg_runtime.cli.main
print(sorted({set(LATER)!r} & set(sys.modules)))
"""


def imported(tree):
    """Name the packages that a module imports, inside functions too, or by a name in a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("import_module", "__import__")):
            yield from (each.value.partition(".")[0] for each in node.args
                        if isinstance(each, ast.Constant))


def test_imports_are_seen_wherever_they_stand():
    text = ("import one.part, two\nfrom three.part import x\nfrom . import y\n"
            "def f():\n    import four\n    importlib.import_module('five.part')\n")
    assert set(imported(ast.parse(text))) == {"one", "two", "three", "four", "five"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_nothing_of_ssdreg(module):
    assert not FORBIDDEN & set(imported(ast.parse(module.read_text(encoding="utf-8"))))


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 does not name its own modules")
def test_it_asks_for_what_it_imports_and_for_nothing_else():
    asked = [re.match(r"[\w-]+", line)[0] for line in metadata.requires("ssdreg-runtime")
             if "extra ==" not in line]
    used = {name for module in MODULES
            for name in imported(ast.parse(module.read_text(encoding="utf-8")))}
    assert {NAMES.get(name, name) for name in asked} == \
        used - sys.stdlib_module_names - {"ssdreg_runtime", *LATER}


def test_importing_it_imports_nothing_large(tmp_path):
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
