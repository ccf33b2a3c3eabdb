"""What the README says is run: its code, its commands, its numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ssdreg
from ssdreg.commands import COMMANDS
from ssdreg.demo import story

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(block: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_the_ten_lines_print_what_they_say(capsys):
    run(BLOCKS[0])
    printed = capsys.readouterr().out
    assert printed.startswith("('_plus29', '_plus32', '', '', '', '')")
    assert "17 units are still to come" in printed


def test_the_plug_in_is_a_true_declaration():
    backbone, = run(BLOCKS[1])["ssdreg_backbones"]()
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
