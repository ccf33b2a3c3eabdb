"""Files changed by chance: bytes altered, cut out, repeated, and ends cut off."""

from __future__ import annotations


def mutated(content, chance):
    """Return the bytes with one to eight changes that `chance`, a `random.Random`, makes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if len(data) < 2:
            break
        CHANGES[chance.randrange(len(CHANGES))](data, chance)
    return bytes(data)


def _alter(data, chance):
    data[chance.randrange(len(data))] = chance.randrange(256)


def _alter_head(data, chance):
    """Alter one of the first bytes, which say what all others mean."""
    data[chance.randrange(min(64, len(data)))] = chance.choice((0, 1, 127, 128, 255))


def _cut_out(data, chance):
    start = chance.randrange(len(data))
    del data[start:start + chance.randint(1, 32)]


def _repeat(data, chance):
    start = chance.randrange(len(data))
    data[start:start] = data[start:start + chance.randint(1, 32)]


def _cut_off(data, chance):
    del data[chance.randrange(len(data) // 2, len(data)):]


def _fill(data, chance):
    start = chance.randrange(len(data))
    length = min(chance.randint(1, 16), len(data) - start)
    data[start:start + length] = bytes([chance.choice((0, 255))]) * length


CHANGES = (_alter, _alter, _alter_head, _cut_out, _repeat, _cut_off, _fill)
