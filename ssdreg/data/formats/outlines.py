"""Outlines of objects, as COCO writes them, and the boxes around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssdreg.data.annotation import Numbers, enclosing
from ssdreg.data.json_file import number, whole


def outline_box(segmentation: Any) -> Numbers:
    """Return the corners of the box around polygons or run lengths.

    Raises ValueError, a clause, where there is no outline that encloses anything.
    """
    if isinstance(segmentation, dict):
        return _run_lengths_box(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("no outline")
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    points = []
    for polygon in polygons:
        values = [number(value) for value in polygon] if isinstance(polygon, list) else []
        if len(values) < 4 or len(values) % 2:
            raise ValueError("its outline has no usable points")
        points += list(zip(values[::2], values[1::2]))
    return enclosing(points)


def _run_lengths_box(segmentation: dict[str, Any]) -> Numbers:
    """Return the box of a mask in runs, down the columns, of pixels outside and inside in turn."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    height = whole(size[0]) if isinstance(size, list) and len(size) == 2 else None
    if not height or height < 0:
        raise ValueError("its outline has no size")
    runs = _unpacked(counts) if isinstance(counts, str) else [whole(run) for run in counts or ()]
    at, top, bottom, columns = 0, height, -1, []
    for place, run in enumerate(runs):
        if run is None or run < 0:
            raise ValueError("its outline has no usable run lengths")
        if place % 2 and run:
            first, last = at, at + run - 1
            columns += [first // height, last // height]
            whole_columns = first // height != last // height
            top = 0 if whole_columns else min(top, first % height)
            bottom = height - 1 if whole_columns else max(bottom, last % height)
        at += run
    if not columns:
        raise ValueError("its outline encloses nothing")
    return float(min(columns)), float(top), float(max(columns) + 1), float(bottom + 1)


def _unpacked(text: str) -> Sequence[int]:
    """Unpack run lengths: 5 bits a letter, the least first, differences from the third run on."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            if at >= len(text):
                raise ValueError("its outline has no usable run lengths")
            bits = ord(text[at]) - 48
            at += 1
            value |= (bits & 31) << shift
            shift += 5
            more = bool(bits & 32)
            if not more and bits & 16:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
