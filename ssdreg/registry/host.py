"""The plug-in host: who is registered, and what a name stands for."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, cast

import pluggy

from ssdreg.errors import PluginError, UnknownNameError
from ssdreg.registry import hookspecs
from ssdreg.registry import loading as plugin_loading
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.declarations import hook_arguments, registry
from ssdreg.registry.head import Head
from ssdreg.registry.issues import PluginIssue, said
from ssdreg.registry.loading import MODULES, add, by_hand, loaded
from ssdreg.registry.names import BUILT_IN, Names, fold, names_of
from ssdreg.registry.weights import Weights

__all__ = ["MODULES", "Registration", "forget", "get_backbone", "get_head", "hook_arguments",
           "list_backbones", "list_heads", "list_weights", "manager", "register", "registry",
           "same_name"]


def manager() -> pluggy.PluginManager:
    """Return the plug-in manager, with the built-in and the installed plug-ins registered."""
    return loaded().manager


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
            del by_hand[self._title]
            self._title = None
            registry.cache_clear()


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
        add(host, plugin, title)
    except PluginError as error:
        raise PluginError(f"{title!r} cannot be registered: it {error}") from error
    except Exception as error:  # a stranger's object may raise anything when it is looked at
        raise PluginError(f"{title!r} cannot be registered: {said(error)}") from error
    for note in host.notes[noted:]:
        note.warn("")
    by_hand[title] = plugin
    registry.cache_clear()
    return Registration(title)


def forget() -> None:
    """Forget what was loaded, so that it is loaded anew; registrations by hand stay."""
    plugin_loading.forget()
    registry.cache_clear()


def list_backbones() -> tuple[Backbone, ...]:
    """Return every registered backbone, by family and depth."""
    return tuple(sorted(registry().backbone.items.values(),
                        key=lambda backbone: (backbone.family, backbone.depth, backbone.name)))


def list_heads() -> tuple[Head, ...]:
    """Return every registered head, by name."""
    return tuple(sorted(registry().head.items.values(), key=lambda head: head.name))


def list_weights() -> tuple[Weights, ...]:
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
        raise UnknownNameError(f"several plug-ins bring a {kind} called {name!r}: say "
                               f"{' or '.join(names.contested[key])}")
    _raise_lost(kind, name)
    # imported only here: most names are right
    from ssdreg.registry.suggestions import close, some
    by_key = {fold(alias): each for each in names.items.values() for alias in names_of(each)}
    meant = [by_key[found].name for found in close(key, by_key)]
    hint = (f"did you mean {' or '.join(dict.fromkeys(meant))}?" if meant
            else f"there are {some(sorted(names.items))}.")
    out = len({issue.plugin for issue in _failures()})
    others = (f" ({out} {'plug-in is' if out == 1 else 'plug-ins are'} disabled or failed, in "
              f"whole or in part: see `ssdreg plugins`)" if out else "")
    raise UnknownNameError(
        f"no {kind} is called {name!r}: {hint} `ssdreg list` shows all; more come from "
        f"packages that declare an entry point in the group {hookspecs.NAMESPACE!r}{others}."
    ) from _likely_cause()


def _raise_lost(kind: str, name: str) -> None:
    """Raise PluginError when `name` is what a plug-in that failed, or is forbidden, would bring."""
    owner, colon, bare = name.rpartition(":")
    for issue in _failures():
        distribution = issue.plugin.partition(":")[0]
        if (issue.names and fold(owner) == fold(distribution) if colon
                else fold(bare) in issue.names):
            raise PluginError(f"the {kind} {name!r} cannot be had: its plug-in {issue.plugin} "
                              f"{issue.reason}") from issue.error


def _likely_cause() -> BaseException | None:
    """Return the error of the one plug-in that could not be loaded, if it is one.

    Nobody knows what it would have brought; of several, nobody knows whose the name is.
    """
    errors = [issue.error for issue in loaded().issues if issue.error is not None]
    return errors[0] if len(errors) == 1 else None


def _failures() -> Iterator[PluginIssue]:
    yield from loaded().issues
    yield from registry().issues
    for title, reason in loaded().forbidden.items():
        entry_point = loaded().entry_points[title]
        yield PluginIssue(title, f"is {reason}",
                          names=frozenset({fold(entry_point.name), fold(entry_point.distribution)}))
