"""Published detectors, judged by their taps: `ssdreg.audit`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ssdreg.auditing.audited import Audit
from ssdreg.auditing.configurations import audit_configurations
from ssdreg.auditing.gluoncv_presets import audit_gluoncv
from ssdreg.auditing.symbols import audit_symbol
from ssdreg.errors import AuditError, SsdregError
from ssdreg.graph.symbol_file import MAX_BYTES

#: Of a symbol whose input size is not given, in pixels.
DATA_SHAPE = 300


def audit(file: str | os.PathLike[str] | None = None, *, gluoncv: bool = False,
          layers: str | Sequence[str] = (), data_shape: int | tuple[int, int] | None = None,
          num_classes: int = 20) -> Audit:
    """Judge the taps of published detectors, as ``ssdreg audit`` does.

    - `file`: the symbol of a backbone (JSON), tapped at `layers`; or configurations: the SSD
      example's ``symbol_factory.py``, which is read and not executed, or a dictionary with its
      fields as JSON or Python literal
    - `gluoncv`: instead of a file, all SSD presets of the installed GluonCV
    - `data_shape`: the input's side in pixels, or (height, width) of a symbol; without it 300 for a
      symbol, and for configurations 300 and 512
    - `num_classes`: without background, for counting parameters

    Raises SsdregError where these do not go together, AuditError for a file that cannot be read,
    DependencyError without GluonCV.
    """
    if gluoncv:
        if file is not None:
            raise SsdregError("a file is audited, or the presets of GluonCV: give one of the two")
        if data_shape or layers:
            raise SsdregError("--gluoncv audits every preset with its own layers at its own input "
                              "size: leave out --layers and --data-shape")
        return audit_gluoncv()
    if file is None:
        raise SsdregError("nothing is named to be audited: give a file, or gluoncv=True")
    if num_classes < 1:
        raise SsdregError(f"--num-classes {num_classes}: at least one class is needed "
                          f"(the background is not counted)")
    path = Path(file)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from error
    if _is_symbol(path):
        shape = data_shape or DATA_SHAPE
        names = [layer for layer in (layers.split(",") if isinstance(layers, str) else layers)
                 if layer.strip()]
        return audit_symbol(path, names, (shape, shape) if isinstance(shape, int) else shape,
                            num_classes)
    if layers:
        raise SsdregError(f"{path} is no symbol: --layers are for symbols, the layers of "
                          f"a configuration are read from it")
    if isinstance(data_shape, tuple):
        raise SsdregError("a configuration is made for square inputs: give --data-shape as a side")
    return audit_configurations(path, data_shape, num_classes)


def _is_symbol(file: Path) -> bool:
    """Tell a symbol from a configuration in JSON; whatever ends in .py is a configuration."""
    if file.suffix == ".py":
        return False
    if file.stat().st_size > MAX_BYTES:
        raise SsdregError(f"{file} has {file.stat().st_size:,} bytes: no symbol or configuration "
                          f"is that large")
    try:
        value = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return file.suffix == ".json"  # a damaged file: MXNet's reader reports the error
    return isinstance(value, dict) and "nodes" in value
