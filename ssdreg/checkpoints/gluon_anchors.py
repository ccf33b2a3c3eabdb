"""GluonCV's anchors, which its files hold as tables, as the numbers of a MultiBoxPrior."""

from __future__ import annotations

import numpy as np

from ssdreg.checkpoints.layout import Prior
from ssdreg.errors import RunError

#: Greatest relative error of a table made anew from the numbers read off it.
_TOLERANCE = 1e-4


def step_of(table: np.ndarray, where: str) -> float:
    """Return the distance of neighbouring centres in pixels."""
    cells = _cells(table, where)
    return float(cells[0, 1, 0, 0] - cells[0, 0, 0, 0])


def read_prior(table: np.ndarray, data_shape: tuple[int, int], where: str) -> Prior:
    """Read one level's table (1, 1, H, W, A * 4) of centres and sides in pixels.

    Raises RunError for a table of another form: the anchors of a cell must be squares, and
    one size at other ratios, around the middle of the cell.
    """
    height, width = data_shape
    cells, step = _cells(table, where), step_of(table, where)
    wide, high = cells[0, 0, :, 2], cells[0, 0, :, 3]
    square = np.isclose(wide, high, rtol=_TOLERANCE)
    sides, areas = high[square], (wide * high)[~square]
    base = float(np.sqrt(areas[0])) if len(areas) else float(sides[0])
    centered = np.allclose(cells[0, 0, :, :2] / step, 0.5, rtol=_TOLERANCE)
    if not centered or not np.allclose(areas, base**2, rtol=2 * _TOLERANCE):
        raise RunError(f"the anchors in {where} are not those of an SSD (squares, and one size at "
                       f"other ratios, around the middle of a cell): it cannot be imported")
    ratios = (1.0, *(float(ratio) for ratio in (wide / high)[~square]))
    steps = step / height, step / width
    usual = len(sides) and np.isclose(sides[0], base, rtol=_TOLERANCE)
    if usual and square[:len(sides)].all():
        return Prior(_shares(sides, height), ratios, steps)
    # GluonCV's "lite" anchors leave out the base's own square, and mix squares and others
    squares, others = iter(range(1, len(sides) + 1)), iter(range(len(sides) + 1, len(wide) + 1))
    return Prior(_shares([base, *sides], height), ratios, steps,
                 chosen=tuple(next(squares if is_square else others) for is_square in square))


def _shares(sides: np.ndarray | list[float], height: int) -> tuple[float, ...]:
    # a MultiBoxPrior measures sizes by the height, and as wide as the map's cells make them
    return tuple(float(side) / height for side in sides)


def _cells(table: np.ndarray, where: str) -> np.ndarray:
    """Lay a table out as (H, W, A, 4), in double precision."""
    if (table.ndim != 5 or table.shape[:2] != (1, 1) or table.shape[3] < 2
            or table.shape[4] % 4 or not table.size or not np.isfinite(table).all()):
        raise RunError(f"{where} has anchors of shape {table.shape}: that is no table of anchors")
    return table.astype("float64").reshape(*table.shape[2:4], -1, 4)
