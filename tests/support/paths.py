"""Where the project, its tests and the shared data lie."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent
#: Beside the project where there is one: a real data set, reference files.
SHARED = PROJECT.parent / "shared"
