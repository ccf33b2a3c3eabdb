from __future__ import annotations

from support import paths
from support.runs import command

from ssdreg.backbones import ssdreg_backbones

README = paths.PROJECT / "README.md"


def test_the_table_of_backbones_is_current(capsys):
    text = README.read_text(encoding="utf-8")
    held = text.partition("<!-- backbones -->")[2].partition("<!-- /backbones -->")[0]
    built_in = {backbone.name for backbone in ssdreg_backbones()}
    listed = command(capsys, "list", "--markdown").out.strip().splitlines()
    # plug-ins may be installed where this runs; the table is of what comes with ssdreg
    assert held.strip().splitlines() == [
        line for number, line in enumerate(listed)
        if number < 2 or line.split("|")[1].strip() in built_in]
