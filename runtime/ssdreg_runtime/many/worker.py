"""What runs in a worker of the cluster: a detector that is opened once, and shards to fill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssdreg_runtime.inference.streams import stream
from ssdreg_runtime.io.pictures import ImageFiles
from ssdreg_runtime.many.recipe import Recipe
from ssdreg_runtime.many.results import row_of, write_shard


class ShardDetector:
    """Detects in the pictures of a shard and writes it; `ray.data` makes one in each worker."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._detector = recipe, recipe.open()

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, int]:
        """Fill the shard ``path`` from ``files``, names as bytes; return how many, how many bad.

        Pictures are decoded beside the network by as many threads as that has. The shard is on the
        disk before anybody hears of it, so that one that is done again, because its worker was
        lost, is written over.
        """
        files = ImageFiles([Path(os.fsdecode(name)) for name in shard["files"]])
        rows = [row_of(result, self._recipe.threshold)
                for result in stream(self._detector, files, self._recipe.threads)]
        write_shard(Path(os.fsdecode(shard["path"])), rows)
        return {"pictures": len(rows), "failed": sum(row["error"] is not None for row in rows)}
