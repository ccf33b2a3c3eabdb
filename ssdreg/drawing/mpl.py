"""Matplotlib, ready to draw: the only module here that imports it.

When it is imported it looks for a folder for its settings and its list of fonts, and asks
fontconfig, which looks for one too. Where neither a home nor another folder is there to be written,
both write lines about that. Here they are given a folder of ssdreg's cache instead.

Everything else in ssdreg writes ``from ssdreg.drawing.mpl import Figure`` and so on, inside the
function that draws, because importing it takes a while.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ssdreg_runtime.system import caches

_OWN, _CONFIG = "MPLCONFIGDIR", "XDG_CONFIG_HOME"


def settings() -> Mapping[str, str]:
    """Return the environment variables that matplotlib needs to find a folder; often none."""
    given = os.environ.get(_OWN)
    if given:
        kept = caches.Cache(Path(given), _OWN, "matplotlib")
        folder = kept.folder()
        if folder == kept.preferred:
            return {}
    else:
        wanted = [_of(_CONFIG, ".config"), _of(caches.VARIABLE, ".cache")]
        if not any(each is None or caches.is_unwritable(each / "matplotlib") for each in wanted):
            return {}
        folder = caches.cache("matplotlib").folder()
    return {_OWN: str(folder), caches.VARIABLE: str(folder.parent)}


def _of(variable: str, name: str) -> Path | None:
    """Return a folder as matplotlib and fontconfig find it."""
    given, home = os.environ.get(variable), caches.home()
    return Path(given) if given else home and home / name


@contextmanager
def _folders() -> Iterator[None]:
    """Set what `settings` returns; matplotlib remembers the folders that it found at first."""
    if "matplotlib.font_manager" in sys.modules:  # it has found them already
        yield
        return
    before = dict(os.environ)
    os.environ.update(settings())
    try:
        yield
    finally:
        for name in (_OWN, caches.VARIABLE):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


with _folders():
    import matplotlib
    import matplotlib.font_manager
    matplotlib.get_configdir()
    matplotlib.get_cachedir()

from matplotlib import rc_context  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.font_manager import FontProperties  # noqa: E402
from matplotlib.patches import Patch, Polygon, Rectangle  # noqa: E402
from matplotlib.textpath import text_to_path  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

__all__ = ["Axes", "Figure", "FigureCanvasAgg", "FontProperties", "MaxNLocator", "Patch", "Polygon",
           "Rectangle", "rc_context", "settings", "text_to_path"]
