"""The tables of docs/sagemaker.md: what the training contract understands.

After a hyperparameter or a metric was changed, write them anew::

    PYTHONPATH=tests python tests/support/hyperparameters.py
"""

from __future__ import annotations

from support import paths

from ssdreg.sagemaker.hyperparameters import TABLE
from ssdreg.sagemaker.metrics import DEFINITIONS

PAGE = paths.PROJECT / "docs" / "sagemaker.md"


def hyperparameters() -> list[str]:
    """Return the lines of the table of hyperparameters."""
    return ["| name | default | it may be | what becomes of it |", "| --- | --- | --- | --- |",
            *(f"| `{each.name}` | {each.default or '-'} | {each.values} | {each.becomes}: "
              f"{each.sentence} |" for each in TABLE)]


def metrics() -> list[str]:
    """Return the lines of the table of metrics."""
    return ["| metric | expression |", "| --- | --- |",
            *(f"| `{name}` | `{expression}` |" for name, expression in DEFINITIONS.items())]


TABLES = {"hyperparameters": hyperparameters, "metrics": metrics}


def held(text: str, name: str) -> list[str]:
    """Return the lines of a table in the text of the page."""
    _, _, behind = text.partition(f"<!-- {name} -->\n")
    return behind.partition(f"<!-- /{name} -->")[0].splitlines()


def main() -> None:
    """Write the tables into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = "".join((before, begin, *(f"{line}\n" for line in lines()), end,
                        rest.partition(end)[2]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
