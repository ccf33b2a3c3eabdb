"""Sources of other packages, parsed."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path


def parse(file: Path) -> ast.Module:
    """Parse a file without a word about how its texts are written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(file.read_text(encoding="utf-8"))
