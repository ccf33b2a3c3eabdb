"""Pictures that are nearly the same: frames of a video, copies of another size or encoding.

A picture's difference hash (Krawetz, "Kind of Like That", 2013) says of 8x8 cells whether each is
brighter than its neighbour to the right, and here also than the one below: 128 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from ssdreg_runtime.io.decoding import decode_picture
from ssdreg_runtime.io.pixels import to_rgb
from ssdreg_runtime.system.threads import usable_processors

from ssdreg.data.dataset import Sample
from ssdreg.data.pictures import UNREADABLE, turn
from ssdreg.progress import Progress, Telling, Work

#: Bits in which the hashes of nearly the same pictures differ at most, of `BITS`.
NEAR, BITS = 12, 128
_CELLS = 8
#: Hashes that are near have one of so many parts in common: more parts than bits may differ.
_PARTS = NEAR + 1
#: Brightness that two cells differ by before one is the brighter, of 255: less is noise.
_NOISE = 2


def difference_hash(image: Image.Image) -> np.ndarray:
    """Return the hash of a picture, (128,) bool."""
    side = _CELLS + 1
    cells = np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX), np.int16)
    across = cells[:_CELLS, 1:] > cells[:_CELLS, :-1] + _NOISE
    down = cells[1:, :_CELLS] > cells[:-1, :_CELLS] + _NOISE
    return np.concatenate([across.ravel(), down.ravel()])


def groups_of_alike(samples: Sequence[Sample], progress: Progress | None = None) -> np.ndarray:
    """Return the number of each sample's group, (N,) int64: nearly the same pictures share one.

    What is alike to one of a group belongs to it. A picture that cannot be decoded is alone, and so
    is one without any structure, whose hash has hardly a bit.
    """
    work = Work(what="comparing pictures", unit="images", total=len(samples))
    with ThreadPoolExecutor(len(usable_processors())) as pool:
        hashes = list(Telling(progress, work).over(pool.map(_hash, samples)))
    leaders = list(range(len(samples)))

    def leader(number: int) -> int:
        while leaders[number] != number:
            leaders[number] = leaders[leaders[number]]
            number = leaders[number]
        return number

    known = [number for number, bits in enumerate(hashes) if bits is not None]
    table = np.array([hashes[number] for number in known], bool).reshape(-1, BITS)
    for part in np.array_split(np.arange(BITS), _PARTS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(np.packbits(table[:, part], axis=1)):
            buckets[key.tobytes()].append(row)
        for rows in buckets.values():
            for place, row in enumerate(rows[:-1]):
                others = np.array(rows[place + 1:])
                near = (table[others] != table[row]).sum(axis=1) <= NEAR
                for other in others[near].tolist():
                    one, two = sorted((leader(known[row]), leader(known[other])))
                    leaders[two] = one
    return np.array([leader(number) for number in range(len(samples))], np.int64)


def _hash(sample: Sample) -> np.ndarray | None:
    try:
        image = decode_picture(sample.image.read_bytes()).image
        bits = difference_hash(turn(to_rgb(image), sample.orientation))
    except UNREADABLE:
        return None  # which is said where it is read to be used
    return bits if bits.sum() > NEAR else None
