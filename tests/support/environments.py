"""Fresh virtual environments, wheels of the sources, and programs that see nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from support import paths

PROJECT = paths.PROJECT
#: What is built here: neither is on an index.
SOURCES = {"ssdreg": PROJECT, "ssdreg-runtime": PROJECT / "runtime"}
#: Left out where sources are copied to be built: it is not packed, or in the way.
NOT_BUILT = (".*", "build", "dist", "*.egg-info", "__pycache__", "reference", "plugins")


def clean() -> dict[str, str]:
    """Return the environment without what would lead a Python to other packages.

    What the first program of a fresh environment compiles is kept there for those behind it,
    whatever is set here.
    """
    return {name: value for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MAKEFLAGS", "PYTHON",
                            "PYTHONDONTWRITEBYTECODE")}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program, away from the sources, and return what it prints."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=clean(),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@cache
def python_of(*versions: str) -> Path | None:
    """Return a Python of the first of these versions that is there and works, if any is."""
    found = subprocess.run([str(PROJECT / "tools" / "find-python")],
                           env={**clean(), "VERSIONS": " ".join(versions)},
                           capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


@cache
def version_of(python: Path) -> str:
    """Return a Python's version, as 3.12."""
    return run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])",
               cwd=python.parent).strip()


def once(name: str, tmp_path_factory: pytest.TempPathFactory, fill: Callable[[Path], object]
         ) -> Path:
    """Return a folder that is filled once for all processes that run these tests."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each process has a folder there
    folder, filled = root / name, root / f"{name}-is-there"
    folder.mkdir(exist_ok=True)
    with (root / f"{name}-lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not filled.exists():
            fill(folder)
            filled.touch()
    return folder


def wheel_of(distribution: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of one of `SOURCES`, built once."""
    folder = once(f"wheel-of-{distribution}", tmp_path_factory,
                  lambda folder: _build(SOURCES[distribution], folder))
    (wheel,) = folder.glob("wheel/*.whl")
    return wheel


def _build(sources: Path, folder: Path) -> None:
    """Build a wheel from a copy of its sources, so that nothing is left there."""
    copy = folder / "sources"
    shutil.copytree(sources, copy, ignore=shutil.ignore_patterns(*NOT_BUILT))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir",
        folder / "wheel", copy, cwd=folder)


def install(python: Path, folder: Path, *requirements: str | Path) -> Path:
    """Make an empty virtual environment and install into it; return its folder of programs."""
    run(python, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    add(folder / "bin", *requirements)
    return folder / "bin"


def add(programs: Path, *arguments: str | Path) -> None:
    """Install into the environment of a folder of programs, by the pip that is here.

    A pip of its own would take as long to be installed as most of what is wanted.
    """
    # uncompiled: most modules of the large packages are never imported, and it takes half the time
    run(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet",
        "--disable-pip-version-check", "--no-compile", *arguments, cwd=programs)
