"""The checksums of a run's files, as ``sha256sum --check SHA256SUMS`` reads them.

SHA-256 and no quicker sum, because every system has a command for it; processors of today compute
it at the pace of a fast disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ssdreg_runtime.system.files import digest, replacing

from ssdreg.errors import RunError

FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\0]+)")


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums of a run's files by their names; none where none were noted.

    Raises RunError for a file that is not what `write_checksums` wrote.
    """
    lines = _lines(folder)
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            raise RunError(f"{folder / FILE} is damaged: line {number} is no checksum; "
                           f"`ssdreg doctor {folder} --repair` writes it anew")
    return _checksums(lines)


def readable_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums that can be read, for who is about to write the list anew."""
    return _checksums(_lines(folder))


def _lines(folder: Path) -> list[str]:
    file = folder / FILE
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []


def _checksums(lines: Iterable[str]) -> dict[str, str]:
    return {match[2]: match[1] for match in map(_LINE.fullmatch, lines) if match}


def write_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    """Write the checksums of a run's files, whole or not at all."""
    with replacing(folder / FILE) as beside:
        beside.write_text("".join(f"{value}  {name}\n" for name, value in sorted(
            checksums.items())), encoding="utf-8")


def note(folder: Path, *names: str) -> None:
    """Note the checksums of files that were just written."""
    write_checksums(folder, {**readable_checksums(folder),
                             **{name: digest(folder / name) for name in names}})


def withdraw(folder: Path, *names: str) -> bool:
    """Forget the checksums of files that are to be written anew; tell whether any was known."""
    checksums = readable_checksums(folder)
    if not checksums.keys() & {*names}:
        return False
    write_checksums(folder, {name: value for name, value in checksums.items()
                             if name not in names})
    return True


def damage(file: Path, checksum: str | None) -> str:
    """Say what is wrong with a file of which this checksum was noted; "" where nothing is.

    None was noted of a file that something else has put there: it is taken as it is.
    """
    if not file.is_file():
        return "it is not there"
    if not file.stat().st_size:
        return "it is empty"
    if checksum is not None and digest(file) != checksum:
        return "its bytes are not those that were written (its checksum differs)"
    return ""
