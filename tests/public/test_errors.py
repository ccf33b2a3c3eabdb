"""What ssdreg raises and warns of is in one module, and `import ssdreg` gives all of it."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import ssdreg
from ssdreg import errors

#: Raised and caught inside one module, never by whoever calls it.
INTERNAL = {"NoConfigurationError", "PassingError", "Undecided"}


def modules():
    for found in pkgutil.walk_packages(ssdreg.__path__, "ssdreg."):
        if not found.name.endswith("__main__") and ".templates" not in found.name:
            yield import_module(found.name)


def test_errors_and_warnings_are_declared_in_one_place():
    elsewhere = {f"{each.__module__}.{name}" for module in modules()
                 for name, each in vars(module).items()
                 if inspect.isclass(each) and issubclass(each, BaseException)
                 and each.__module__ == module.__name__ != errors.__name__
                 and not name.startswith("_") and name not in INTERNAL}
    assert elsewhere == set()


def test_all_are_public():
    declared = {name for name, each in vars(errors).items()
                if inspect.isclass(each) and issubclass(each, BaseException)}
    assert declared == set(errors.__all__) <= set(ssdreg.__all__)
    for name in declared:
        each = getattr(ssdreg, name)
        assert each is getattr(errors, name)
        assert issubclass(each, (ssdreg.SsdregError, ssdreg.SsdregWarning, KeyboardInterrupt))
