"""The table of colours is what its rule says, and what it promises holds.

Sights other than the normal one are simulated as in Machado et al., "A Physiologically-based Model
for Simulation of Color Vision Deficiency" (2009): protanopia, deuteranopia, tritanopia. Distances
are Euclidean in Oklab (Ottosson, 2020), where equal steps look about equal.
"""

from __future__ import annotations

import numpy as np
from ssdreg_runtime.draw.palette import COLORS, class_colors

SIGHTS = np.array([
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
     [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
     [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
     [0.004733, 0.691367, 0.303900]]])

RGB_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                       [0.2119034982, 0.6806995451, 0.1073969566],
                       [0.0883024619, 0.2817188376, 0.6299787005]])
LMS_TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                         [1.9779984951, -2.4285922050, 0.4505937099],
                         [0.0259040371, 0.7827717662, -0.8086757660]])


def linear(colors):
    """Return sRGB 0..255 as linear light 0..1."""
    scaled = np.asarray(colors) / 255
    return np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)


def oklab(light):
    return np.cbrt(light @ RGB_TO_LMS.T) @ LMS_TO_OKLAB.T


def as_seen(colors):
    """Return (N, 3) sRGB colours as (4, N, 3) in Oklab, one block a kind of sight."""
    return oklab(np.clip(linear(colors) @ SIGHTS.transpose(0, 2, 1), 0, 1))


def distance(seen, color):
    """Return the (N,) distances of `seen` (4, N, 3) from `color` in the worst kind of sight."""
    return np.linalg.norm(seen - as_seen([color]), axis=2).min(axis=0)


def test_each_is_the_farthest_from_all_before_it():
    steps = np.arange(0, 256, 17)
    candidates = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lightness = oklab(linear(candidates))[:, 0]
    # near-black and near-white would be lost in the dark and light edges of a box
    candidates = candidates[(lightness > 0.35) & (lightness < 0.93)]
    seen = as_seen(candidates)
    nearest = np.min([distance(seen, color) for color in COLORS[:7]], axis=0)
    for color in COLORS[7:]:
        place = int(np.flatnonzero((candidates == color).all(axis=1))[0])
        # of colours that are as far, sums in another order may prefer another
        assert nearest[place] >= nearest.max() - 1e-9
        nearest = np.minimum(nearest, distance(seen, color))


def test_the_closest_two_are_told_apart():
    seen = as_seen(COLORS[:100])
    for place in range(1, 100):
        assert distance(seen[:, :place], COLORS[place]).min() > 0.028


def test_more_classes_than_colours_begin_again():
    assert len(set(COLORS)) == len(COLORS) == 256
    many = class_colors(600)
    assert many == COLORS + COLORS + COLORS[:88]
