"""The hooks a plug-in may implement. The namespace, and the entry-point group, is ``ssdreg``.

An implementation takes the arguments it wants, by name, or none.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy
from attrs import frozen

from ssdreg.registry.backbone import Backbone
from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.engine import Engine
from ssdreg.registry.entry_points import GROUP
from ssdreg.registry.head import Head
from ssdreg.registry.weights import Weights

NAMESPACE = GROUP

#: The version of these specifications, and not of ssdreg. The first number rises when a hook or
#: a declaration changes so that a plug-in may have to; the second when something is added. A
#: plug-in may state the range it was written for: ``ssdreg_hooks = ">=1.0,<2"`` in its module.
VERSION = "1.3"

hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@frozen
class Host:
    """What a plug-in may want to know of who asks: the versions of ssdreg and of its hooks."""

    version: str
    hooks: str


#: Arguments that still work, by what a plug-in is told to use instead.
DEPRECATED_ARGUMENTS = {"version": "take `host` instead and read `host.version`"}


@hookspec
def ssdreg_backbones(host: Host, version: str) -> Iterable[Backbone]:  # type: ignore[empty-body]
    """Yield the backbones this plug-in brings.

    Called once, when the first name is looked up. Declare only: building a symbol or importing
    MXNet here would slow down every command. `version` is deprecated: read ``host.version``.
    """


@hookspec
def ssdreg_heads(host: Host, version: str) -> Iterable[Head]:  # type: ignore[empty-body]
    """Yield the detection heads this plug-in brings. Called once, like ``ssdreg_backbones``."""


@hookspec
def ssdreg_weights(host: Host, version: str) -> Iterable[Weights]:  # type: ignore[empty-body]
    """Yield the weights this plug-in knows of, its own backbones' or others'.

    Called once, like ``ssdreg_backbones``. Declare only: nothing may be looked for or fetched here.
    """


@hookspec
def ssdreg_detectors(host: Host,  # type: ignore[empty-body]
                     version: str) -> Iterable[DetectorWeights]:
    """Yield the detectors with weights that this plug-in knows of.

    Called once, like ``ssdreg_weights``. Declare only: nothing may be looked for or fetched here.
    """


@hookspec
def ssdreg_datasets(host: Host, version: str) -> Iterable[DataFormat]:  # type: ignore[empty-body]
    """Yield the formats of data sets this plug-in reads.

    Called once, when the first data set is opened or a format is looked up by its name. Declare
    only: nothing may be imported here that reading needs.
    """


@hookspec
def ssdreg_engines(host: Host, version: str) -> Iterable[Engine]:  # type: ignore[empty-body]
    """Yield the engines this plug-in brings: what trains and runs the symbols.

    Called once, when the first network is trained or run, or an engine is looked up. Declare only:
    what computes may be large, and is imported by the functions of the declaration.
    """
