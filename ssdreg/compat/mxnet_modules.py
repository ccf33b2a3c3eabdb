"""The import of MXNet's and GluonCV's modules on current releases of Python and NumPy.

Both use names that NumPy and the standard library have removed since. Their modules, and only
these, get their own ``import``: there ``import numpy`` returns NumPy with the removed names
(`ssdreg.compat.numpy_names`), and ``distutils.version``, which Python 3.12 removed, consists of
`packaging`'s versions. NumPy itself and ``sys.modules`` stay as they are, and modules that are
imported later are served as well. What MXNet imports for nothing is left out, or imported when it
is used.

Incompatibilities other than missing names are repaired in MXNet's functions: see
`ssdreg.compat.mxnet_repairs`.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from packaging.version import Version

from ssdreg.compat.mxnet_repairs import repair
from ssdreg.compat.numpy_names import lost_names, namespace

#: The packages whose modules are served.
PACKAGES = ("mxnet", "gluoncv")
#: The module that imports scikit-learn, where that is installed, for the base class of an unused
#: class: that takes as long as the rest of MXNet.
ESTIMATOR = "mxnet.model"
#: How MXNet's modules import ``scipy.stats``, name and what is taken from it. It is a third of the
#: time of importing MXNet, for one test of random numbers.
STATISTICS = (("scipy.stats", ()), ("scipy", ("stats",)))
#: Packages that MXNet imports whole for its own exporter and for downloads.
HARDLY_USED = ("onnx", "requests")


def restored() -> tuple[str, ...]:
    """Return the names that are given to MXNet's modules and that this Python and NumPy lack."""
    missing = [f"numpy.{name}" for name in lost_names()]
    if not hasattr(np.ndarray, "tostring"):
        missing.append("numpy.ndarray.tostring")
    if sys.version_info >= (3, 12):
        missing.append("distutils.version")
    return tuple(missing)


def version_module() -> ModuleType:
    """Return a module in place of ``distutils.version``, which MXNet uses to compare versions."""
    module = ModuleType("distutils.version")
    vars(module).update(StrictVersion=Version, LooseVersion=Version)
    return module


class DeferredModule(ModuleType):
    """Stands for a module that is imported when something in it is looked up first."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def deferred_modules() -> dict[tuple[str, tuple[str, ...]], ModuleType]:
    """Return what stands for packages until they are used, by how MXNet's modules import them."""
    scipy = DeferredModule("scipy")
    vars(scipy)["stats"] = DeferredModule("scipy.stats")
    return {**dict.fromkeys(STATISTICS, scipy),
            **{(name, ()): DeferredModule(name) for name in HARDLY_USED}}


class RepairingLoader(Loader):
    """Wraps a module's loader: sets the builtins of the module's code, and repairs the module.

    The loader itself is not changed, since one loader may load several modules.
    """

    def __init__(self, loader: Loader, own_builtins: dict[str, Any]) -> None:
        self.loader, self.builtins = loader, own_builtins

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the loader's module; None, mostly, for the default."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, which finds builtins and ``__import__`` in its globals."""
        vars(module)["__builtins__"] = self.builtins
        self.loader.exec_module(module)
        repair(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class MXNetFinder(MetaPathFinder):
    """Finds the modules of `PACKAGES` as Python does, and wraps their loaders."""

    def __init__(self) -> None:
        self.numpy, self.versions = namespace(), version_module()
        self.deferred = deferred_modules()
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
                    spec.loader = RepairingLoader(spec.loader, self.builtins)
                return spec
        return None

    def import_(self, name: str, globals: Mapping[str, object] | None = None,
                locals: Mapping[str, object] | None = None, fromlist: Sequence[str] | None = (),
                level: int = 0) -> ModuleType:
        """Import as Python does, with NumPy and ``distutils.version`` replaced."""
        if level == 0 and name == "distutils.version" and fromlist:
            return self.versions
        deferred = self.deferred.get((name, tuple(fromlist or ())))
        if level == 0 and deferred is not None and find_spec(deferred.__name__):
            return deferred
        if (globals or {}).get("__name__") == ESTIMATOR and name.startswith("sklearn"):
            raise ImportError("scikit-learn is left out")
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        return self.numpy if module is np else module

    def adopt(self, module: ModuleType) -> None:
        """Replace NumPy in a module that was imported without this finder, and repair it."""
        for name, value in list(vars(module).items()):
            if value is np:
                setattr(module, name, self.numpy)
        repair(module)


def serve() -> None:
    """Serve the modules of MXNet and GluonCV from now on, once, and those already imported.

    Modules are already imported where MXNet was imported before, or failed to be: Python keeps the
    modules of a failed import that had succeeded.
    """
    if any(isinstance(finder, MXNetFinder) for finder in sys.meta_path):
        return
    finder = MXNetFinder()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES and isinstance(module, ModuleType):
            finder.adopt(module)
    sys.meta_path.insert(0, finder)
