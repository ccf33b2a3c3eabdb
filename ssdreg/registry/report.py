"""Every plug-in with what it brings, or why it does not."""

from __future__ import annotations

from attrs import frozen

from ssdreg._version import __version__
from ssdreg.registry.host import BUILT_IN, loaded
from ssdreg.registry.names import Names, registry

OK, PARTLY, FAILED, DISABLED = "ok", "partly", "failed", "disabled"


@frozen(kw_only=True)
class PluginReport:
    """One plug-in: whose it is, its state, what it brings by name, and what is wrong in a line."""

    distribution: str
    version: str
    plugin: str
    state: str
    backbones: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    data_formats: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def brings(self) -> str:
        """What it brings, counted."""
        counted = ((self.backbones, "backbone"), (self.heads, "head"), (self.weights, "weights"),
                   (self.detectors, "detector"), (self.data_formats, "data format"),
                   (self.engines, "engine"))
        return ", ".join(f"{len(names)} {word}{'s' if len(names) > 1 and word != 'weights' else ''}"
                         for names, word in counted if names)


def reports() -> tuple[PluginReport, ...]:
    """Report on the built-in, the installed and the registered plug-ins, in this order."""
    host = loaded()
    titles = dict.fromkeys([*(name for name, _ in host.manager.list_name_plugin()
                              if name.partition(":")[0] == BUILT_IN),
                            *host.entry_points,
                            *(name for name, _ in host.manager.list_name_plugin())])
    return tuple(_report(title) for title in titles)


def _report(title: str) -> PluginReport:
    host, registered = loaded(), registry()
    entry_point = host.entry_points.get(title)
    owner, _, name = title.partition(":")
    wrong = [issue for issue in (*host.issues, *registered.issues) if issue.plugin == title]
    brought = [_brought(names, title) for names in (
        registered.backbone, registered.head, registered.weight, registered.detector,
        registered.data_format, registered.engine)]
    notes = [note for note in host.notes if note.plugin == title]
    reasons = tuple(issue.reason for issue in (*wrong, *notes))
    if title in host.forbidden:
        state, reasons = DISABLED, (host.forbidden[title],)
    elif wrong:
        state = PARTLY if any(brought) else FAILED
    else:
        state = OK
    version = entry_point.version if entry_point else (__version__ if owner == BUILT_IN else "")
    return PluginReport(distribution=entry_point.distribution if entry_point else owner,
                        version=version,
                        plugin=name or title, state=state, backbones=brought[0], heads=brought[1],
                        weights=brought[2], detectors=brought[3], data_formats=brought[4],
                        engines=brought[5],
                        reasons=reasons)


def _brought(names: Names, title: str) -> tuple[str, ...]:
    return tuple(sorted(name for name, plugin in names.plugins.items() if plugin == title))
