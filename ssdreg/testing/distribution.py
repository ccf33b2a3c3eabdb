"""What an installed distribution brings: its own declarations, whoever else uses their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import import_module, metadata

import pluggy

from ssdreg.errors import ConformanceError, UnknownNameError
from ssdreg.registry import hookspecs
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.entry_points import EntryPoint
from ssdreg.registry.head import Head
from ssdreg.registry.host import MODULES, get_backbone, hook_arguments
from ssdreg.registry.policy import forbidden
from ssdreg.testing.verdict import Subject

#: ssdreg itself: its plug-ins are modules, not entry points.
OWN = "ssdreg"
#: What a head is examined on: small, and always there.
STANDS_ON = "resnet18"


def subjects_of(distribution: str, *names: str) -> tuple[Subject, ...]:
    """Return the backbones and heads that a distribution brings.

    `names` are patterns as of a shell, such as ``gluon.res*``, for what they are called in
    reports; without any, all are chosen. Backbones are given as they are declared, in their
    order; heads stand on one of ssdreg's own. Nothing is built.

    Raises UnknownNameError when there is no such distribution, it has no plug-in, or a pattern
    fits nothing, and ConformanceError when a plug-in cannot be loaded or declares something else.
    """
    found = [subject for name, plugin in _plugins(distribution)
             for subject in _declared(distribution, name, plugin)]
    for name in names:
        if not any(fnmatchcase(each.title, name) for each in found):
            raise UnknownNameError(f"{distribution} brings nothing that is called {name!r}; it "
                                   f"brings {', '.join(each.title for each in found) or 'nothing'}")
    return tuple(each for each in found
                 if not names or any(fnmatchcase(each.title, name) for name in names))


def _plugins(distribution: str) -> Iterator[tuple[str, object]]:
    """Load the plug-ins of a distribution; yield each with the name of its entry point."""
    if distribution == OWN:
        yield from ((module, import_module(module)) for module in MODULES)
        return
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise UnknownNameError(_unknown(distribution)) from None
    points = [point for point in installed.entry_points if point.group == hookspecs.NAMESPACE]
    if not points:
        raise UnknownNameError(f"{distribution} has no plug-in of ssdreg: it declares no entry "
                               f"point in the group {hookspecs.NAMESPACE!r}")
    for point in points:
        reason = forbidden(EntryPoint(distribution, installed.version, point.name, point.value))
        if reason:
            raise UnknownNameError(f"{distribution}:{point.name} is {reason}")
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:  # a stranger's module may raise anything
            raise ConformanceError(f"its plug-in {point.name!r} cannot be loaded: "
                                   f"{type(error).__name__}: {error}") from error
        yield point.name, plugin


def _unknown(distribution: str) -> str:
    there = sorted({each.metadata["Name"] for each in metadata.distributions()
                    if any(point.group == hookspecs.NAMESPACE for point in each.entry_points)})
    close = difflib.get_close_matches(distribution, there, n=1)
    hint = (f"did you mean {close[0]}?" if close else
            f"those with plug-ins of ssdreg are {', '.join([OWN, *there])}")
    return f"no distribution called {distribution!r} is installed: {hint}"


def _declared(distribution: str, name: str, plugin: object) -> Iterator[Subject]:
    """Yield what one plug-in declares."""
    host = pluggy.PluginManager(hookspecs.NAMESPACE)
    host.add_hookspecs(hookspecs)
    try:
        host.register(plugin)
        host.check_pending()
        declared = [each for hook in (host.hook.ssdreg_backbones, host.hook.ssdreg_heads)
                    for found in hook(**hook_arguments()) for each in found]
    except (Exception, SystemExit) as error:  # a stranger's hook may raise anything
        raise ConformanceError(f"its plug-in {name!r} cannot be asked what it brings: "
                               f"{type(error).__name__}: {error}") from error
    for each in declared:
        if isinstance(each, Backbone):
            yield Subject(distribution, each)
        elif isinstance(each, Head):
            yield Subject(distribution, get_backbone(STANDS_ON), each)
        else:
            raise ConformanceError(f"its plug-in {name!r} yields {each!r}, which is neither a "
                                   f"Backbone nor a Head")
