"""Which of a picture's objects are wanted: some classes, and the best few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import numpy as np
from attrs import frozen

from ssdreg_runtime.boxes.detections import Detections
from ssdreg_runtime.errors import SsdregError


@frozen
class Selection:
    """What is kept of detections: classes by their labels, None for all, and how many at most."""

    labels: frozenset[int] | None = None
    most: int | None = None

    def of(self, detections: Detections) -> Detections:
        """Return the detections that are kept, best first as they were."""
        kept = (np.ones(len(detections), np.bool_) if self.labels is None else
                np.isin(detections.labels, np.array(sorted(self.labels), np.int64)))
        places = np.flatnonzero(kept)[:self.most]
        return detections if len(places) == len(detections) else detections.at(places)


def select(classes: Sequence[str], only: str | Iterable[str] | None = None,
           max_det: int | None = None) -> Selection:
    """Return the selection of the classes that are named in `only`, and the best `max_det`.

    `classes` are the names of all; None keeps every class, or every object. Raises SsdregError for
    a name that no class has, and for a number below 1.
    """
    if max_det is not None and (isinstance(max_det, bool) or max_det < 1):
        raise SsdregError(f"--max-det {max_det} keeps nothing: give 1 or more")
    if only is None:
        return Selection(None, max_det)
    names = [only] if isinstance(only, str) else list(only)
    for name in names:
        if name not in classes:
            near = get_close_matches(name, classes, n=1)
            told = f"did you mean {near[0]}?" if near else _told(classes)
            raise SsdregError(f"--only {name}: the detector has no class of that name; {told}")
    return Selection(frozenset(index for index, name in enumerate(classes) if name in names),
                     max_det)


#: Names that a message tells.
_MOST_TOLD = 20


def _told(classes: Sequence[str]) -> str:
    more = ", ..." if len(classes) > _MOST_TOLD else ""
    return f"there are {', '.join(classes[:_MOST_TOLD])}{more}"
