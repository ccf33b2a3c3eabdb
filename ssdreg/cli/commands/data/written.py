"""What was written, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg_runtime.system.tables import text_table

if TYPE_CHECKING:
    from ssdreg.data.converting import Written


def describe(written: Written) -> str:
    """Return a table of the splits, and where they are."""
    rows = [(split.name or "-", f"{split.images:,}", f"{split.objects:,}",
             *(f"{count:,}" for count in split.by_class)) for split in written.splits]
    return "\n".join([text_table(("split", "images", "objects", *written.classes), rows), "",
                      f"written: {written.folder}, as {written.format}"])
