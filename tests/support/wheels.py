"""Small distributions, written as wheels and installed by pip in seconds, without an index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

VERSION = "1.2"


def write_wheel(folder: Path, name: str, module: str | None, requires: str = "") -> Path:
    """Write a distribution with one module and an entry point ``net`` to it; return its wheel."""
    stem = name.replace("-", "_")
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n"
                    + (f"Requires-Dist: {requires}\n" if requires else "") + "\nA plug-in.\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
                 "Tag: py3-none-any\n",
        "entry_points.txt": f"[ssdreg]\nnet = {stem}\n"}
    info = f"{stem}-{VERSION}.dist-info"
    path = folder / f"{stem}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        if module is not None:
            archive.writestr(f"{stem}.py", module)
        for file, text in files.items():
            archive.writestr(f"{info}/{file}", text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in archive.namelist())
                         + f"{info}/RECORD,,\n")
    return path


def install_wheels(wheels: Path, target: Path) -> None:
    """Let pip install every wheel of a folder into another."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
                    "--target", str(target), *map(str, sorted(wheels.glob("*.whl")))], check=True)
