from ssdreg.testing import conformance

test_conformance = conformance("ssdreg-gluon", "gluon.*", graph_only=(
    "gluon.resnet101_v?", "gluon.resnet152_v?", "gluon.vgg1[369]*", "gluon.densenet1[56]?",
    "gluon.densenet2*"))
