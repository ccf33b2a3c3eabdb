from ssdreg.testing import conformance

test_conformance = conformance(
    "ssdreg-resnet", graph_only=("resnet101_v1b", "resnet152_v1b", "resnext101_32x8d"))
