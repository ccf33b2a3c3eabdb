"""Arrays of boxes, one row a box, and their checks.

A detection is the row ``class, score, x1, y1, x2, y2``; a ground truth is the row
``class, x1, y1, x2, y2[, difficult]``. A row whose class is below zero is padding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ssdreg_runtime.errors import DataError


def detection_rows(detections: ArrayLike, class_count: int, where: str) -> np.ndarray:
    """Return the (N, 6) float64 rows of `detections` that are no padding, in their order.

    `where` begins the message of an error, for instance "image 3". Raises DataError for another
    number of columns, for a class of `class_count` or above, or for a number that is not finite.
    """
    return _checked_rows(detections, (6,), class_count, f"{where}: the detections")


def truth_rows(truths: ArrayLike, class_count: int, where: str) -> np.ndarray:
    """Return the (M, 6) float64 rows of `truths` that are no padding; difficult is 0 if left out.

    `where` begins the message of an error, for instance "image 3". Raises DataError for another
    number of columns, for a class of `class_count` or above, or for a number that is not finite.
    """
    rows = _checked_rows(truths, (5, 6), class_count, f"{where}: the ground truths")
    if rows.shape[1] == 5:
        rows = np.column_stack([rows, np.zeros(len(rows))])
    return rows


def _checked_rows(array: ArrayLike, columns: tuple[int, ...], class_count: int, what: str
                  ) -> np.ndarray:
    rows = np.asarray(array, dtype=np.float64)
    if rows.size == 0:
        # an image without boxes is often an empty list, which has no columns to count
        return np.zeros((0, columns[-1]))
    if rows.ndim != 2 or rows.shape[1] not in columns:
        column_counts = " or ".join(str(count) for count in columns)
        raise DataError(f"{what} have shape {rows.shape}; give one row a box with {column_counts} "
                        f"columns")
    # not ">= 0", which would drop a class that is not a number as if it were padding
    rows = rows[~(rows[:, 0] < 0)]
    if not np.isfinite(rows).all():
        raise DataError(f"{what} hold a number that is not finite; check that training converged")
    classes = rows[:, 0]
    foreign = classes[(classes >= class_count) | (classes != np.floor(classes))]
    if len(foreign):
        raise DataError(f"{what} name class {foreign[0]:g}, but there are {class_count} class "
                        "names, numbered from 0; give the names that the boxes were made with")
    return rows
