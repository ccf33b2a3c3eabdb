"""Logs as lines of JSON on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

#: The attribute of a record that holds the values of its line.
_FIELDS = "ssdreg_fields"

#: What is written from `logging.INFO` on; of all libraries, warnings and errors are.
_OWN = "ssdreg_runtime"


class JsonLine(logging.Formatter):
    """Formats a record as one JSON object: time, level, event, and the event's own values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"), "level": record.levelname.lower(),
            "event": record.getMessage(), **getattr(record, _FIELDS, {})}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def write_logs() -> None:
    """Write this process's records and warnings to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine())
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_OWN).setLevel(logging.INFO)


def fields(**values: Any) -> Mapping[str, Any]:
    """Return the argument `extra` of a logger's call that puts `values` into the line."""
    return {_FIELDS: values}
