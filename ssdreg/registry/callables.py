"""Packages that can be called: `ssdreg.backbones()` lists, `ssdreg.backbones.resnet` is a module.

A package and a function of one name would hide each other, depending on what was imported first.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ssdreg.registry.lazy_reference import resolve


def make_callable(package: str, function: str) -> None:
    """Let a call of the imported `package` call `function`, named as ``"module:function"``."""
    class CallablePackage(ModuleType):
        def __call__(self) -> Any:
            return resolve(function)()

    sys.modules[package].__class__ = CallablePackage
