"""What runs in a worker of the cluster: a detector that is opened once, and shards to fill."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from ssdreg_runtime.errors import SsdregError
from ssdreg_runtime.inference.detector import Detector
from ssdreg_runtime.inference.streams import stream
from ssdreg_runtime.io.pictures import ImageFiles
from ssdreg_runtime.many.claim import Claim
from ssdreg_runtime.many.recipe import Recipe
from ssdreg_runtime.many.results import row_of, write_shard
from ssdreg_runtime.system.names import shown


@frozen
class Filled:
    """What a worker says of a shard: how many pictures, how many of them failed.

    `error` is the sentence that ends the whole job, as of a full disk; else empty.
    """

    pictures: int = 0
    failed: int = 0
    error: str = ""


class ShardDetector:
    """Detects in the pictures of a shard and writes it; `ray.data` makes one in each worker."""

    def __init__(self, recipe: Recipe, claim: Claim) -> None:
        self._recipe, self._claim = recipe, claim

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, Any]:
        """Fill the shard ``path`` from ``files``, names as bytes; return a `Filled` as a row.

        An error of its input is returned: of one that is raised, Ray hands on its own words only.
        """
        try:
            return asdict(self._fill(Path(os.fsdecode(shard["path"])),
                                     [Path(os.fsdecode(name)) for name in shard["files"]]))
        except SsdregError as error:
            return asdict(Filled(error=str(error)))

    def _fill(self, path: Path, files: Sequence[Path]) -> Filled:
        # pictures are decoded beside the network, by as many threads as that has
        with self._claim.filling(path, shown(files[0])):
            rows = [row_of(result, self._recipe.threshold)
                    for result in stream(self._detector, ImageFiles(files), self._recipe.threads)]
            self._claim.check()
            # on the disk before anybody hears of it, so that a shard that is begun again, because
            # its worker was lost, is written over
            write_shard(path, rows)
        return Filled(len(rows), sum(row["error"] is not None for row in rows))

    @cached_property
    def _detector(self) -> Detector:
        # opened by the first shard, so that what is wrong with it is returned too
        return self._recipe.open_detector()
