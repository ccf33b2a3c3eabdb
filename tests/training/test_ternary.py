"""Ternary numbers: sums of packed ones are those of the numbers, for any number of processes."""

from __future__ import annotations

import numpy as np
import pytest

from ssdreg.training.ternary import Packing, chosen


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 8, 64])
@pytest.mark.parametrize("count", [1, 33, 1000])
def test_sums_of_packed_numbers_are_exact(processes, count):
    packing, generator = Packing(processes), np.random.default_rng(processes)
    numbers = [generator.integers(-1, 2, count).astype(np.int8) for _ in range(processes)]
    numbers[0][:] = 1
    packed = [packing.pack(each) for each in numbers]
    sums = packing.unpack(np.sum(packed, 0), count)
    np.testing.assert_array_equal(sums, np.sum(numbers, 0, dtype=np.int64))
    assert packed[0].nbytes <= 8 * (count / packing.digits + 1)


@pytest.mark.parametrize("value", [-1, 1])
def test_the_greatest_sums_are_exact(value):
    """All processes say the same: the greatest digits that there are."""
    for processes in (1, 2, 5, 1000):
        packing = Packing(processes)
        packed = packing.pack(np.full(50, value, np.int8)) * processes
        np.testing.assert_array_equal(packing.unpack(packed, 50), np.full(50, value * processes))


def test_two_processes_need_three_bits_a_number():
    assert Packing(2).digits == 22
    assert Packing(4).digits == 16


def test_what_is_not_sent_is_sent_later():
    """Of a gradient that stays the same, half a step at most is missing at any time."""
    gradient = np.random.default_rng(0).normal(0, 1, 1000).astype(np.float32)
    kept, total, step = np.zeros_like(gradient), np.zeros_like(gradient), 3.0
    for count in range(1, 101):
        total += np.float32(step) * chosen(gradient, kept, step)
        assert np.abs(total - count * gradient.clip(-step, step)).max() <= step / 2 + 1e-3
    assert np.abs(kept).max() <= step / 2


def test_nothing_is_sent_of_nothing():
    kept = np.zeros(3, np.float32)
    np.testing.assert_array_equal(chosen(np.zeros(3, np.float32), kept, 0.0), [0, 0, 0])
