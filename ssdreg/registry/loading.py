"""The plug-in manager: the built-in, the installed and the registered plug-ins, loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from typing import Any

import pluggy
from attrs import field, frozen

from ssdreg.errors import PluginError
from ssdreg.registry import hookspecs
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.entry_points import EntryPoint, installed_entry_points
from ssdreg.registry.head import Head
from ssdreg.registry.issues import PluginIssue, said
from ssdreg.registry.names import BUILT_IN, fold
from ssdreg.registry.policy import forbidden
from ssdreg.registry.weights import Weights

#: The plug-ins that come with ssdreg: modules like any other, registered before all others.
MODULES = ("ssdreg.backbones", "ssdreg.heads")

KINDS = {"ssdreg_backbones": Backbone, "ssdreg_heads": Head, "ssdreg_weights": Weights}

#: What was registered by hand and is not closed, by title: it stays when the rest is forgotten.
by_hand: dict[str, Any] = {}


@frozen(eq=False)
class Loaded:
    """The plug-in manager with what was loaded, forbidden (and why) and failed.

    `notes` are of plug-ins that work, for their authors.
    """

    manager: pluggy.PluginManager
    entry_points: dict[str, EntryPoint] = field(factory=dict)
    forbidden: dict[str, str] = field(factory=dict)
    issues: list[PluginIssue] = field(factory=list)
    notes: list[PluginIssue] = field(factory=list)

    def version(self, title: str) -> str:
        """Return the version of a plug-in's distribution; empty for those of no distribution."""
        return self.entry_points[title].version if title in self.entry_points else ""


@cache
def loaded() -> Loaded:
    """Load the built-in and the installed plug-ins; what fails does not take others down."""
    host = pluggy.PluginManager(hookspecs.NAMESPACE)
    host.add_hookspecs(hookspecs)
    found = Loaded(host)
    for module in MODULES:
        host.register(import_module(module), name=f"{BUILT_IN}:{module}")
    # what a stranger prints must not stand in the output of a command, which may be JSON
    with redirect_stdout(sys.stderr):
        for entry_point in installed_entry_points():
            found.entry_points[entry_point.title] = entry_point
            reason = forbidden(entry_point)
            if reason:
                found.forbidden[entry_point.title] = reason
            else:
                _load(found, entry_point)
    for title, plugin in by_hand.items():
        add(found, plugin, title)
    for issue in (*found.issues, *found.notes):
        issue.warn(found.version(issue.plugin))
    return found


def _load(found: Loaded, entry_point: EntryPoint) -> None:
    """Import and register one plug-in, or note why not."""
    names = frozenset({fold(entry_point.name), fold(entry_point.distribution)})
    reason = entry_point.damage or entry_point.unmet()
    if reason:
        found.issues.append(PluginIssue(entry_point.title, reason, names=names))
        return
    try:
        add(found, entry_point.load(), entry_point.title)
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        found.issues.append(PluginIssue(entry_point.title, str(error), error, names))
    # A stranger's module may raise anything while it is imported, and may even want to exit.
    except BaseException as error:
        found.issues.append(PluginIssue(entry_point.title, f"cannot be loaded: {said(error)}",
                                        error, names))


def add(found: Loaded, plugin: Any, title: str) -> None:
    """Register one plug-in whose hooks are known and of a version that is spoken here.

    Raises PluginError, which goes on from the plug-in's title, when they are not, and whatever
    the plug-in raises when it is looked at; it is not registered then.
    """
    wanted = getattr(plugin, "ssdreg_hooks", None)
    if wanted is not None:
        _check_version(wanted)
    already = found.manager.get_name(plugin)
    if already is not None:
        raise PluginError(f"names the same object as {already}, which is there already")
    try:
        found.manager.register(plugin, name=title)
        notes = [PluginIssue(title, note) for note in _checked(found.manager, plugin)]
    except BaseException:
        # some versions of pluggy keep the hooks that they saw before the one that is wrong
        if found.manager.has_plugin(title):
            found.manager.unregister(name=title)
        raise
    found.notes.extend(notes)


def _check_version(wanted: object) -> None:
    # imported only here: most plug-ins state nothing
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    try:
        spoken = SpecifierSet(str(wanted)).contains(hookspecs.VERSION)
    except InvalidSpecifier as error:
        raise PluginError(f"states ssdreg_hooks = {wanted!r}, which is no range of versions such "
                          f"as '>=1.0,<2'") from error
    if not spoken:
        raise PluginError(f"was written for hooks {wanted}, and these are {hookspecs.VERSION}")


def _checked(host: pluggy.PluginManager, plugin: Any) -> Iterator[str]:
    """Check the hooks of a plug-in; yield what it should be told.

    Raises PluginError when it has no hook, an unknown one, or wraps those of others.
    """
    callers = host.get_hookcallers(plugin)
    if not callers:
        raise PluginError("brings nothing: none of its functions is marked with @ssdreg.hookimpl")
    for caller in callers:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            if not caller.has_spec() and not implementation.optionalhook:
                raise PluginError(f"implements {caller.name}, which is no hook: "
                                  f"{_meant(caller.name)}")
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginError(f"wraps {caller.name}: a plug-in declares what is its own, and "
                                  f"cannot change what others do")
            for argument in implementation.argnames:
                if argument in hookspecs.DEPRECATED_ARGUMENTS:
                    yield (f"takes the argument {argument!r} in {caller.name}, which is "
                           f"deprecated: {hookspecs.DEPRECATED_ARGUMENTS[argument]}")


def _meant(name: str) -> str:
    from difflib import get_close_matches
    close = get_close_matches(name, KINDS, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(KINDS)}"


def forget() -> None:
    """Forget what was loaded, so that it is loaded anew when it is next asked for."""
    loaded.cache_clear()
