from ssdreg.testing import conformance

test_conformance = conformance("ssdreg-densenet",
                               graph_only=("densenet161", "densenet169", "densenet201"))
