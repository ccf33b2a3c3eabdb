"""The declarations of an installed distribution, whatever other plug-ins use their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import import_module, metadata

import pluggy

from ssdreg.errors import ConformanceError, UnknownNameError
from ssdreg.registry import hookspecs
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.engine import Engine
from ssdreg.registry.entry_points import EntryPoint, forbidden
from ssdreg.registry.head import Head
from ssdreg.registry.host import MODULES, hook_arguments
from ssdreg.registry.names import get_backbone
from ssdreg.testing.verdict import AnySubject, EngineSubject, FormatSubject, Subject

#: ssdreg's own distribution, whose plug-ins are modules, not entry points.
OWN_DISTRIBUTION = "ssdreg"
#: The backbone that heads are examined on: a small one that is always installed.
HEAD_BACKBONE = "resnet18"


def subjects_of(distribution: str, *names: str) -> tuple[AnySubject, ...]:
    """Return the backbones, heads, formats of data sets and engines that a distribution brings.

    `names` are shell patterns, such as ``gluon.res*``, of their titles in reports; without any, all
    are returned. Backbones come as declared, in their order; heads come with the backbone
    `HEAD_BACKBONE`. Nothing is built.

    Raises UnknownNameError when there is no such distribution, it has no plug-in, or a pattern
    matches nothing, and ConformanceError when a plug-in cannot be loaded or declares something
    else.
    """
    subjects = [subject for name, plugin in _plugins(distribution)
                for subject in _declared_subjects(distribution, name, plugin)]
    for name in names:
        if not any(fnmatchcase(subject.title, name) for subject in subjects):
            titles = ", ".join(subject.title for subject in subjects)
            raise UnknownNameError(f"{distribution} brings nothing that is called {name!r}; it "
                                   f"brings {titles or 'nothing'}")
    return tuple(subject for subject in subjects
                 if not names or any(fnmatchcase(subject.title, name) for name in names))


def _plugins(distribution: str) -> Iterator[tuple[str, object]]:
    """Load the plug-ins of a distribution; yield each with the name of its entry point."""
    if distribution == OWN_DISTRIBUTION:
        yield from ((module, import_module(module)) for module in MODULES)
        return
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise UnknownNameError(_unknown_distribution(distribution)) from None
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
        except (Exception, SystemExit) as error:  # a plug-in's module may raise anything
            raise ConformanceError(f"its plug-in {point.name!r} cannot be loaded: "
                                   f"{type(error).__name__}: {error}") from error
        yield point.name, plugin


def _unknown_distribution(distribution: str) -> str:
    with_plugins = sorted({other.metadata["Name"] for other in metadata.distributions()
                           if any(point.group == hookspecs.NAMESPACE
                                  for point in other.entry_points)})
    close = difflib.get_close_matches(distribution, with_plugins, n=1)
    hint = (f"did you mean {close[0]}?" if close else
            f"those with plug-ins of ssdreg are {', '.join([OWN_DISTRIBUTION, *with_plugins])}")
    return f"no distribution called {distribution!r} is installed: {hint}"


def _declared_subjects(distribution: str, name: str, plugin: object) -> Iterator[AnySubject]:
    """Yield the subjects that one plug-in declares."""
    host = pluggy.PluginManager(hookspecs.NAMESPACE)
    host.add_hookspecs(hookspecs)
    try:
        host.register(plugin)
        host.check_pending()
        hooks = (host.hook.ssdreg_backbones, host.hook.ssdreg_heads, host.hook.ssdreg_datasets,
                 host.hook.ssdreg_engines)
        declared = [declaration for hook in hooks
                    for declarations in hook(**hook_arguments()) for declaration in declarations]
    except (Exception, SystemExit) as error:  # a plug-in's hook may raise anything
        raise ConformanceError(f"its plug-in {name!r} cannot be asked what it brings: "
                               f"{type(error).__name__}: {error}") from error
    for declaration in declared:
        if isinstance(declaration, Backbone):
            yield Subject(distribution, declaration)
        elif isinstance(declaration, Head):
            yield Subject(distribution, get_backbone(HEAD_BACKBONE), declaration)
        elif isinstance(declaration, DataFormat):
            yield FormatSubject(distribution, declaration)
        elif isinstance(declaration, Engine):
            yield EngineSubject(distribution, declaration)
        else:
            raise ConformanceError(f"its plug-in {name!r} yields {declaration!r}, which is no "
                                   f"Backbone, Head, DataFormat or Engine")
