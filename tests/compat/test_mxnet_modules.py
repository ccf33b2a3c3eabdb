"""MXNet's modules are served with what NumPy and Python lost, and nobody else is."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.parsing import parse

from ssdreg.compat.mxnet_modules import PACKAGES, STATISTICS, MXNetFinder, restored
from ssdreg.compat.numpy_names import BUILTINS, lost_names, namespace

MXNET = Path(importlib.util.find_spec("mxnet").origin).parent
NUMPY_2 = np.__version__.startswith("2.")


def run(script: str) -> dict:
    """Run a script in a fresh process; return what it prints last, as JSON."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# Nobody else is misled

UNTOUCHED = """
import builtins, json, sys
from types import ModuleType
import numpy as np
try:  # MXNet imports it, and it has NumPy import the rest of itself
    import scipy.stats
except ImportError:
    pass
def seen():
    return {name: id(value) for name, value in vars(np).items()
            if not isinstance(value, ModuleType)}
names = sorted({*dir(np), "in1d", "product", "PINF", "int", "bool", "pmt", "compat"})
before, had, inside = seen(), [hasattr(np, name) for name in names], vars(builtins).copy()
from ssdreg.mx import mx
print(json.dumps({
    "same": seen() == before, "asked": [hasattr(np, name) for name in names] == had,
    "builtins": vars(builtins) == inside,
    "distutils": [name for name in ("distutils", "setuptools") if name in sys.modules],
    "sum": float(mx.nd.ones((2, 3)).sum().asscalar())}))
"""


#: Lets one object load modules of MXNet and then another module.
ONE_LOADER = """
import importlib.util
from importlib.machinery import ModuleSpec, PathFinder
class Both:
    def __init__(self):
        self.found = {}
    def find_spec(self, name, path=None, target=None):
        if name == "other":
            return ModuleSpec(name, self)
        if name == "mxnet.test_utils":
            found = self.found[name] = PathFinder.find_spec(name, path)
            return importlib.util.spec_from_file_location(name, found.origin, loader=self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        if module.__name__ == "other":
            exec("IMPORT = __import__", vars(module))
        else:
            self.found[module.__name__].loader.exec_module(module)
sys.meta_path.insert(0, Both())
from ssdreg.mx import mx
import other
"""


def test_numpy_and_python_stay_as_they_are():
    assert run(UNTOUCHED) == {"same": True, "asked": True, "builtins": True, "distutils": [],
                              "sum": 6}


def test_only_mxnet_and_gluoncv_are_looked_after():
    assert MXNetFinder().find_spec("json") is None
    assert MXNetFinder().find_spec("mxnetwork") is None
    assert PACKAGES == ("mxnet", "gluoncv")


def test_a_loader_of_many_modules_stays_as_it_is():
    """pytest's own loads ``mxnet.test_utils`` for its name, and then every file of tests."""
    script = UNTOUCHED.replace("from ssdreg.mx import mx", ONE_LOADER)
    assert run(script.replace('"sum":', '"served": other.IMPORT is not __import__, "sum":')) == {
        "same": True, "asked": True, "builtins": True, "distutils": [], "served": False, "sum": 6}


# What MXNet looks up is there

def files() -> list[Path]:
    """The Python files of MXNet, and of GluonCV where it is installed."""
    found = [MXNET]
    gluoncv = importlib.util.find_spec("gluoncv")
    if gluoncv is not None:
        found.append(Path(gluoncv.origin).parent)
    return sorted(file for folder in found for file in folder.rglob("*.py"))


def lookups(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """Yield the attributes that a file looks up in what it imports as NumPy, as paths."""
    bound: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, *rest = alias.name.split(".")
                if top == "numpy":
                    bound[alias.asname or top] = tuple(rest) if alias.asname else ()
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            top, *rest = node.module.split(".")
            if top == "numpy":
                yield from ((*rest, alias.name) for alias in node.names)
    for node in ast.walk(tree):
        path: tuple[str, ...] = ()
        while isinstance(node, ast.Attribute):
            path, node = (node.attr, *path), node.value
        if path and isinstance(node, ast.Name) and node.id in bound:
            yield (*bound[node.id], *path)


def found_in(module: ModuleType, path: tuple[str, ...]) -> bool:
    """Tell whether the modules on a path, and what the last of them is asked for, are there."""
    value = module
    for name in path:
        if not isinstance(value, ModuleType):
            return True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names on their way out
            try:
                value = getattr(value, name)
            except AttributeError:
                return False
    return True


@pytest.fixture(scope="module")
def looked_up() -> set[tuple[str, ...]]:
    return {path for file in files() for path in lookups(parse(file))}


def test_every_name_that_is_looked_up_is_there(looked_up):
    given = namespace()
    assert len(looked_up) > 200
    assert {path for path in looked_up if not found_in(given, path)} == set()


def test_numpy_itself_has_them_not(looked_up):
    lacking = {path[0] for path in looked_up if not found_in(np, path)}
    assert "int" in lacking
    assert ("in1d" in lacking) == ("in1d" not in vars(np))
    assert lacking - {"testing"} <= set(lost_names())


def test_every_function_that_is_dispatched_is_there_and_one_of_its_own():
    from ssdreg.mx import mx
    given, protocol = namespace(), mx.numpy_dispatch_protocol
    names = [name for name in protocol._NUMPY_ARRAY_FUNCTION_LIST if "." not in name]
    functions = [getattr(given, name) for name in names]
    assert {"product", "sometrue", "round_"} <= set(names)
    assert [name for name in ("product", "sometrue", "round_")
            if functions.count(getattr(given, name)) > 1] == []


def test_sums_of_mxnets_arrays_are_mxnets():
    from ssdreg.mx import mx
    array = mx.np.array([[1, 2], [3, 4]])
    for function in (np.prod, np.any, np.sum, np.round):
        assert type(function(array)) is mx.np.ndarray
    assert float(np.prod(array)) == 24


def test_no_array_is_made_with_copy_false():
    """NumPy 2 refuses ``np.array(..., copy=False)`` where a copy is needed; nobody calls it."""
    calls = [f"{file.name}:{node.lineno}" for file in files()
             for node in ast.walk(parse(file))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
             and node.func.attr in ("array", "asarray")
             and any(keyword.arg == "copy" for keyword in node.keywords)]
    assert calls == []


# The names stand for what they stood for

def test_bool_is_pythons():
    given = namespace()
    assert (given.bool, given.int, given.float) == (bool, int, float)
    assert given.bool_ is np.bool_
    assert set(BUILTINS) <= set(vars(given))


def test_constants_and_functions():
    given = namespace()
    assert given.PINF == given.Inf == np.inf == -given.NINF
    assert np.isnan([given.NaN, given.NAN]).all()
    assert [np.signbit(given.PZERO), np.signbit(given.NZERO)] == [False, True]
    rows = np.array([[3, 1], [2, 4]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 1.25 and later warn of its own
        assert given.in1d(rows, [1, 2]).tolist() == [False, True, True, False]
        assert given.in1d(rows, [1, 2], invert=True).tolist() == [True, False, False, True]
        assert given.msort(rows).tolist() == [[2, 1], [3, 4]]
        assert given.product(rows) == 24
        assert given.alltrue(rows)
        assert given.sometrue([0, 1])
        assert given.round_(1.26, 1) == 1.3
        assert given.trapz([1, 2, 3]) == 4
    assert given.compat.basestring is str
    with pytest.raises(RuntimeError, match="pmt"):
        given.pmt(0.1, 2, 3)


def test_what_numpy_has_or_gets_is_there():
    given = namespace()
    assert given.asarray is np.asarray
    assert given.linalg is np.linalg
    assert given.random.RandomState is np.random.RandomState
    np.later = 3
    try:
        assert given.later == 3
    finally:
        del np.later
    assert not hasattr(given, "later")


def test_differing_arrays_are_told():
    from ssdreg.mx import mx
    with pytest.raises(AssertionError, match="ACTUAL"):
        mx.test_utils.assert_almost_equal(np.ones(2), np.zeros(2))


# Whenever a module is imported

LATER = """
import json
import os
from ssdreg.mx import mx
import mxnet.gluon.contrib.estimator.event_handler as handler
import mxnet.contrib.amp, mxnet.onnx
import numpy
print(json.dumps([handler.np is not numpy, handler.np.Inf == float("inf")]))
"""


def test_modules_imported_later_are_served():
    assert run(LATER) == [True, True]


HALF = """
import json, sys
before = set(sys.modules)
try:
    import mxnet
    failed = False
except (AttributeError, ImportError):
    failed = True
left = [name for name in sys.modules if name.startswith("mxnet.")]
from ssdreg.mx import mx
metric = mx.metric.create("mae")
metric.update([mx.nd.ones((2, 1))], [mx.nd.zeros((2, 1))])
packed = mx.recordio.pack(mx.recordio.IRHeader(0, [1, 2], 3, 0), b"abc")
full = mx.np.full_like(mx.np.ones((2,)), 1, dtype=None)
print(json.dumps({"failed": failed, "left": len(left), "mae": float(metric.get()[1]),
                  "packed": len(packed), "any": bool((mx.np.ones((2,)) > 0).all())}))
"""


def test_an_import_that_failed_before_does_no_harm():
    found = run(HALF)
    assert (found["mae"], found["packed"], found["any"]) == (1, 35, True)
    assert found["failed"] == ("bool" not in vars(np) or NUMPY_2 or sys.version_info >= (3, 12))
    assert found["left"] > 10


def test_it_is_served_once():
    from ssdreg.compat.mxnet_modules import serve
    from ssdreg.mx import mx  # noqa: F401
    serve()
    assert sum(isinstance(each, MXNetFinder) for each in sys.meta_path) == 1


def test_what_is_given_is_named():
    assert ("numpy.in1d" in restored()) == ("in1d" not in vars(np))
    assert ("numpy.ndarray.tostring" in restored()) == (not hasattr(np.ndarray, "tostring"))
    assert ("distutils.version" in restored()) == (sys.version_info >= (3, 12))
    assert "numpy.mirr" in restored()


def test_distutils_is_compared_as_mxnet_does():
    from ssdreg.mx import mx
    assert mx.numpy_op_fallback.StrictVersion("2.5.0") > mx.numpy_op_fallback.StrictVersion("1.6.0")
    assert distribution("mxnet").version == mx.__version__


NEEDLESS = """
import sys
from ssdreg.mx import mx
print(mx.__version__, *(name in sys.modules for name in (
    "sklearn", "scipy.stats", "onnx", "requests")))
print(mx.contrib.quantization.stats.entropy(), mx.test_utils.ss.entropy(),
      "scipy.stats" in sys.modules)
print(mx.gluon.utils.requests.Session.__module__, mx.test_utils.requests.__name__)
"""


def test_what_is_hardly_used_is_not_imported_for_it(tmp_path):
    """Where scikit-learn and SciPy are installed, as they are with NNCF, it takes as long again."""
    for name in ("sklearn", "scipy"):
        (tmp_path / name).mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "sklearn" / "base.py").write_text("BaseEstimator = object")
    (tmp_path / "scipy" / "__init__.py").touch()
    (tmp_path / "scipy" / "stats.py").write_text("def entropy():\n    return 3\n")
    done = subprocess.run([sys.executable, "-c", NEEDLESS], capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(
                              [str(tmp_path), *filter(None, sys.path)])})
    first, second, third = done.stdout.splitlines()
    assert first.split() == ["1.9.1", *["False"] * 4], done.stderr
    # it is there as soon as somebody uses it
    assert second.split() == ["3", "3", "True"], done.stderr
    assert third.split() == ["requests.sessions", "requests"], done.stderr


def test_statistics_that_are_not_installed_are_no_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "scipy.stats", raising=False)
    for name, taken in STATISTICS:
        with pytest.raises(ImportError):
            MXNetFinder().import_(name, fromlist=taken)
