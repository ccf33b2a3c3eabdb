"""GluonCV's SSD presets with the weights in its store.

GluonCV need not be installed: a file of parameters holds what ssdreg needs to know of a preset.
The digests are those of GluonCV 0.10.5, its last release.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import ssdreg
from ssdreg_gluon import store
from ssdreg_gluon.classes import COCO, VOC

#: Where Gluon's files lie, each in an archive of its own.
URL = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/models"

#: The presets that have weights, with the SHA-1 of their parameters.
DIGESTS = {
    "ssd_300_vgg16_atrous_voc": "0e169fbb64efdee6985c3c175ec4298c4bda0298",
    "ssd_300_vgg16_atrous_coco": "b302ad8a8660345c368448141d8acf30b5a3801d",
    "ssd_300_resnet34_v1b_coco": "ade34ff72a2418fac94afe1048bc305b980c83c5",
    "ssd_512_vgg16_atrous_voc": "daf8181b615b480236fcb8474545077891276945",
    "ssd_512_vgg16_atrous_coco": "5c86064290c05eccbdd88475376c71c595c8325c",
    "ssd_512_resnet50_v1_voc": "9c8b225a552614e4284a0f647331bfdc6940eb4a",
    "ssd_512_resnet50_v1_coco": "c48351620d4f0cbc49e4f7a84c8e67ef8fdc6e09",
    "ssd_512_resnet101_v2_voc": "2cc0f93edf1467f428018cc7261d3246dfa15259",
    "ssd_512_mobilenet1.0_voc": "37c180765a4eb3e67751d6bacac47bb9156f5fff",
    "ssd_512_mobilenet1.0_coco": "da9756faa5b9b4e34dedcf83ee0733d5895796ad",
}
#: What is wrong with some; opening one warns of it too, with the nodes.
WRONG = {
    "ssd_512_resnet101_v2_voc": "; it taps places inside blocks, so that 28 % of the network's "
                                "weights detect nothing",
    "ssd_300_resnet34_v1b_coco": "; its third stage stays at stride 8, where it taps the second",
}


def detectors() -> Iterator[ssdreg.DetectorWeights]:
    """Yield a declaration for every preset that has weights."""
    for name, digest in DIGESTS.items():
        data, classes = ("VOC", VOC) if name.endswith("_voc") else ("COCO", COCO)
        file = f"{name}-{digest[:8]}"
        yield ssdreg.DetectorWeights(
            name=name, classes=classes, url=f"{URL}/{file}.zip", member=f"{file}.params",
            sha1=digest, locate=partial(store.stored, file=f"{file}.params"),
            licence="Apache-2.0", about=f"GluonCV's, trained on {data}{WRONG.get(name, '')}")
