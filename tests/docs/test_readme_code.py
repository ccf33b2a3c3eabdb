"""What the README says is so: what its code makes, its commands, its numbers.

That its code runs is tested with that of all documents, in test_docs_code.py.
"""

from __future__ import annotations

import pytest
from support.documents import PYTHON, blocks
from support.documents import README as PATH

import ssdreg
from ssdreg.cli.commands import COMMANDS
from ssdreg.scaffold.demo import story

README = PATH.read_text(encoding="utf-8")


def test_the_plug_in_is_a_true_declaration():
    code, = (block.text for block in blocks("README.md")
             if block.language == PYTHON and "ssdreg_backbones" in block.text)
    names = {}
    exec(code, names)
    backbone, = names["ssdreg_backbones"]()
    for shape in (224, 300, (256, 384)):
        found = ssdreg.verify(backbone.symbol(), backbone.taps, shape)
        assert [end.node for end in found.stages] == [tap.node for tap in backbone.taps]
    assert ssdreg.build(backbone, 3, 256).list_outputs()[0] == "cls_prob_output"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)
def test_the_commands_are_described_in_the_same_words(command):
    assert f"- `ssdreg {command.NAME}`: {command.SUMMARY}\n" in README


def test_the_storys_table_is_what_the_demonstration_measures():
    for line in story():
        taps = ", ".join(f"`{tap}`" for tap in line.taps)
        assert (f"| {line.network} | {taps} | {line.parameters:,} | {line.mebibytes:.1f} MiB |"
                in README)
