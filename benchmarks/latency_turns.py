"""`serve` of ssdreg/bench/protocol.py, loaded as a file: peers' Pythons may have no ssdreg."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parents[1] / "ssdreg" / "bench" / "protocol.py"
_spec = importlib.util.spec_from_file_location("ssdreg_bench_turns", _FILE)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
serve = _module.serve
