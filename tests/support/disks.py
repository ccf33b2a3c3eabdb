"""Disks that are really full: small file systems in memory, where this user may mount them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Yield a folder that holds so many bytes; skip the test where none can be made."""
    folder.mkdir()
    mounted = _call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # what is still open does not keep it
        _call("umount", "--lazy", folder)


def resize(folder: Path, size: int) -> None:
    """Give a small disk another size in bytes."""
    done = _call("mount", "-o", f"remount,size={size}", folder)
    assert done.returncode == 0, done.stderr


def _call(*words: object) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess([], 1, "", str(error))
