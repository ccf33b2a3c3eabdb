from __future__ import annotations

from ssdreg_runtime.system.tables import markdown_table, text_table


def test_columns_are_aligned_and_nothing_trails():
    assert text_table(("name", "n"), [("a", "1,000"), ("longer", "")]) == (
        "name    n\n"
        "a       1,000\n"
        "longer")


def test_a_table_without_rows_is_its_header():
    assert text_table(("name", "n"), []) == "name  n"


def test_markdown():
    assert markdown_table(("a", "b"), [("1", "2"), ("x|y", "")]) == (
        "| a | b |\n"
        "| --- | --- |\n"
        "| 1 | 2 |\n"
        "| x\\|y |  |")
