"""The hooks a plug-in may implement. The namespace, and the entry-point group, is ``ssdreg``."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from ssdreg.backbone import Backbone
from ssdreg.head import Head
from ssdreg.weights.declaration import Weights

NAMESPACE = "ssdreg"

hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def ssdreg_backbones() -> Iterable[Backbone]:  # type: ignore[empty-body]
    """Yield the backbones this plug-in brings.

    Called once, when the first name is looked up. Declare only: building a symbol or importing
    MXNet here would slow down every command.
    """


@hookspec
def ssdreg_heads() -> Iterable[Head]:  # type: ignore[empty-body]
    """Yield the detection heads this plug-in brings. Called once, like ``ssdreg_backbones``."""


@hookspec
def ssdreg_weights() -> Iterable[Weights]:  # type: ignore[empty-body]
    """Yield the weights this plug-in knows of, its own backbones' or others'.

    Called once, like ``ssdreg_backbones``. Declare only: nothing may be looked for or fetched here.
    """
