"""Colours for any number of classes that people with and without colour blindness tell apart.

The first seven are the palette of Okabe and Ito, "Color Universal Design" (2008), without its
black. Each further colour is the one farthest from all before it, judged by the worst of four
kinds of sight: normal, protanopia, deuteranopia and tritanopia, simulated as in Machado et al.,
"A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009). Distances are
Euclidean in Oklab (Ottosson, 2020), where equal steps look about equal.
"""

from __future__ import annotations

from functools import cache

import numpy as np

Color = tuple[int, int, int]

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

_OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167))

_SIGHTS = np.array([
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
     [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
     [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
     [0.004733, 0.691367, 0.303900]]])

_RGB_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                        [0.2119034982, 0.6806995451, 0.1073969566],
                        [0.0883024619, 0.2817188376, 0.6299787005]])
_LMS_TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                          [1.9779984951, -2.4285922050, 0.4505937099],
                          [0.0259040371, 0.7827717662, -0.8086757660]])

#: The brightness of sRGB's red, green and blue in linear light (WCAG 2, relative luminance).
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@cache
def class_colors(count: int) -> tuple[Color, ...]:
    """Return `count` RGB colours, 0 to 255; more classes never change the colours of the first."""
    colors = list(_OKABE_ITO[:count])
    if count <= len(colors):
        return tuple(colors)
    steps = np.arange(0, 256, 17)
    candidates = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lightness = _oklab(_linear(candidates))[:, 0]
    # near-black and near-white would be lost in the dark and light edges of a box
    candidates = candidates[(lightness > 0.35) & (lightness < 0.93)]
    seen = _as_seen(candidates)
    distance = np.min([_distance(seen, color) for color in colors], axis=0)
    while len(colors) < count:
        farthest = int(distance.argmax())
        red, green, blue = (int(channel) for channel in candidates[farthest])
        color: Color = (red, green, blue)
        colors.append(color)
        distance = np.minimum(distance, _distance(seen, color))
    return tuple(colors)


def text_color(background: Color) -> Color:
    """Return black or white, whichever has more contrast (WCAG 2) on `background`."""
    luminance = float(_linear(np.array(background)) @ _LUMINANCE)
    return BLACK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else WHITE


def _linear(colors: np.ndarray) -> np.ndarray:
    """Return sRGB 0..255 as linear light 0..1."""
    scaled = colors / 255
    return np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)


def _oklab(linear: np.ndarray) -> np.ndarray:
    return np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_OKLAB.T


def _as_seen(colors: np.ndarray) -> np.ndarray:
    """Return (N, 3) sRGB colours as (4, N, 3) in Oklab, one block a kind of sight."""
    return _oklab(np.clip(_linear(colors) @ _SIGHTS.transpose(0, 2, 1), 0, 1))


def _distance(seen: np.ndarray, color: Color) -> np.ndarray:
    """Return the (N,) distances of `seen` (4, N, 3) from `color` in the worst kind of sight."""
    return np.linalg.norm(seen - _as_seen(np.array([color])), axis=2).min(axis=0)
