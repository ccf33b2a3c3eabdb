"""The reference pages, taken from what they describe: hooks, declarations, functions, commands.

A Sphinx extension. Its directives take no words of their own from the pages:

- ``hooks``: every hook in `ssdreg.registry.hookspecs`
- ``declarations``: every class whose objects the hooks yield, and those that these consist of
- ``public``: the other names that ``import ssdreg`` gives; of one kind, its argument
- ``commands``: every command and argument that the command line knows
- ``verdicts``: what `ssdreg audit` says of a detector
- ``folders``: the folders of the package that is its argument, in the order of their layers
- ``recipes``: what training does by default, from nothing and from weights

Below the docstring of a class whose objects are values stands a table of its fields.
"""

from __future__ import annotations

import argparse
import configparser
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pluggy
import ssdreg_runtime  # noqa: F401  its folders are listed
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import ssdreg
from ssdreg.auditing import VERDICTS
from ssdreg.cli.main import parser
from ssdreg.registry import hookspecs
from ssdreg.training.options import FINE_TUNING, TrainOptions

PROJECT = Path(__file__).parent.parent


class Generated(SphinxDirective):
    """A directive whose content is made of reStructuredText lines."""

    def lines(self) -> Iterator[str]:
        """Yield what stands for the directive."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the lines where the directive stands."""
        held = nodes.container(classes=[self.name])
        self.state.nested_parse(StringList(list(self.lines()), source=__file__), 0, held)
        return [held]


class Hooks(Generated):
    """Document every hook."""

    def lines(self) -> Iterator[str]:
        """Yield a function a hook."""
        for name in hooks():
            yield from (f".. autofunction:: {hookspecs.__name__}.{name}", "")


class Declarations(Generated):
    """Document what hooks yield."""

    def lines(self) -> Iterator[str]:
        """Yield a class a declaration."""
        for each in declarations():
            name = each.__name__
            module = "ssdreg" if name in ssdreg.__all__ else each.__module__
            yield from (f".. autoclass:: {module}.{name}", "   :members:", "")


class Public(Generated):
    """Document the public names of one kind."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """Yield a function or class a name."""
        kind = self.arguments[0]
        for name in ssdreg.__all__:
            value = getattr(ssdreg, name)
            if kind_of(value) != kind or value in declarations():
                continue
            directive = "autofunction" if kind == "functions" else "autoclass"
            yield from (f".. {directive}:: ssdreg.{name}", "")
            if kind == "values":
                yield from ("   :members:", "")


class Verdicts(Generated):
    """List what an audit says."""

    def lines(self) -> Iterator[str]:
        """Yield an item a verdict."""
        for verdict, meaning in VERDICTS.items():
            yield f"- *{verdict}*: {meaning}"


class Recipes(Generated):
    """Compare the defaults of the two ways to begin."""

    def lines(self) -> Iterator[str]:
        """Yield a table of what differs, and of what decides the length and the steps."""
        usual = {field.name: field.default for field in attrs.fields(TrainOptions)}
        shown = dict.fromkeys((*FINE_TUNING, "optimizer", "lr", "wd", "batch_size"))
        yield from table(("option", "from nothing", "from weights"), (
            (f"``--{name.replace('_', '-')}``", str(usual[name]),
             str(FINE_TUNING.get(name, usual[name]))) for name in shown))


class Folders(Generated):
    """List the folders of a package, a row for each layer, with what each is for."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """Yield a table of layers, folders and their sentences, the top layer first."""
        package = self.arguments[0]
        yield from table(("layer", "folder", "what it is for"), (
            (str(layer) if place == 0 else "", f"``{folder}/``", sentence)
            for layer, folders in enumerate(layers(package), start=1)
            for place, (folder, sentence) in enumerate(folders)))


class Commands(SphinxDirective):
    """Document every command of the command line."""

    def run(self) -> list[nodes.Node]:
        """Return a section a command."""
        return [self.section(command) for command in commands(parser())]

    def section(self, command: argparse.ArgumentParser) -> nodes.section:
        """Return a command's description, its usage, its arguments, and its own commands."""
        made = nodes.section(ids=[nodes.make_id(command.prog)], names=[command.prog])
        self.state.document.note_implicit_target(made, made)
        made += nodes.title("", "", nodes.literal("", command.prog))
        made += nodes.paragraph("", "", *marked(command.description or ""))
        made += nodes.literal_block("", command.format_usage().rstrip(), language="none")
        listed = nodes.definition_list(classes=["arguments"])
        for action in arguments(command):
            listed += entry(command, action)
        if listed.children:
            made += listed
        made += [self.section(own) for own in commands(command)]
        return made


def hooks() -> list[str]:
    """Return the names of the hooks, in the order in which they are written down."""
    host = pluggy.PluginManager(hookspecs.NAMESPACE)
    return [name for name in vars(hookspecs) if host.parse_hookspec_opts(hookspecs, name)]


def layers(package: str) -> list[list[tuple[str, str]]]:
    """Return the folders of each layer with their sentences, as the linter's contract has them."""
    contracts = configparser.ConfigParser()
    contracts.read(PROJECT / ".importlinter", encoding="utf-8")
    (contract,) = (section for section in contracts.values()
                   if section.get("type") == "layers" and section.get("containers") == package)
    root = Path(sys.modules[package].__file__ or "").parent
    rows = [[name.strip() for name in row.split("|")]
            for row in contract["layers"].splitlines() if row.strip()]
    folders = [[name for name in row if (root / name).is_dir()] for row in rows]
    return [[(name, (import_module(f"{package}.{name}").__doc__ or "").partition("\n")[0])
             for name in row] for row in folders if row]


def declarations() -> list[type]:
    """Return the classes of what hooks yield, each followed by those its fields have."""
    found: dict[type, None] = {}
    for name in hooks():
        returned = getattr(hookspecs, name).__annotations__["return"]
        _follow(returned, vars(hookspecs), found)
    return list(found)


def _follow(annotation: str, names: dict[str, Any], found: dict[type, None]) -> None:
    """Add the value classes that an annotation names, and those in their fields."""
    for word in re.findall(r"\w+", annotation):
        each = names.get(word)
        if not (isinstance(each, type) and attrs.has(each)) or each in found:
            continue
        found[each] = None
        for base in each.__mro__[1:]:
            if attrs.has(base):  # whose fields and words are the class's own too
                found.setdefault(base)
        for field in attrs.fields(each):
            _follow(str(field.type), vars(sys.modules[each.__module__]), found)


def kind_of(value: object) -> str:
    """Return what a public name is: one of the functions, values or errors, or else other."""
    if not isinstance(value, type):
        return "functions" if inspect.isfunction(value) or inspect.ismodule(value) else "other"
    return "errors" if issubclass(value, BaseException) else "values"


def fields_table(of: type) -> Iterator[str]:
    """Yield the lines of a table of a value's fields: name, type, default."""
    fields = attrs.fields(of)
    given = "given by name" if any(field.kw_only for field in fields) else "in this order"
    yield from (f".. rubric:: Fields, {given}", "")
    yield from table(("field", "type", "default"), (
        (f"``{field.name}``", f"``{kind(field)}``", default(field)) for field in fields))


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield from (".. list-table::", "   :header-rows: 1", "   :class: fields", "")
    for row in (header, *rows):
        for mark, cell in zip(("*", *" " * len(row)), row):
            yield f"   {mark} - {cell}"
    yield ""


def kind(field: attrs.Attribute[Any]) -> str:
    """Return a field's type as it is written."""
    return field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)


def default(field: attrs.Attribute[Any]) -> str:
    """Return a field's default as it would be written, or that there is none."""
    if field.default is attrs.NOTHING:
        return "*needed*"
    factory = getattr(field.default, "factory", None)
    if factory is not None:
        return f"``{factory.__name__}()``"
    return f"``{field.default!r}``"


def commands(of: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the commands of a parser in their order."""
    # argparse has no public way to ask a parser what it was told
    return [each for action in of._actions if isinstance(action, argparse._SubParsersAction)
            for each in action.choices.values()]


def arguments(of: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return a command's arguments; all have --help, which is not worth a word each time."""
    return [action for action in of._actions
            if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))]


def entry(command: argparse.ArgumentParser, action: argparse.Action) -> nodes.definition_list_item:
    """Return an argument in the words of ``--help``."""
    formatter = command._get_formatter()
    called = formatter._format_action_invocation(action)
    told = formatter._expand_help(action) if action.help else ""
    return nodes.definition_list_item(
        "", nodes.term("", "", nodes.literal("", called)),
        nodes.definition("", nodes.paragraph("", "", *marked(told))))


def marked(text: str) -> list[nodes.Node]:
    """Return a text as nodes, with what is in backticks as code."""
    return [nodes.literal("", part) if index % 2 else nodes.Text(part)
            for index, part in enumerate(text.split("`")) if part]


def _without_signature(app: Sphinx, what: str, name: str, obj: object, options: object,
                       signature: str | None, returned: str | None) -> tuple[str, None] | None:
    """Leave out the signature of a value: its fields have a table."""
    return ("", None) if isinstance(obj, type) and attrs.has(obj) else None


def _with_fields(app: Sphinx, what: str, name: str, obj: object, options: object,
                 lines: list[str]) -> None:
    """Put the table of a value's fields below its docstring."""
    if isinstance(obj, type) and attrs.has(obj):
        lines += ["", *fields_table(obj)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directives known."""
    for directive in (Hooks, Declarations, Public, Verdicts, Recipes, Commands, Folders):
        app.add_directive(directive.__name__.lower(), directive)
    app.connect("autodoc-process-signature", _without_signature)
    app.connect("autodoc-process-docstring", _with_fields)
    return {"parallel_read_safe": True}
