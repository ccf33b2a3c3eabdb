"""Numbers of three values, -1, 0 and 1, packed so that sums of packed ones are packed sums.

A server that adds up float64 can then add up the numbers of many processes without knowing of it,
and its answer is as short as what it was sent.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen, validators

#: Whole numbers below two to the power of this are exact in float64.
_EXACT_BITS = 53
#: What a 1 stands for, in root mean squares of a gradient; larger values are cut off there.
STEP = 3.0


@frozen
class Packing:
    """Ternary numbers as the digits of float64 numbers, which so many processes can add up.

    A digit of a sum is one of 2 P + 1 values; a float64 holds as many of them as 53 bits do.
    """

    processes: int = field(validator=validators.ge(1))

    @property
    def base(self) -> int:
        """How many values a digit of a sum has."""
        return 2 * self.processes + 1

    @property
    def digits(self) -> int:
        """How many digits a float64 holds."""
        count = 0
        while self.base**(count + 1) <= 2**_EXACT_BITS:
            count += 1
        return count

    def pack(self, signs: np.ndarray) -> np.ndarray:
        """Pack numbers (N,) of -1, 0 and 1 into float64."""
        rows = -(-len(signs) // self.digits)
        padded = np.ones((rows * self.digits,), np.float64)  # a 0 is the digit 1
        padded[:len(signs)] += signs
        return padded.reshape(rows, self.digits) @ (float(self.base)**np.arange(self.digits))

    def unpack(self, sums: np.ndarray, count: int) -> np.ndarray:
        """Return so many sums (N,), from -P to P, int64, of the packed sums of all processes."""
        rest = sums.astype(np.int64)
        unpacked = np.empty((len(rest), self.digits), np.int64)
        for digit in range(self.digits):
            rest, unpacked[:, digit] = np.divmod(rest, self.base)
        return unpacked.reshape(-1)[:count] - self.processes


def chosen(gradient: np.ndarray, kept: np.ndarray, step: float) -> np.ndarray:
    """Return what is sent of a gradient (N,) in steps: -1, 0 and 1, int8.

    `kept` (N,), float32, is what was not sent of the gradients before, to which this one is added
    and from which goes what is sent. It stays within half a step where the step does not change.
    """
    kept += gradient.clip(-step, step)
    signs = (kept > step / 2).astype(np.int8) - (kept < -step / 2).astype(np.int8)
    kept -= np.float32(step) * signs
    return signs
