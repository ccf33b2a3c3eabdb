"""Which name every declaration is listed under.

A built-in name cannot be taken. What two distributions call the same is told apart as
``distribution:name``, and so is what has the name of a built-in; the bare name, where two third
parties want it, is an error that lists them. Of weights the earlier keep the name. A colon is
therefore no part of anybody's own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Union

import attrs
from attrs import field, frozen

from ssdreg.registry.backbone import Backbone
from ssdreg.registry.head import Head
from ssdreg.registry.issues import PluginIssue
from ssdreg.registry.weights import Weights

Declaration = Union[Backbone, Head, Weights]

#: Whose plug-ins are ssdreg's own.
BUILT_IN = "ssdreg"

_IGNORED = str.maketrans("", "", "-_. ")


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
class Names:
    """The declarations of one kind, by the name each is listed under.

    `found` leads from every folded name, aliases and qualified names among them, to that; and
    `contested` from a name that two distributions want to the qualified ones.
    """

    items: dict[str, Any] = field(factory=dict)
    plugins: dict[str, str] = field(factory=dict)
    found: dict[str, str] = field(factory=dict)
    contested: dict[str, tuple[str, ...]] = field(factory=dict)


def fold(name: str) -> str:
    """Fold the spellings of one name: case, hyphens, underscores, dots and spaces do not count."""
    return name.lower().translate(_IGNORED)


def names_of(item: Declaration) -> tuple[str, ...]:
    """Return all that a declaration is called, its own name first."""
    return (item.title,) if isinstance(item, Weights) else (item.name, *item.aliases)


def settle(declared: Sequence[Declared]) -> tuple[Names, list[PluginIssue]]:
    """Give every declaration the name it is listed under; say what cannot have its own."""
    names, issues = Names(), []
    own = [each for each in declared if each.distribution == BUILT_IN]
    others, again = _once([each for each in declared if each.distribution != BUILT_IN])
    reserved = {fold(name): each.item for each in own for name in each.names}
    # weights go by their order: the earlier is the default, and keeps its name
    wanted = _wanted_by(each for each in others if not isinstance(each.item, Weights))
    names.contested.update({key: tuple(sorted(qualified)) for key, qualified in wanted.items()
                            if len(qualified) > 1 and key not in reserved})
    for each in own:
        issues += _enter(names, each, each.item)
    for each in others:
        item = each.item
        title, *_ = each.names
        if fold(title) in reserved:
            issues.append(PluginIssue(each.plugin, (
                f"brings {title!r}, which is the name of a built-in: it can be had as "
                f"{each.distribution}:{title}")))
            item = _qualified(each)
        elif fold(title) in names.contested or (isinstance(item, Weights)
                                                and _others(names, each, title)):
            item = _qualified(each)
        issues += _enter(names, each, item)
    for each, first in again:
        listed = names.found.get(fold(f"{first.distribution}:{first.names[0]}"))
        if listed is not None:
            names.found.setdefault(fold(f"{each.distribution}:{each.names[0]}"), listed)
    return names, issues


def _once(declared: Sequence[Declared]) -> tuple[list[Declared], list[tuple[Declared, Declared]]]:
    """Keep the first of declarations that are the same, whoever brings them.

    A plug-in that is installed and registered by hand too is no rival of itself. The others come
    with the one that they repeat. What one distribution declares twice is left to its quarrel.
    """
    once: list[Declared] = []
    again: list[tuple[Declared, Declared]] = []
    for each in declared:
        first = next((other for other in once if other.distribution != each.distribution
                      and other.item == each.item), None)
        if first is None:
            once.append(each)
        else:
            again.append((each, first))
    return once, again


def _others(names: Names, each: Declared, title: str) -> bool:
    """Tell whether another distribution has this name already."""
    found = names.found.get(fold(title))
    return found is not None and names.plugins[found].partition(":")[0] != each.distribution


def claiming(declared: Declared) -> PluginIssue | None:
    """Say which name of a declaration is none that it may choose, if there is one."""
    item = declared.item
    for name in (item.name,) if isinstance(item, Weights) else declared.names:
        if ":" in name:
            return PluginIssue(declared.plugin, (
                f"brings {name!r}: a colon stands between a distribution and a name, and is no "
                f"part of one; it was left out"), names=frozenset(map(fold, declared.names)))
    return None


def _wanted_by(declared: Iterable[Declared]) -> dict[str, dict[str, None]]:
    """Return, for each folded name, the qualified names of the distributions that want it."""
    wanted: dict[str, dict[str, None]] = {}
    for each in declared:
        title, *_ = each.names
        for name in each.names:
            wanted.setdefault(fold(name), {})[f"{each.distribution}:{title}"] = None
    # a distribution that declares a name twice has a quarrel with itself alone: the first stands
    return {key: dict.fromkeys({title.partition(":")[0]: title for title in reversed(titles)
                                }.values()) for key, titles in wanted.items()}


def _qualified(each: Declared) -> Any:
    """Return a declaration under its qualified name."""
    return attrs.evolve(each.item, name=f"{each.distribution}:{each.item.name}")


def _enter(names: Names, each: Declared, item: Any) -> list[PluginIssue]:
    """Enter one declaration, under the names that are free."""
    issues: list[PluginIssue] = []
    title, *aliases = names_of(item)
    key = fold(title)
    if key in names.found:
        return [PluginIssue(each.plugin, f"brings {title!r}, which {names.found[key]!r} of "
                                     f"{names.plugins[names.found[key]]} is called already: it "
                                     f"was left out", names=frozenset({key}))]
    free = []
    for alias in aliases:
        taken = names.found.get(fold(alias))
        if taken not in (None, title):
            issues.append(PluginIssue(each.plugin, f"brings {title!r} with the alias {alias!r}, "
                                                 f"which is {taken!r}: it goes without"))
        elif fold(alias) not in names.contested:
            free.append(alias)
    if len(free) < len(aliases):
        item = attrs.evolve(item, aliases=tuple(free))
    names.items[title], names.plugins[title] = item, each.plugin
    for name in (title, *free):
        names.found[fold(name)] = title
    for name in each.names:
        names.found.setdefault(fold(f"{each.distribution}:{name}"), title)
    return issues
