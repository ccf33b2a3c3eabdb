from ssdreg.testing import conformance

test_conformance = conformance("ssdreg-torchvision")
