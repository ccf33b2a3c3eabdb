"""How MXNet's modules, and GluonCV's, are imported on a Python and a NumPy of today.

Both are written for a NumPy and a standard library that have lost names since. Their modules,
and only these, get an ``import`` of their own: ``import numpy`` gives them NumPy with the names it
has lost (`ssdreg.compat.numpy_names`), and ``distutils.version``, which Python 3.12 removed, gives
them `packaging`'s versions. So NumPy itself and ``sys.modules`` stay as they are, and modules that
are imported at any later time are served as well.

What is no missing name is mended in MXNet's functions: see `ssdreg.compat.mxnet_repairs`.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
from packaging.version import Version

from ssdreg.compat.mxnet_repairs import repair
from ssdreg.compat.numpy_names import lost_names, namespace

#: Those whose modules are served.
PACKAGES = ("mxnet", "gluoncv")
#: The module that tries to import scikit-learn, where that is installed, only to have its
#: estimator as a base class of something that nobody uses: it takes as long as the rest of MXNet.
ESTIMATOR = "mxnet.model"


def restored() -> tuple[str, ...]:
    """Name what MXNet's modules find and this Python and this NumPy do not have."""
    gone = [f"numpy.{name}" for name in lost_names()]
    if not hasattr(np.ndarray, "tostring"):
        gone.append("numpy.ndarray.tostring")
    if sys.version_info >= (3, 12):
        gone.append("distutils.version")
    return tuple(gone)


def versions() -> ModuleType:
    """Return what stands for ``distutils.version``, of which MXNet only compares versions."""
    made = ModuleType("distutils.version")
    vars(made).update(StrictVersion=Version, LooseVersion=Version)
    return made


class Served(Loader):
    """A module's loader, and after it the import that the module's code uses, and its repair.

    It stands before the loader and does not change it: one may load any number of modules.
    """

    def __init__(self, loader: Loader, own_builtins: dict[str, Any]) -> None:
        self.loader, self.builtins = loader, own_builtins

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the loader does; None, as a rule, for a common module."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, which takes builtins, ``import`` among them, from its globals."""
        vars(module)["__builtins__"] = self.builtins
        self.loader.exec_module(module)
        repair(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class Finder(MetaPathFinder):
    """Finds the modules of `PACKAGES` as Python does, and has them served."""

    def __init__(self) -> None:
        self.numpy, self.versions = namespace(), versions()
        self.builtins = {**vars(builtins), "__import__": self.import_}

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module of these packages, None for any other."""
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = Served(spec.loader, self.builtins)
                return spec
        return None

    def import_(self, name: str, globals: Mapping[str, object] | None = None,
                locals: Mapping[str, object] | None = None, fromlist: Sequence[str] | None = (),
                level: int = 0) -> ModuleType:
        """Import as Python does, but for what is given instead."""
        if level == 0 and name == "distutils.version" and fromlist:
            return self.versions
        if (globals or {}).get("__name__") == ESTIMATOR and name.startswith("sklearn"):
            raise ImportError("scikit-learn is left out")
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        return self.numpy if module is np else module

    def adopt(self, module: ModuleType) -> None:
        """Serve a module that was imported without this finder."""
        for name, value in list(vars(module).items()):
            if value is np:
                setattr(module, name, self.numpy)
        repair(module)


def serve() -> None:
    """Serve the modules of MXNet and GluonCV from now on, once, and those already imported.

    There are some where somebody imported MXNet before, or tried to: of an import that failed half
    way, Python keeps the modules that had succeeded.
    """
    if any(isinstance(each, Finder) for each in sys.meta_path):
        return
    finder = Finder()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES and isinstance(module, ModuleType):
            finder.adopt(module)
    sys.meta_path.insert(0, finder)
