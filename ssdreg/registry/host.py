"""The plug-in host: loads the plug-ins, and calls their hooks.

pluggy holds who is registered, and checks hooks against their specifications. A hook is called in
one place, `_ask`, and there one implementation at a time: pluggy's own call of all of them ends
with the first that raises, and does not say which; one plug-in must not take the others down, and
what is said of it begins with its name.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from types import TracebackType
from typing import Any, cast

import pluggy
from attrs import field, frozen

from ssdreg._version import __version__
from ssdreg.errors import PluginError
from ssdreg.registry import hookspecs
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.converters import fold
from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.engine import Engine
from ssdreg.registry.entry_points import EntryPoint, forbidden, installed_entry_points
from ssdreg.registry.head import Head
from ssdreg.registry.issues import PluginIssue, describe_error, message
from ssdreg.registry.weights import Weights

#: Whose plug-ins are ssdreg's own: modules like any other, registered before all others.
BUILT_IN = "ssdreg"
MODULES = ("ssdreg.backbones", "ssdreg.heads", "ssdreg.data.formats", "ssdreg.engines")

#: What each hook is asked for.
KINDS = {"ssdreg_backbones": Backbone, "ssdreg_heads": Head, "ssdreg_weights": Weights,
         "ssdreg_detectors": DetectorWeights, "ssdreg_datasets": DataFormat,
         "ssdreg_engines": Engine}

#: What was registered by hand and is not closed, by title: it stays when the rest is forgotten.
_by_hand: dict[str, Any] = {}


@frozen(eq=False)
class Loaded:
    """The plug-in manager with what was loaded, forbidden (and why) and failed.

    `notes` are of plug-ins that work, for their authors. A plug-in's title is
    ``distribution:name``, or the name that it was registered by hand under.
    """

    manager: pluggy.PluginManager
    entry_points: dict[str, EntryPoint] = field(factory=dict)
    forbidden: dict[str, str] = field(factory=dict)
    issues: list[PluginIssue] = field(factory=list)
    notes: list[PluginIssue] = field(factory=list)

    def version(self, title: str) -> str:
        """Return the version of a plug-in's distribution; empty for those of no distribution."""
        return self.entry_points[title].version if title in self.entry_points else ""


@frozen(eq=False)
class Declared:
    """One declaration, with the title of the plug-in it comes from."""

    item: Any
    plugin: str

    @property
    def distribution(self) -> str:
        """Whose it is: the distribution, or the module's name for one registered by hand."""
        return self.plugin.partition(":")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called, its own name first."""
        return names_of(self.item)


@frozen(eq=False)
class Answers:
    """What all plug-ins declared, by hook, and what went wrong while they were asked."""

    declared: dict[str, list[Declared]] = field(factory=lambda: {hook: [] for hook in KINDS})
    issues: list[PluginIssue] = field(factory=list)


def names_of(item: Backbone | Head | Weights | DetectorWeights | DataFormat | Engine
             ) -> tuple[str, ...]:
    """Return all that a declaration is called, its own name first."""
    return (item.title,) if isinstance(item, Weights) else (item.name, *item.aliases)


# Load

def manager() -> pluggy.PluginManager:
    """Return the plug-in manager, with the built-in and the installed plug-ins registered."""
    return loaded().manager


@cache
def loaded() -> Loaded:
    """Load the built-in and the installed plug-ins; what fails does not take others down."""
    host = Loaded(pluggy.PluginManager(hookspecs.NAMESPACE))
    host.manager.add_hookspecs(hookspecs)
    for module in MODULES:
        host.manager.register(import_module(module), name=f"{BUILT_IN}:{module}")
    # what a stranger prints must not stand in the output of a command, which may be JSON
    with redirect_stdout(sys.stderr):
        for entry_point in installed_entry_points():
            host.entry_points[entry_point.title] = entry_point
            reason = forbidden(entry_point)
            if reason:
                host.forbidden[entry_point.title] = reason
            else:
                _load(host, entry_point)
    for title, plugin in _by_hand.items():
        _add(host, plugin, title)
    for issue in (*host.issues, *host.notes):
        issue.warn(host.version(issue.plugin))
    return host


def _load(host: Loaded, entry_point: EntryPoint) -> None:
    """Import and register one plug-in, or note why not."""
    names = frozenset({fold(entry_point.name), fold(entry_point.distribution)})
    reason = entry_point.damage or entry_point.unmet()
    if reason:
        host.issues.append(PluginIssue(entry_point.title, reason, names=names))
        return
    try:
        _add(host, entry_point.load(), entry_point.title)
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        host.issues.append(PluginIssue(entry_point.title, str(error), error, names))
    # A stranger's module may raise anything while it is imported, and may even want to exit.
    except BaseException as error:
        reason = f"cannot be loaded: {describe_error(error)}"
        host.issues.append(PluginIssue(entry_point.title, reason, error, names))


def _add(host: Loaded, plugin: Any, title: str) -> None:
    """Register one plug-in whose hooks are known and of a version that is spoken here.

    Raises PluginError, which goes on from the plug-in's title, when they are not, and whatever
    the plug-in raises when it is looked at; it is not registered then.
    """
    wanted = getattr(plugin, "ssdreg_hooks", None)
    if wanted is not None:
        _check_version(wanted)
    already = host.manager.get_name(plugin)
    if already is not None:
        raise PluginError(f"names the same object as {already}, which is there already")
    try:
        host.manager.register(plugin, name=title)
        notes = [PluginIssue(title, note) for note in _check_hooks(host.manager, plugin)]
    except BaseException:
        # some versions of pluggy keep the hooks that they saw before the one that is wrong
        if host.manager.has_plugin(title):
            host.manager.unregister(name=title)
        raise
    host.notes.extend(notes)


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


def _check_hooks(manager: pluggy.PluginManager, plugin: Any) -> Iterator[str]:
    """Check the hooks of a plug-in; yield what it should be told.

    Raises PluginError when it has no hook, an unknown one, or wraps those of others.
    """
    implementations = tuple(_implementations(manager, plugin))
    if not implementations:
        raise PluginError("brings nothing: none of its functions is marked with @ssdreg.hookimpl")
    for caller, implementation in implementations:
        if not caller.has_spec() and not implementation.optionalhook:
            raise PluginError(f"implements {caller.name}, which is no hook: {_meant(caller.name)}")
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


def _implementations(manager: pluggy.PluginManager, plugin: Any
                     ) -> Iterator[tuple[pluggy.HookCaller, pluggy.HookImpl]]:
    """Yield the hooks of one plug-in, each with its implementation."""
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                yield caller, implementation


# Call

@cache
def answers() -> Answers:
    """Ask every plug-in, the built-in ones first, what it declares."""
    manager, answered = loaded().manager, Answers()
    with redirect_stdout(sys.stderr):  # as while they are loaded
        # pluggy calls the latest first; a name belongs to whoever was there before
        for _, plugin in manager.list_name_plugin():
            for caller, implementation in _implementations(manager, plugin):
                if caller.name in KINDS:
                    _ask(caller.name, implementation, answered)
    return answered


def hook_arguments() -> dict[str, Any]:
    """Return what a hook may take, by name."""
    return {"host": hookspecs.Host(__version__, hookspecs.VERSION), "version": __version__}


def _ask(hook: str, implementation: pluggy.HookImpl, answered: Answers) -> None:
    """Call one plug-in's implementation of a hook; note what it declares, or what is wrong."""
    title, kind, arguments = implementation.plugin_name, KINDS[hook], hook_arguments()
    call = cast("Callable[..., Iterable[object]]", implementation.function)
    declared: list[Declared] = []
    try:
        for item in call(*(arguments[name] for name in implementation.argnames)):
            if isinstance(item, kind):
                declared.append(Declared(item, title))
            else:
                answered.issues.append(PluginIssue(title, (
                    f"yielded {reprlib.repr(item)} from {hook}, which is no {kind.__name__}")))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plug-in's function may raise any exception
        names = (*(name for declaration in declared for name in declaration.names),
                 *title.split(":"))
        answered.issues.append(PluginIssue(
            title, f"raised {type(error).__name__} in {hook}: {message(error)}; nothing of it "
                   f"was taken", error, frozenset(map(fold, names))))
    else:
        answered.declared[hook] += declared


# Register by hand

class Registration:
    """A plug-in registered by hand; closed by `close` or at the end of a ``with``."""

    def __init__(self, title: str) -> None:
        self._title: str | None = title

    def __enter__(self) -> Registration:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the plug-in out again; a second time does nothing."""
        if self._title is not None:
            host = loaded()
            host.manager.unregister(name=self._title)
            host.notes[:] = [note for note in host.notes if note.plugin != self._title]
            del _by_hand[self._title]
            self._title = None
            answers.cache_clear()


def register(plugin: Any, name: str | None = None) -> Registration:
    """Register a module, or any object with hooks, for a notebook or a test.

    `name` stands for its distribution in messages and in ``distribution:name``; the plug-in's own
    ``__name__`` by default. It is undone by `close`, or by using it as a context.

    Raises PluginError when it has no hook, a misspelt one, or when the name is taken.
    """
    title = str(name or getattr(plugin, "__name__", type(plugin).__name__))
    if fold(title) == fold(BUILT_IN) or ":" in title:
        raise PluginError(f"no plug-in can be registered as {title!r}: choose a name of its own, "
                          f"without a colon")
    host = loaded()
    if host.manager.has_plugin(title):
        raise PluginError(f"a plug-in called {title!r} is registered already: close that first")
    noted = len(host.notes)
    try:
        _add(host, plugin, title)
    except PluginError as error:
        raise PluginError(f"{title!r} cannot be registered: it {error}") from error
    except Exception as error:  # a stranger's object may raise anything when it is looked at
        raise PluginError(f"{title!r} cannot be registered: {describe_error(error)}") from error
    for note in host.notes[noted:]:
        note.warn("")
    _by_hand[title] = plugin
    answers.cache_clear()
    return Registration(title)


def forget() -> None:
    """Forget what was loaded, so that it is loaded anew; registrations by hand stay."""
    loaded.cache_clear()
    answers.cache_clear()
