"""The plug-in host: who is registered, and what a name stands for."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import distributions
from typing import Any, TypeVar, Union

import pluggy
from attrs import field, frozen

from ssdreg import hookspecs
from ssdreg.backbone import Backbone
from ssdreg.errors import UnknownNameError
from ssdreg.head import Head
from ssdreg.weights.declaration import Weights

Declaration = TypeVar("Declaration", bound=Union[Backbone, Head])

#: The plug-ins that come with ssdreg: modules like any other, registered before all others.
BUILT_IN = ("ssdreg.backbones", "ssdreg.heads")


class PluginWarning(UserWarning):
    """A plug-in could not be loaded or used; everything else goes on without it."""


@frozen
class Registry:
    """Everything declared, by exact name; weights by their title."""

    backbones: dict[str, Backbone] = field(factory=dict)
    heads: dict[str, Head] = field(factory=dict)
    weights: dict[str, Weights] = field(factory=dict)


@cache
def manager() -> pluggy.PluginManager:
    """Return the plug-in manager, with the built-in and the installed plug-ins registered."""
    host = pluggy.PluginManager(hookspecs.NAMESPACE)
    host.add_hookspecs(hookspecs)
    for module in BUILT_IN:
        host.register(import_module(module), name=module)
    for name, entry_point in _entry_points():
        # A stranger's module may raise anything while it is imported; it must not take the
        # other plug-ins down with it, and the warning tells whose it is.
        try:
            plugin = entry_point.load()
            host.register(plugin, name=name)
            host.check_pending()  # raises for a misspelt hook
        except Exception as error:
            _warn(name, f"cannot be loaded: {type(error).__name__}: {error}")
            if host.has_plugin(name):
                host.unregister(name=name)
            continue
        if not host.get_hookcallers(plugin):
            _warn(name, "brings nothing: none of its functions is marked with @ssdreg.hookimpl")
    return host


def _entry_points() -> Iterator[tuple[str, Any]]:
    """Yield installed entry points of the group, each under a name that tells its owner."""
    seen = set()
    for distribution in distributions():
        # found twice (installed, and its sources in the working folder), the first one counts
        owner = distribution.metadata["Name"]
        if owner in seen:
            continue
        seen.add(owner)
        for entry_point in distribution.entry_points:
            if entry_point.group == hookspecs.NAMESPACE:
                yield f"{owner}:{entry_point.name}", entry_point


@cache
def registry() -> Registry:
    """Ask every plug-in, the built-in ones first, what it declares."""
    found = Registry()
    for hook, kind, declared in (("ssdreg_backbones", Backbone, found.backbones),
                                 ("ssdreg_heads", Head, found.heads),
                                 ("ssdreg_weights", Weights, found.weights)):
        # pluggy calls the latest registration first: ask in the order of registration instead,
        # so that a name belongs to whoever was there before
        order = [name for name, _ in manager().list_name_plugin()]
        for implementation in sorted(getattr(manager().hook, hook).get_hookimpls(),
                                     key=lambda each: order.index(each.plugin_name)):
            _collect(implementation.plugin_name, implementation.function, kind, declared)
    return found


def _collect(plugin: str, hook: Any, kind: type[Any], declared: dict[str, Any]) -> None:
    """Add what one plug-in's hook yields; warn about what cannot be taken."""
    taken = {_key(name): title for title, item in declared.items() for name in _names(item)}
    try:
        items = list(hook())
    except Exception as error:
        _warn(plugin, f"raised {type(error).__name__} in {hook.__name__}: {error}")
        return
    for item in items:
        if not isinstance(item, kind):
            _warn(plugin, f"yielded {item!r} from {hook.__name__}, which is no {kind.__name__}")
            continue
        title, *_ = names = _names(item)
        clash = [name for name in names if _key(name) in taken]
        if clash:
            _warn(plugin, f"{clash[0]!r} of its {title!r} is taken "
                          f"by {taken[_key(clash[0])]!r}; it was left out")
            continue
        declared[title] = item
        taken.update((_key(name), title) for name in names)


def _names(item: Backbone | Head | Weights) -> tuple[str, ...]:
    """Return all that a declaration is called, its own name first."""
    return (item.title,) if isinstance(item, Weights) else (item.name, *item.aliases)


def _warn(plugin: str, reason: str) -> None:
    warnings.warn(f"plug-in {plugin} {reason}", PluginWarning, stacklevel=2)


def backbones() -> tuple[Backbone, ...]:
    """Return every registered backbone, by family and depth."""
    return tuple(sorted(registry().backbones.values(),
                        key=lambda backbone: (backbone.family, backbone.depth, backbone.name)))


def heads() -> tuple[Head, ...]:
    """Return every registered head, by name."""
    return tuple(sorted(registry().heads.values(), key=lambda head: head.name))


def declared_weights() -> tuple[Weights, ...]:
    """Return all weights that are declared, in that order: a backbone's default before others."""
    return tuple(registry().weights.values())


def get_backbone(name: str | Backbone) -> Backbone:
    """Return the backbone called `name` (``ResNet-101`` and ``resnet_101`` are ``resnet101``).

    A `Backbone` is returned as it is. Raises UnknownNameError, which lists close matches.
    """
    return name if isinstance(name, Backbone) else _look_up("backbone", name, backbones())


def get_head(name: str | Head) -> Head:
    """Return the head called `name`; see :func:`get_backbone`."""
    return name if isinstance(name, Head) else _look_up("head", name, heads())


def _look_up(kind: str, name: str, declared: Iterable[Declaration]) -> Declaration:
    by_key = {_key(alias): each for each in declared for alias in (each.name, *each.aliases)}
    found = by_key.get(_key(name))
    if found is not None:
        return found
    close = difflib.get_close_matches(_key(name), by_key, n=3, cutoff=0.5)
    names = list(dict.fromkeys(by_key[key].name for key in close))
    hint = (f"did you mean {' or '.join(names)}?" if names
            else f"there are {', '.join(sorted({each.name for each in by_key.values()}))}.")
    raise UnknownNameError(
        f"no {kind} is called {name!r}: {hint} `ssdreg list` shows all; more come from "
        f"packages that declare an entry point in the group {hookspecs.NAMESPACE!r}.")


def same_name(one: str, other: str) -> bool:
    """Tell whether two names are spellings of one."""
    return _key(one) == _key(other)


def _key(name: str) -> str:
    """Fold the spellings of one name: case, hyphens, underscores, dots and spaces do not count."""
    return re.sub(r"[-_. ]", "", name.lower())
