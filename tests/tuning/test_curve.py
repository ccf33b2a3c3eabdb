"""The rates that a range test leaves to the search, on curves whose shape is known."""

from __future__ import annotations

import math

import pytest

from ssdreg.errors import RunError
from ssdreg.tuning.curve import RateCurve, is_divergent, read_curve, write_curve

STEPS = 61
#: A decade of the rate has ten steps.
RATES = tuple(10**(-6 + index / 10) for index in range(STEPS))


def falling(begin, end):
    """Return losses of 5 that fall to 1 between two rates, straight over the logarithm."""
    def loss(rate):
        share = (math.log10(rate) - math.log10(begin)) / (math.log10(end) - math.log10(begin))
        return 5 - 4 * min(1, max(0, share))
    return [loss(rate) for rate in RATES]


def test_rates_are_bounded_by_where_the_loss_falls():
    losses = falling(1e-4, 1e-2)
    rising = [loss if rate < 0.1 else loss * 10 for rate, loss in zip(RATES, losses)]
    curve = RateCurve(RATES, rising)
    assert 0.5e-4 < curve.begin < 2e-4
    assert 1e-4 < curve.lowest <= curve.steepest < 1e-2
    assert 1e-2 <= curve.highest < 0.1
    assert curve.lowest < curve.middle < curve.highest
    # the trailing mean needs some steps to rise
    assert 0.1 < curve.divergence < 1
    assert curve.falls


def test_a_loss_that_never_falls_or_diverges_says_so():
    rising = RateCurve(RATES, [1 + 0.01 * index for index in range(STEPS)])
    assert not rising.falls
    assert rising.divergence == math.inf
    assert rising.lowest <= rising.highest


def test_a_steep_fall_still_leaves_a_decade():
    curve = RateCurve(RATES, falling(9e-3, 1e-2))
    assert curve.lowest <= curve.highest / 10


def test_no_number_is_divergence():
    assert is_divergent([1.0, 1.0, math.nan])
    assert is_divergent([1.0, math.inf])
    assert not is_divergent([1.0, 2.0, 0.5])


def test_a_curve_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "lr_range.csv"
    curve = RateCurve(RATES, falling(1e-4, 1e-2))
    write_curve(file, curve)
    assert read_curve(file).losses == pytest.approx(curve.losses)
    assert read_curve(file).rates == pytest.approx(curve.rates)


@pytest.mark.parametrize("text", ["", "rate,loss\n1,2\n", "rate,loss\n1,2\n3,x\n5,6\n",
                                  "a,b\n1,2\n"])
def test_another_table_is_refused(tmp_path, text):
    file = tmp_path / "lr_range.csv"
    file.write_text(text)
    with pytest.raises(RunError, match="is not the range test"):
        read_curve(file)
