"""Nothing is imported that reports home, unless it is told not to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import ssdreg_runtime

REPORT_HOME = ("openvino", "nncf", "onnxruntime")
PACKAGE = Path(ssdreg_runtime.__file__).parent
#: The sources beside, where this is run in the project.
SSDREG = PACKAGE.parents[1] / "ssdreg"
MODULES = [*PACKAGE.rglob("*.py"), *(SSDREG.rglob("*.py") if SSDREG.is_dir() else ())]
#: What is called only with what such an import has brought.
LATER = {("ssdreg_runtime/backends/onnxruntime.py", "open_file"),
         ("ssdreg_runtime/backends/onnxruntime.py", "_errors"),
         ("ssdreg_runtime/backends/onnxruntime.py", "_providers"),
         ("ssdreg_runtime/backends/openvino.py", "open_file"),
         ("ssdreg_runtime/backends/openvino.py", "_set_iou"),
         ("ssdreg/exporting/openvino_model.py", "write_model")}


def unguarded(node, function="", guarded=False):
    """Name the functions that import one of the packages outside of `no_telemetry`."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.FunctionDef):
        function = node.name
    if isinstance(node, ast.With):
        guarded = guarded or any(ast.unparse(item.context_expr) == "no_telemetry()"
                                 for item in node.items)
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [node.module]
    if not guarded and any(name.partition(".")[0] in REPORT_HOME for name in names):
        yield function
    for child in ast.iter_child_nodes(node):
        yield from unguarded(child, function, guarded)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_module_imports_them_without_their_telemetry(module):
    found = set(unguarded(ast.parse(module.read_text(encoding="utf-8"))))
    assert not {each for each in found
                if not any(module.as_posix().endswith(file) and each == function
                           for file, function in LATER)}


def test_imports_are_seen():
    text = ("def a():\n    import onnxruntime as o\n"
            "def b():\n    with no_telemetry():\n        from openvino.tools import x\n"
            "def c():\n    with other():\n        from nncf import x\n")
    assert list(unguarded(ast.parse(text))) == ["a", "c"]
