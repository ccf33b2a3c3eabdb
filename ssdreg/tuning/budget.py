"""A budget of wall time."""

from __future__ import annotations

import time


class Budget:
    """So many seconds from now on, of a budget of which some may be spent already."""

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        self.seconds = seconds
        self._began = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """The seconds that are gone."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """The seconds that are left; below 0 where it is overdrawn."""
        return self.seconds - self.spent
