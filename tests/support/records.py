"""RecordIO files, written label by label."""

from __future__ import annotations

import os
from pathlib import Path

from ssdreg.mx import mx


def write_rec(path: Path, *labels: object, content: bytes = b"an image") -> Path:
    writer = mx.recordio.MXRecordIO(os.fspath(path), "w")
    for label in labels:
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, label, 0, 0), content))
    writer.close()
    return path
