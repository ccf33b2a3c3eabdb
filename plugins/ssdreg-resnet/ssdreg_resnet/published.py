"""Where weights for these networks are published.

A file's name ends in the first eight digits of its SHA-256. The full digest is declared where it is
known; else those eight, which detect a damaged download but no forgery.
"""

from __future__ import annotations

from ssdreg import Weights

TORCHVISION = "https://download.pytorch.org/models"
TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-rsb-weights"

V1 = "torchvision's IMAGENET1K_V1"
V2 = "torchvision's IMAGENET1K_V2, a longer recipe"
A1 = "timm's a1_in1k (Wightman et al., ResNet strikes back, 2021)"


def _torchvision(backbone: str, file: str, digest: str, name: str = "imagenet",
                 about: str = V1) -> Weights:
    return Weights(backbone=backbone, name=name, about=about, sha256=digest,
                   url=f"{TORCHVISION}/{file}-{digest[:8]}.pth",
                   names="ssdreg_resnet.names:from_torch", licence="BSD-3-Clause")


def _torchvision_v2(backbone: str, file: str, digest: str) -> Weights:
    return _torchvision(backbone, file, digest, "imagenet_v2", V2)


def _timm(depth: int, digest: str) -> Weights:
    return Weights(backbone=f"resnet{depth}_v1b", name="timm_a1", about=A1, sha256=digest,
                   url=f"{TIMM}/resnet{depth}_a1_0-{digest[:8]}.pth",
                   names="ssdreg_resnet.names:from_torch", licence="Apache-2.0")


#: A network's default comes first: that of the plain recipe.
WEIGHTS = (
    _torchvision("resnet18_v1b", "resnet18",
                 "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    _timm(18, "d63eafa07a6e32a39d328e364f8c9f89d671444ecc7f02aa0f7eb8882af3dd29"),
    _torchvision("resnet34_v1b", "resnet34",
                 "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"),
    _timm(34, "46f8f7930534e471b9a139b278896db5d11d17b8ea3fcc90ad43deed9e5e27d7"),
    _torchvision("resnet50_v1b", "resnet50",
                 "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
    _torchvision_v2("resnet50_v1b", "resnet50",
                    "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca"),
    _timm(50, "14fe96d1f9fb311a60490082d2077e6e60427dcfe21839ddf934cce948f72b0f"),
    _torchvision("resnet101_v1b", "resnet101",
                 "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a"),
    _torchvision_v2("resnet101_v1b", "resnet101", "cd907fc2"),
    _timm(101, "cdcb52a9df09a641606696e5520e4fbbe8256ee4983d8b4dd1a1ef87a9b8846f"),
    _torchvision("resnet152_v1b", "resnet152",
                 "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58"),
    _torchvision_v2("resnet152_v1b", "resnet152", "f82ba261"),
    _torchvision("resnext50_32x4d", "resnext50_32x4d", "7cdf4587"),
    _torchvision_v2("resnext50_32x4d", "resnext50_32x4d", "1a0047aa"),
    _torchvision("resnext101_32x8d", "resnext101_32x8d", "8ba56ff5"),
    _torchvision_v2("resnext101_32x8d", "resnext101_32x8d", "110c445d"),
)
