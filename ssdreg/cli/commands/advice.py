"""Commands that a message recommends, written so that a shell takes them as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """Write a command with its words quoted where they must be: a folder may have a space.

    A word in capitals, such as ``IMAGE``, stands for what the reader fills in.
    """
    return shlex.join(map(str, words))
