"""The tables of folders in CONTRIBUTING.md: each package with the first sentence of its docstring.

After a package was added or renamed, write them anew::

    PYTHONPATH=tests python tests/support/layout.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from support import paths

CONTRIBUTING = paths.PROJECT / "CONTRIBUTING.md"
#: Packages with a table of their own, by the folder they lie in.
PACKAGES = {"ssdreg": paths.PROJECT, "ssdreg_runtime": paths.PROJECT / "runtime"}
#: A folder of files that become a package elsewhere.
TEMPLATES = "templates"


def table(package: str) -> list[str]:
    """Return the lines of a package's table, a row for each folder with modules."""
    root = PACKAGES[package]
    folders = sorted(file.parent for file in (root / package).rglob("__init__.py"))
    return ["| folder | what is in it |", "| --- | --- |",
            *(f"| `{folder.relative_to(paths.PROJECT)}/` | {sentence(folder / '__init__.py')} |"
              for folder in folders if folder != root / package and TEMPLATES not in folder.parts)]


def sentence(file: Path) -> str:
    """Return the first sentence of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=[.?!])\s", " ".join(text.split()), maxsplit=1)[0].replace("``", "`")


def held(text: str, package: str) -> list[str]:
    """Return the lines of a package's table in the text of the document."""
    _, _, behind = text.partition(f"<!-- {package} -->\n")
    return behind.partition(f"<!-- /{package} -->")[0].splitlines()


def main() -> None:
    """Write the tables into the document."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    for package in PACKAGES:
        begin, end = f"<!-- {package} -->\n", f"<!-- /{package} -->"
        before, _, rest = text.partition(begin)
        lines = "".join(f"{line}\n" for line in table(package))
        text = f"{before}{begin}{lines}{end}{rest.partition(end)[2]}"
    CONTRIBUTING.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
