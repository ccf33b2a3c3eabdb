"""The documents that people read, and the code in them, found as a Markdown reader finds it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from attrs import frozen
from markdown_it import MarkdownIt
from support import paths

PROJECT = paths.PROJECT
DOCS = PROJECT / "docs"
README = PROJECT / "README.md"
#: Every document whose code is run, by its name.
DOCUMENTS = {str(path.relative_to(PROJECT)): path
             for path in (README, *sorted(DOCS.glob("*.md")))}

#: Languages of blocks; those indented, and not fenced, are commands.
PYTHON, SHELL = "python", "sh"
#: Blocks that no test runs: what a file looks like, what Sphinx is told, and cells of a notebook,
#: which the documentation's own build runs; and programs in other languages, which
#: tests/docs/test_recipes.py runs.
SHOWN = ("ini", "text", "{eval-rst}", "{toctree}", "{code-cell} python", "js", "cpp")

_FILE = re.compile(r"# (\w+\.py)\n")
_PRINTED = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)
_SETTING = re.compile(r"(\w+)=(.*)", re.DOTALL)


@frozen
class Block:
    """One block of code: where its first line stands, and what its language is."""

    document: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Document and line, as an editor takes them."""
        return f"{self.document}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that the reader is told to save it as, by the comment in its first line."""
        found = _FILE.match(self.text)
        return found.group(1) if found else None

    @property
    def prints(self) -> list[str]:
        """What it is said to print: the comments behind calls of print."""
        return _PRINTED.findall(self.text)

    @property
    def commands(self) -> list[Command]:
        """Its lines as commands; what a shell would not run is left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := _command(line)) is not None]


@frozen
class Command:
    """One line of a shell: settings of the environment, the program, what it is told."""

    settings: dict[str, str]
    program: str
    arguments: list[str]


def blocks(document: str) -> list[Block]:
    """Return the blocks of code of a document in their order."""
    return read_blocks(DOCUMENTS[document])


def read_blocks(path: Path) -> list[Block]:
    """Return the blocks of code of a Markdown file in their order."""
    found = []
    document = str(path.relative_to(PROJECT))
    for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
        if token.type == "fence":
            found.append(Block(document, token.map[0] + 2, token.info.strip(), token.content))
        elif token.type == "code_block":
            found.append(Block(document, token.map[0] + 1, SHELL, token.content))
    return found


def _command(line: str) -> Command | None:
    words = shlex.split(line, comments=True)
    settings = {}
    while words and (setting := _SETTING.fullmatch(words[0])):
        settings[setting.group(1)] = setting.group(2)
        del words[0]
    return Command(settings, words[0], words[1:]) if words else None
