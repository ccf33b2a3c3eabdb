"""One table of options for all commands: the same word means the same everywhere."""

from __future__ import annotations

import argparse
import re

from ssdreg_runtime.cli.main import parser as detect_parser
from support import paths

from ssdreg.cli.main import parser

TABLE = paths.PROJECT / "docs" / "options.md"
#: What argparse brings itself.
OWN = {"-h", "--help", "--version"}


def commands():
    """Return the actions of every command, those of commands below others by both names."""
    found = {"ssdreg-detect": detect_parser()._actions}

    def gather(name, made):
        below = [each for each in made._actions if isinstance(each, argparse._SubParsersAction)]
        for group in below:
            for sub, its in group.choices.items():
                gather(f"{name} {sub}".strip(), its)
        if not below:
            found[name] = made._actions
    gather("", parser())
    return found


def uses():
    """Return, for each option, what each command that has it makes of it."""
    found = {}
    for command, actions in commands().items():
        for action in actions:
            for option in action.option_strings:
                if option.startswith("--") and option not in OWN:
                    found.setdefault(option, {})[command] = action
    return found


def table():
    """Return, for each option of the documented table, its value, meaning and commands."""
    rows = re.findall(r"^\| `(--[\w-]+)(?: ([^`]+))?` \| (.+?) \| (.+?) \|$",
                      TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return {option: (value.replace("\\|", "|"), meaning, tuple(re.findall(r"`([^`]+)`", where)))
            for option, value, meaning, where in rows}


def test_the_table_has_every_option_that_several_commands_have():
    shared = {option: tuple(sorted(by)) for option, by in uses().items() if len(by) > 1}
    assert {option: tuple(sorted(where)) for option, (_, _, where) in table().items()} == shared


def test_a_word_takes_the_same_kind_of_value_everywhere():
    documented = table()
    for option, by in uses().items():
        kinds = {(each.nargs if not isinstance(each.nargs, int) else "flag",
                  each.metavar or ("/".join(map(str, each.choices or ())) and "choice"))
                 for each in by.values()}
        if len(by) > 1 and option not in MAY_DIFFER:
            assert len(kinds) == 1, (option, {name: each.metavar for name, each in by.items()})
            (_, metavar), = kinds
            if metavar not in (None, "", "choice"):
                assert documented[option][0] == metavar


#: Options whose choices are a command's own: what it can write, run or make.
MAY_DIFFER = {"--backend", "--precision", "--out", "--batch-size", "--rounds"}


def test_what_must_be_given_stands_by_place_and_what_may_by_name():
    """But for lists of names, which stand by place and may be empty."""
    for command, actions in commands().items():
        for action in actions:
            if not action.option_strings and command != "audit":
                assert action.nargs in (None, "*", "+"), (command, action.dest)
