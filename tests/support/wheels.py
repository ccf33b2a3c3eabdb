"""Small distributions, written as wheels and installed by pip in seconds, without an index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "1.2"
#: The code of a small network, for modules of plug-ins: stages end at ``c1`` and ``c2``.
BUILD = """
def build():
    from ssdreg.mx import mx
    x = mx.sym.Variable("data")
    for name, channels in (("c1", 4), ("c2", 8)):
        x = mx.sym.Convolution(x, num_filter=channels, kernel=(3, 3), stride=(2, 2), pad=(1, 1),
                               name=name)
    return x
"""


def write_wheel(folder: Path, name: str, module: str | None, requires: str = "") -> Path:
    """Write a distribution with one module and an entry point ``net`` to it; return its wheel."""
    stem = name.replace("-", "_")
    modules = {} if module is None else {stem: module}
    return write_wheel_of(folder, name, modules, {"net": stem}, requires)


def write_wheel_of(folder: Path, name: str, modules: Mapping[str, str],
                   entry_points: Mapping[str, str], requires: str = "",
                   version: str = VERSION) -> Path:
    """Write a distribution with modules, by their names, and entry points; return its wheel."""
    stem = name.replace("-", "_")
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
                    + (f"Requires-Dist: {requires}\n" if requires else "") + "\nA plug-in.\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
                 "Tag: py3-none-any\n",
        "entry_points.txt": "".join(["[ssdreg]\n", *(
            f"{key} = {value}\n" for key, value in entry_points.items())])}
    info = f"{stem}-{version}.dist-info"
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for module, text in modules.items():
            archive.writestr(f"{module}.py", text)
        for file, text in files.items():
            archive.writestr(f"{info}/{file}", text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in archive.namelist())
                         + f"{info}/RECORD,,\n")
    return path


def install_wheels(wheels: Path, target: Path) -> None:
    """Let pip install every wheel of a folder into another."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
                    "--target", str(target), *map(str, sorted(wheels.glob("*.whl")))], check=True)
