from __future__ import annotations

from pathlib import Path

from runs import command

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_backbones_is_current(capsys):
    text = README.read_text(encoding="utf-8")
    held = text.partition("<!-- backbones -->")[2].partition("<!-- /backbones -->")[0]
    assert held.strip() == command(capsys, "list", "--markdown").out.strip()
