"""The identities of objects from frame to frame, by ByteTrack of the package trackers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from attrs import evolve

from ssdreg_runtime.boxes.detections import Detections
from ssdreg_runtime.errors import DependencyError
from ssdreg_runtime.io.frame import FrameResult
from ssdreg_runtime.system.installing import install

#: Scores below this are never of an object that is followed: ByteTrack's second round takes those
#: from here to the threshold.
_LEAST_SCORE = 0.1


class Tracker:
    """Numbers the objects of one stream: the same object has the same number in every frame.

    A track begins with an object of `threshold` or more in two frames, and goes on with lower
    scores. `rate` is frames a second; a track that is lost for a second ends.
    Raises DependencyError where the package is not installed.
    """

    def __init__(self, threshold: float, rate: float) -> None:
        try:
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise DependencyError("following objects needs the package trackers, which is not "
                                  f"installed: run `{install('track')}`") from error
        self._tracker: Any = ByteTrackTracker(
            lost_track_buffer=max(1, round(rate)), frame_rate=rate,
            track_activation_threshold=threshold, high_conf_det_threshold=threshold)

    def update(self, found: Detections) -> Detections:
        """Return the objects of the next frame with their `ids`, -1 for those without one."""
        ids = np.full(len(found), -1, np.int64)
        places = np.flatnonzero(found.scores >= _LEAST_SCORE)
        theirs = found.at(places).to_supervision()
        # the answer comes in another order
        theirs.data["place"] = places
        tracked = self._tracker.update(theirs)
        if len(tracked):
            ids[np.asarray(tracked.data["place"], np.int64)] = tracked.tracker_id
        return evolve(found, ids=ids)


def follow(results: Iterable[FrameResult | None], tracker: Tracker
           ) -> Iterator[FrameResult | None]:
    """Yield the results with their objects' ids; None and frames with an error as they are."""
    for result in results:
        if result is None or result.error:
            yield result
        else:
            yield FrameResult(result.frame, tracker.update(result.detections))
