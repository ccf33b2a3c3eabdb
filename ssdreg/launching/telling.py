"""How a member of a job is told which it is: the arguments of `ssdreg.cli.member`."""

from __future__ import annotations

from ssdreg.launching.layout import Layout, Place

#: The module that a member runs.
MODULE = "ssdreg.cli.member"


def words(layout: Layout, member: int | None = None, place: Place | None = None, *,
          tied: bool = True) -> tuple[str, ...]:
    """Return the arguments by which a member is told who it is; without a number it finds out."""
    told = ["--workers", str(layout.workers), "--servers", str(layout.servers),
            "--root", layout.root, "--port", str(layout.port)]
    if member is not None:
        told += ["--member", str(member)]
    if place is not None:
        told += ["--place", str(place.rank), str(place.count), place.address]
    return (*told, "--tied") if tied else tuple(told)
