"""Conformance: does a plug-in keep what it promises?

A plug-in's whole test file:

    from ssdreg.testing import conformance

    test_conformance = conformance("ssdreg-mobilenet")

Importing this imports neither MXNet nor pytest.
"""

from ssdreg.errors import ConformanceError
from ssdreg.testing.checks import BACKBONE_CHECKS, HEAD_CHECKS, checks_for
from ssdreg.testing.data_formats import FORMAT_CHECKS, FormatExamination
from ssdreg.testing.distribution import subjects_of
from ssdreg.testing.engines import ENGINE_CHECKS, EngineExamination
from ssdreg.testing.examination import Check, Examination
from ssdreg.testing.examining import examine
from ssdreg.testing.package import PACKAGE_CHECKS, Package, PackageCheck
from ssdreg.testing.pytest_items import conformance
from ssdreg.testing.verdict import EngineSubject, FormatSubject, Subject, Verdict

__all__ = [
    "BACKBONE_CHECKS", "ENGINE_CHECKS", "FORMAT_CHECKS", "HEAD_CHECKS", "PACKAGE_CHECKS", "Check",
    "ConformanceError", "EngineExamination", "EngineSubject", "Examination", "FormatExamination",
    "FormatSubject",
    "Package", "PackageCheck", "Subject", "Verdict", "checks_for", "conformance", "examine",
    "subjects_of",
]
