"""What all plug-ins declare, asked once, and what went wrong while they were asked."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import attrs
from attrs import frozen

from ssdreg._version import __version__
from ssdreg.registry import hookspecs
from ssdreg.registry.backbone import Backbone
from ssdreg.registry.issues import PluginIssue, message
from ssdreg.registry.loading import KINDS, loaded
from ssdreg.registry.names import Declared, Names, claiming, fold, settle


@frozen(eq=False)
class Registry:
    """Everything declared, and what went wrong while it was asked for."""

    backbone: Names
    head: Names
    weight: Names
    issues: tuple[PluginIssue, ...]

    @property
    def backbones(self) -> dict[str, Backbone]:
        """The backbones by the names they are listed under."""
        return self.backbone.items


@cache
def registry() -> Registry:
    """Ask every plug-in, the built-in ones first, what it declares."""
    host = loaded()
    with redirect_stdout(sys.stderr):  # as while they are loaded
        asked = {hook: _ask(hook) for hook in KINDS}
    backbone, quarrels = settle(asked["ssdreg_backbones"][0])
    head, others = settle(asked["ssdreg_heads"][0])
    addressed, homeless = _address(asked["ssdreg_weights"][0], backbone)
    weight, doubles = settle(addressed)
    issues = (*(issue for _, wrong in asked.values() for issue in wrong),
              *quarrels, *others, *homeless, *doubles)
    for issue in issues:
        issue.warn(host.version(issue.plugin))
    return Registry(backbone, head, weight, issues)


def hook_arguments() -> dict[str, Any]:
    """Return what a hook may take, by name."""
    return {"host": hookspecs.Host(__version__, hookspecs.VERSION), "version": __version__}


def _ask(hook: str) -> tuple[list[Declared], list[PluginIssue]]:
    """Call one hook of every plug-in, in the order of registration.

    pluggy calls the latest registration first; a name belongs to whoever was there before.
    """
    host = loaded().manager
    order = {name: place for place, (name, _) in enumerate(host.list_name_plugin())}
    arguments = hook_arguments()
    declared: list[Declared] = []
    issues: list[PluginIssue] = []
    for implementation in sorted(getattr(host.hook, hook).get_hookimpls(),
                                 key=lambda each: order[each.plugin_name]):
        title = implementation.plugin_name
        items: list[Declared] = []
        try:
            for item in implementation.function(**{name: arguments[name]
                                                   for name in implementation.argnames}):
                if isinstance(item, KINDS[hook]):
                    items.append(Declared(item, title))
                else:
                    issues.append(PluginIssue(title, f"yielded {reprlib.repr(item)} from {hook}, "
                                                   f"which is no {KINDS[hook].__name__}"))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a stranger's function may raise anything
            names = {fold(name) for each in items for name in each.names}
            names |= {fold(part) for part in title.split(":")}
            issues.append(PluginIssue(
                title, f"raised {type(error).__name__} in {hook}: {message(error)}; nothing of it "
                       f"was taken", error, frozenset(names)))
            continue
        for each in items:
            wrong = claiming(each)
            if wrong is None:
                declared.append(each)
            else:
                issues.append(wrong)
    return declared, issues


def _address(declared: Sequence[Declared], backbones: Names
             ) -> tuple[list[Declared], list[PluginIssue]]:
    """Let weights name their backbone as it is listed.

    A distribution's weights are for its own backbone first; for a name that several others bring
    they have to say which.
    """
    addressed: list[Declared] = []
    issues: list[PluginIssue] = []
    for each in declared:
        wanted = each.item.backbone
        anybodys = backbones.found.get(fold(wanted))
        own = backbones.found.get(fold(f"{each.distribution}:{wanted}"))
        if own is not None and own != anybodys:
            each = attrs.evolve(each, item=attrs.evolve(each.item, backbone=own))
        elif fold(wanted) in backbones.contested:
            issues.append(PluginIssue(each.plugin, (
                f"brings {each.item.title!r}, and several plug-ins a backbone of that name: it "
                f"must be for {' or '.join(backbones.contested[fold(wanted)])}; it was left out")))
            continue
        elif ":" in wanted and anybodys is not None:
            each = attrs.evolve(each, item=attrs.evolve(each.item, backbone=anybodys))
        addressed.append(each)
    return addressed, issues
