"""Fresh virtual environments, wheels of the sources, and programs that see nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support import paths

PROJECT = paths.PROJECT
#: Left out where sources are copied to be built: it is not packed, or in the way.
NOT_BUILT = (".*", "build", "dist", "*.egg-info", "__pycache__", "reference", "plugins")


def clean() -> dict[str, str]:
    """Return the environment without what would lead a Python to other packages."""
    return {name: value for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MAKEFLAGS", "PYTHON")}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program, away from the sources, and return what it prints."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=clean(),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def python_of(*versions: str) -> Path | None:
    """Return a Python of the first of these versions that is there and works, if any is."""
    found = subprocess.run([str(PROJECT / "tools" / "find-python")],
                           env={**clean(), "VERSIONS": " ".join(versions)},
                           capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def version_of(python: Path) -> str:
    """Return a Python's version, as 3.12."""
    return run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])",
               cwd=python.parent).strip()


def build_wheels(folder: Path, *packages: str) -> list[Path]:
    """Build the wheels of these folders of the project from a copy, so that nothing is left there.

    A package is a path inside the project, as ``runtime``, or ``.`` for ssdreg itself.
    """
    sources, target = folder / "sources", folder / "wheels"
    for package in packages:
        shutil.copytree(PROJECT / package, sources / package, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns(*NOT_BUILT))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", target,
        *(sources / package for package in packages), cwd=folder)
    return sorted(target.glob("*.whl"))


def install(python: Path, folder: Path, *requirements: str | Path) -> Path:
    """Make an empty virtual environment and install into it; return its folder of programs."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    # uncompiled: most modules of the large packages are never imported, and it takes half the time
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile",
        *requirements, cwd=folder)
    return folder / "bin"
