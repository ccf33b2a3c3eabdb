"""What runs in a worker of the cluster: a detector that is opened once, and shards to fill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssdreg_runtime.inference.streams import stream
from ssdreg_runtime.io.pictures import ImageFiles
from ssdreg_runtime.many.claim import Claim
from ssdreg_runtime.many.recipe import Recipe
from ssdreg_runtime.many.results import row_of, write_shard
from ssdreg_runtime.system.names import shown


class ShardDetector:
    """Detects in the pictures of a shard and writes it; `ray.data` makes one in each worker."""

    def __init__(self, recipe: Recipe, claim: Claim) -> None:
        self._recipe, self._claim, self._detector = recipe, claim, recipe.open()

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, int]:
        """Fill the shard ``path`` from ``files``, names as bytes; return how many, how many bad.

        Pictures are decoded beside the network by as many threads as that has. The shard is on the
        disk before anybody hears of it, so that one that is done again, because its worker was
        lost, is written over. Raises what `Claim` raises, and StorageError.
        """
        path = Path(os.fsdecode(shard["path"]))
        files = ImageFiles([Path(os.fsdecode(name)) for name in shard["files"]])
        with self._claim.filling(path, shown(files.files[0])):
            rows = [row_of(result, self._recipe.threshold)
                    for result in stream(self._detector, files, self._recipe.threads)]
            self._claim.check()
            write_shard(path, rows)
        return {"pictures": len(rows), "failed": sum(row["error"] is not None for row in rows)}
