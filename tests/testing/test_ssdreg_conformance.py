from ssdreg.testing import conformance, subjects_of

#: What test_engines.py holds to all promises is left out here.
EXAMINED = [subject.title for subject in subjects_of("ssdreg")
            if subject.title != "engine mxnet"]

# what resnet101 computes, test_reference.py holds
test_conformance = conformance(
    "ssdreg", *EXAMINED, graph_only=("resnet101", "resnet152", "resnet200", "resnet269"))
