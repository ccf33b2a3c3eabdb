"""Declarations from the zoos' own lists; nothing is imported or built."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import ssdreg
from ssdreg_gluon import store
from ssdreg_gluon.families import FAMILIES
from ssdreg_gluon.zoo import ZOOS, digests, networks

#: What both zoos' weights expect: mean and standard deviation of ImageNet, scaled to 0..255.
IMAGENET_PREPROCESSING = ssdreg.Preprocessing(mean=(123.675, 116.28, 103.53),
                                              std=(58.395, 57.12, 57.375))


def backbones() -> Iterator[ssdreg.Backbone]:
    """Yield a declaration, without taps, for every network of a known family.

    ssdreg finds the taps on the graph when they are first used.
    """
    for zoo in ZOOS.values():
        for network in networks(zoo):
            for family in FAMILIES:
                depth = family.depth_of(network)
                if depth is not None:
                    yield ssdreg.Backbone(
                        name=f"{zoo.name}.{network}", family=f"{zoo.name}-{family.name}",
                        depth=depth, build="ssdreg_gluon.network:symbol",
                        arguments={"zoo": zoo.name, "network": network},
                        projections=family.projections, stops_at=family.stops_at,
                        paper=family.paper, preprocessing=IMAGENET_PREPROCESSING)


def weights() -> Iterator[ssdreg.Weights]:
    """Yield the weights in the zoos' stores, for the networks that are declared."""
    for backbone in backbones():
        arguments = dict(backbone.arguments)
        if arguments["network"] in digests(ZOOS[arguments["zoo"]]):
            yield ssdreg.Weights(
                backbone=backbone.name,
                locate=partial(store.locate, **arguments),
                fetch=partial(store.fetch, **arguments),
                names=partial(store.rename, **arguments),
                about=f"ImageNet, from the store of {ZOOS[arguments['zoo']].module}")
