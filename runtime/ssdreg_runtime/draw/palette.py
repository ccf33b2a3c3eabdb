"""Colours for any number of classes that people with and without colour blindness tell apart.

The first seven are the palette of Okabe and Ito, "Color Universal Design" (2008), without its
black. Each further colour is the one farthest from all before it in the worst of four kinds of
sight, among those of red, green and blue in steps of 17: `tests/draw/test_palette.py` holds the
rule, and finds this table by it. From about 200 on the closest two differ by what is just noticed,
so the colours of more classes than there are here begin again.
"""

from __future__ import annotations

from functools import cache

Color = tuple[int, int, int]

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

_OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167))

#: A hexadecimal digit a channel, as CSS has them: ``620`` is (102, 34, 0).
_FARTHEST = """
    620 8fe 337 755 96f aca 01d b10 62a bea a48 060 6de 534 ba7 eb6 82f c3c 98f 675 837 e73
    f7c d0a 644 f8f 9a9 b7d f27 509 07d 9ec d03 cbc 4d7 a95 0ab fbf 878 73b 616 de8 dc2 24d
    939 685 9ba ada a03 722 da5 5f6 699 ccc 00b d2e 95b 738 f5b 083 726 b6c c9d 76c ddf a36
    0c4 7c8 466 169 afb d6f 743 857 355 f57 664 438 4bf 342 c07 8cd 893 915 a88 7b8 668 70e
    7e7 809 a0c 779 a5d 40a 52b 65b 595 67a c21 a9c fdd 249 bd5 a7a db9 769 473 60c 058 ea3
    637 445 77e ab6 dd8 c50 79e fad ec9 a67 730 64a 39d 813 bdd 8be 85a 45d e9c 88b 044 974
    e5d dab 508 c70 e14 966 f66 ac5 cbf 7a8 435 844 28c aaa 765 736 ebb 79a cc8 6db 0ee aeb
    b8b c7e 788 5a5 98c 8f9 76e ee1 cd0 987 c0b aaf ca9 49f d93 8df a6b 8b9 e7e 617 85f 9c9
    a46 b98 7ce d74 74c 03d a7e d69 0fd 708 74e 32f bc7 a99 689 b43 cad e86 ce6 584 543 bed
    6b7 bf5 aee dec 574 8d0 751 b66 d7d 288 392 e8b 598 0e9 4ba 0a4 00c 68f bb3 05a 6c7 a32
    c59 9fa 9a4 20e c63 96a fc5 175 91a edb 6a6 ca4 696 d9f a0e 84f 457 f3c 711 623 9ad b56
    8e6 938 0e4 556 2a9 567 949
"""

COLORS: tuple[Color, ...] = (*_OKABE_ITO, *(
    (17 * int(digits[0], 16), 17 * int(digits[1], 16), 17 * int(digits[2], 16))
    for digits in _FARTHEST.split()))

#: The brightness of sRGB's red, green and blue in linear light (WCAG 2, relative luminance).
_LUMINANCE = (0.2126, 0.7152, 0.0722)


@cache
def class_colors(count: int) -> tuple[Color, ...]:
    """Return `count` RGB colours, 0 to 255; more classes never change the colours of the first."""
    return tuple(COLORS[place % len(COLORS)] for place in range(count))


def text_color(background: Color) -> Color:
    """Return black or white, whichever has more contrast (WCAG 2) on `background`."""
    luminance = sum(share * _linear(channel) for share, channel in zip(_LUMINANCE, background))
    return BLACK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else WHITE


def _linear(channel: int) -> float:
    """Return a channel of sRGB, 0 to 255, as linear light, 0 to 1."""
    scaled = channel / 255
    return scaled / 12.92 if scaled <= 0.04045 else ((scaled + 0.055) / 1.055) ** 2.4
