"""The moving average of the parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ssdreg.mx import mx
from ssdreg.runs.params import Params
from ssdreg.training.averaging import Average


def params(value):
    return Params({"weight": mx.nd.full((2,), value)}, {"mean": mx.nd.full((2,), -value)})


def value(average):
    found = average.params
    np.testing.assert_array_equal(found.args["weight"].asnumpy(), -found.auxs["mean"].asnumpy())
    return float(found.args["weight"].asnumpy()[0])


def averaged(average, values, first=1):
    for step, number in enumerate(values, first):
        average.after(step, lambda number=number: params(number))
    return average


def test_older_parameters_count_less_by_their_age():
    average = Average(horizon=5.0)
    average.begin(params(0.0))
    # late enough that the whole horizon counts: 1 once, then 0
    averaged(average, [1.0, *[0.0] * 10], first=1000)
    assert value(average) == pytest.approx((1 - math.exp(-1 / 5)) * math.exp(-10 / 5), rel=1e-5)


def test_parameters_that_stay_are_their_own_average():
    average = Average(horizon=30.0)
    average.begin(params(3.0))
    assert value(averaged(average, [3.0] * 50)) == 3.0


def test_the_start_is_soon_forgotten():
    average = Average(horizon=1000.0)
    average.begin(params(100.0))
    assert abs(value(averaged(average, [0.0] * 1000))) < 0.01


def test_it_reads_the_parameters_a_few_times_in_its_horizon():
    average, reads = Average(horizon=80.0), []
    average.begin(params(0.0))

    def read():
        reads.append(1)
        return params(1.0)
    for step in range(1, 801):
        average.after(step, read)
    assert len(reads) == 80


def test_it_goes_on_where_it_was():
    values = np.random.RandomState(0).normal(size=60)
    whole, first, second = (Average(horizon=20.0) for _ in range(3))
    whole.begin(params(1.0))
    first.begin(params(1.0))
    averaged(whole, values)
    second.begin(averaged(first, values[:31]).params)
    assert value(averaged(second, values[31:], first=32)) == value(whole)
