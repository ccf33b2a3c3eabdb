"""The plug-in host: who is registered, and what a name stands for."""

from __future__ import annotations

import difflib
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import TracebackType
from typing import Any, cast

import pluggy
from attrs import field, frozen

from ssdreg import hookspecs
from ssdreg._version import __version__
from ssdreg.backbone import Backbone
from ssdreg.errors import PluginError, UnknownNameError
from ssdreg.head import Head
from ssdreg.plugin_control import forbidden
from ssdreg.plugin_registry import (
    BUILT_IN,
    Declared,
    Names,
    PluginWarning,
    Trouble,
    fold,
    names_of,
    settle,
)
from ssdreg.plugin_sources import Source, installed_sources
from ssdreg.weights.declaration import Weights

__all__ = ["PluginWarning", "Registration", "backbones", "declared_weights", "get_backbone",
           "get_head", "heads", "register", "same_name"]

#: The plug-ins that come with ssdreg: modules like any other, registered before all others.
MODULES = ("ssdreg.backbones", "ssdreg.heads")

KINDS = {"ssdreg_backbones": Backbone, "ssdreg_heads": Head, "ssdreg_weights": Weights}


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Leave garbage alone for a while: modules and declarations stay, looking for it is in vain."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@frozen(eq=False)
class Loaded:
    """The plug-in manager with what was loaded, forbidden (and why) and failed."""

    manager: pluggy.PluginManager
    sources: dict[str, Source] = field(factory=dict)
    forbidden: dict[str, str] = field(factory=dict)
    troubles: list[Trouble] = field(factory=list)


@frozen(eq=False)
class Registry:
    """Everything declared, and what went wrong while it was asked for."""

    backbone: Names
    head: Names
    weight: Names
    troubles: tuple[Trouble, ...]

    @property
    def backbones(self) -> dict[str, Backbone]:
        """The backbones by the names they are listed under."""
        return self.backbone.items


@cache
@garbage_kept()
def loaded() -> Loaded:
    """Load the built-in and the installed plug-ins; what fails does not take others down."""
    host = pluggy.PluginManager(hookspecs.NAMESPACE)
    host.add_hookspecs(hookspecs)
    found = Loaded(host)
    for module in MODULES:
        host.register(import_module(module), name=f"{BUILT_IN}:{module}")
    for source in installed_sources():
        found.sources[source.title] = source
        reason = forbidden(source)
        if reason:
            found.forbidden[source.title] = reason
            continue
        trouble = _load(host, source)
        if trouble is not None:
            found.troubles.append(trouble)
            trouble.warn()
    return found


def manager() -> pluggy.PluginManager:
    """Return the plug-in manager, with the built-in and the installed plug-ins registered."""
    return loaded().manager


def _load(host: pluggy.PluginManager, source: Source) -> Trouble | None:
    """Import and register one plug-in, or say why not."""
    names = frozenset({fold(source.name), fold(source.distribution)})
    unmet = source.unmet()
    if unmet:
        return Trouble(source.title, unmet, names=names)
    # A stranger's module may raise anything while it is imported, and may even want to exit.
    try:
        plugin = source.load()
        _add(host, plugin, source.title)
    except (Exception, SystemExit) as error:
        return Trouble(source.title, f"cannot be loaded: {type(error).__name__}: {_line(error)}",
                       error, names)
    if not host.get_hookcallers(plugin):
        return Trouble(source.title, "brings nothing: none of its functions is marked with "
                                     "@ssdreg.hookimpl", names=names)
    return None


def _add(host: pluggy.PluginManager, plugin: Any, title: str) -> None:
    """Register one plug-in whose hooks are known and of a version that is spoken here."""
    wanted = getattr(plugin, "ssdreg_hooks", None)
    if wanted is not None:
        from packaging.specifiers import SpecifierSet
        if not SpecifierSet(wanted).contains(hookspecs.VERSION):
            raise PluginError(f"it was written for hooks {wanted}, and these are "
                              f"{hookspecs.VERSION}")
    host.register(plugin, name=title)
    try:
        host.check_pending()  # raises for a misspelt hook
    except pluggy.PluginValidationError:
        host.unregister(name=title)
        raise


@cache
@garbage_kept()
def registry() -> Registry:
    """Ask every plug-in, the built-in ones first, what it declares."""
    found: dict[str, Names] = {}
    troubles: list[Trouble] = []
    for hook in KINDS:
        declared, wrong = _ask(hook)
        found[hook], quarrels = settle(declared)
        troubles += [*wrong, *quarrels]
    for trouble in troubles:
        trouble.warn()
    return Registry(found["ssdreg_backbones"], found["ssdreg_heads"], found["ssdreg_weights"],
                    tuple(troubles))


def _ask(hook: str) -> tuple[list[Declared], list[Trouble]]:
    """Call one hook of every plug-in, in the order of registration.

    pluggy calls the latest registration first; a name belongs to whoever was there before.
    """
    order = {name: place for place, (name, _) in enumerate(manager().list_name_plugin())}
    arguments = hook_arguments()
    declared: list[Declared] = []
    troubles: list[Trouble] = []
    for implementation in sorted(getattr(manager().hook, hook).get_hookimpls(),
                                 key=lambda each: order[each.plugin_name]):
        title = implementation.plugin_name
        for argument in set(hookspecs.DEPRECATED_ARGUMENTS).intersection(implementation.argnames):
            Trouble(title, f"takes the argument {argument!r} in {hook}, which is deprecated: "
                           f"{hookspecs.DEPRECATED_ARGUMENTS[argument]}").warn()
        items: list[Declared] = []
        try:
            for item in implementation.function(**{name: arguments[name]
                                                   for name in implementation.argnames}):
                if isinstance(item, KINDS[hook]):
                    items.append(Declared(item, title))
                else:
                    troubles.append(Trouble(title, f"yielded {item!r} from {hook}, which is no "
                                                   f"{KINDS[hook].__name__}"))
        except (Exception, SystemExit) as error:
            names = {fold(name) for each in items for name in each.names}
            names |= {fold(part) for part in title.split(":")}
            troubles.append(Trouble(
                title, f"raised {type(error).__name__} in {hook}: {_line(error)}; nothing of it "
                       f"was taken", error, frozenset(names)))
            continue
        declared += items
    return declared, troubles


def hook_arguments() -> dict[str, Any]:
    """Return what a hook may take, by name."""
    return {"host": hookspecs.Host(__version__, hookspecs.VERSION), "version": __version__}


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


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
            manager().unregister(name=self._title)
            self._title = None
            registry.cache_clear()


def register(plugin: Any, name: str | None = None) -> Registration:
    """Register a module, or any object with hooks, for a notebook or a test.

    `name` stands for its distribution in messages and in ``distribution:name``; the plug-in's own
    ``__name__`` by default. It is undone by `close`, or by using it as a context.

    Raises PluginError when it has no hook, a misspelt one, or when the name is taken.
    """
    title = str(name or getattr(plugin, "__name__", type(plugin).__name__))
    if manager().has_plugin(title):
        raise PluginError(f"a plug-in called {title!r} is registered already: close that first")
    try:
        _add(manager(), plugin, title)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"{title!r} cannot be registered: {_line(error)}") from error
    if not manager().get_hookcallers(plugin):
        manager().unregister(name=title)
        raise PluginError(f"{title!r} brings nothing: none of its functions is marked with "
                          f"@ssdreg.hookimpl")
    registry.cache_clear()
    return Registration(title)


def forget() -> None:
    """Forget what was loaded, so that it is loaded anew; by-hand registrations are lost."""
    loaded.cache_clear()
    registry.cache_clear()


def backbones() -> tuple[Backbone, ...]:
    """Return every registered backbone, by family and depth."""
    return tuple(sorted(registry().backbone.items.values(),
                        key=lambda backbone: (backbone.family, backbone.depth, backbone.name)))


def heads() -> tuple[Head, ...]:
    """Return every registered head, by name."""
    return tuple(sorted(registry().head.items.values(), key=lambda head: head.name))


def declared_weights() -> tuple[Weights, ...]:
    """Return all declared weights, in the order of their plug-ins."""
    return tuple(registry().weight.items.values())


def get_backbone(name: str | Backbone) -> Backbone:
    """Return the backbone called `name` (``ResNet-101`` and ``resnet_101`` are ``resnet101``).

    ``distribution:name`` is what that distribution brings. A `Backbone` is returned as it is.
    Raises UnknownNameError, which lists close matches, or the qualified names of a name that two
    distributions want; and PluginError, with the cause chained, when its plug-in failed.
    """
    if isinstance(name, Backbone):
        return name
    return cast(Backbone, _look_up("backbone", name, registry().backbone))


def get_head(name: str | Head) -> Head:
    """Return the head called `name`; see :func:`get_backbone`."""
    if isinstance(name, Head):
        return name
    return cast(Head, _look_up("head", name, registry().head))


def same_name(left: str, right: str) -> bool:
    """Tell whether two spellings are the same name."""
    return fold(left) == fold(right)


def _look_up(kind: str, name: str, names: Names) -> Backbone | Head:
    key = fold(name)
    title = names.found.get(key)
    if title is not None:
        return cast("Backbone | Head", names.items[title])
    if key in names.contested:
        raise UnknownNameError(f"two plug-ins bring a {kind} called {name!r}: say "
                               f"{' or '.join(names.contested[key])}")
    _raise_lost(kind, name)
    by_key = {fold(alias): each for each in names.items.values() for alias in names_of(each)}
    close = [by_key[found].name
             for found in difflib.get_close_matches(key, by_key, n=3, cutoff=0.5)]
    hint = (f"did you mean {' or '.join(dict.fromkeys(close))}?" if close
            else f"there are {', '.join(sorted(names.items))}.")
    out = len({trouble.plugin for trouble in _failures()})
    others = (f" ({out} {'plug-in is' if out == 1 else 'plug-ins are'} disabled or failed, in "
              f"whole or in part: see `ssdreg plugins`)" if out else "")
    raise UnknownNameError(
        f"no {kind} is called {name!r}: {hint} `ssdreg list` shows all; more come from "
        f"packages that declare an entry point in the group {hookspecs.NAMESPACE!r}{others}.")


def _raise_lost(kind: str, name: str) -> None:
    """Raise PluginError when `name` is what a plug-in that failed, or is forbidden, would bring."""
    owner, colon, bare = name.rpartition(":")
    for trouble in _failures():
        distribution = trouble.plugin.partition(":")[0]
        if (trouble.names and fold(owner) == fold(distribution) if colon
                else fold(bare) in trouble.names):
            raise PluginError(f"the {kind} {name!r} cannot be had: its plug-in {trouble.plugin} "
                              f"{trouble.reason}") from trouble.error


def _failures() -> Iterator[Trouble]:
    yield from loaded().troubles
    yield from registry().troubles
    for title, reason in loaded().forbidden.items():
        source = loaded().sources[title]
        yield Trouble(title, f"is {reason}",
                      names=frozenset({fold(source.name), fold(source.distribution)}))
