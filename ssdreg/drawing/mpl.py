"""Matplotlib, ready to draw: the only module here that imports it.

On import it searches a folder for its settings and its list of fonts, and runs fontconfig, which
searches one too. Where neither a home nor another folder can be written, both print lines about
that. Here they get a folder of ssdreg's cache instead.

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

_MATPLOTLIB_FOLDER, _CONFIG = "MPLCONFIGDIR", "XDG_CONFIG_HOME"


def settings() -> Mapping[str, str]:
    """Return the environment variables that matplotlib needs to find a folder; mostly none."""
    configured = os.environ.get(_MATPLOTLIB_FOLDER)
    if configured:
        cache = caches.Cache(Path(configured), _MATPLOTLIB_FOLDER, "matplotlib")
        folder = cache.folder()
        if folder == cache.preferred:
            return {}
    else:
        defaults = [_default_folder(_CONFIG, ".config"),
                    _default_folder(caches.VARIABLE, ".cache")]
        if not any(default is None or caches.is_unwritable(default / "matplotlib")
                   for default in defaults):
            return {}
        folder = caches.cache("matplotlib").folder()
    return {_MATPLOTLIB_FOLDER: str(folder), caches.VARIABLE: str(folder.parent)}


def _default_folder(variable: str, name: str) -> Path | None:
    """Return the folder that matplotlib and fontconfig use by default; None without a home."""
    configured, home = os.environ.get(variable), caches.home()
    return Path(configured) if configured else home and home / name


@contextmanager
def _writable_folders() -> Iterator[None]:
    """Set the variables of `settings` for a while; matplotlib keeps the folders it finds first."""
    if "matplotlib.font_manager" in sys.modules:  # imported before, with its folders
        yield
        return
    before = dict(os.environ)
    os.environ.update(settings())
    try:
        yield
    finally:
        for name in (_MATPLOTLIB_FOLDER, caches.VARIABLE):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


with _writable_folders():
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
