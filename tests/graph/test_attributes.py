"""An operator's settings, however MXNet's versions have written them."""

from __future__ import annotations

import pytest

from ssdreg.graph.attributes import Attributes
from ssdreg.mx import mx


def of(text):
    return Attributes({"it": text})


@pytest.mark.parametrize("text", ["(3, 5)", "(3,5)", "[3,5]", "[3, 5]", "(3L, 5L)", " ( 3 , 5 ) "])
def test_pairs(text):
    assert of(text).sequence("it") == (3, 5)
    assert of(text).pair("it", 1) == (3, 5)
    assert of(text).extent("it", 2, 1) == (3, 5)
    assert of(text).numbers("it") == (3.0, 5.0)
    assert all(isinstance(number, float) for number in of(text).numbers("it"))


@pytest.mark.parametrize("text", ["3", "(3,)", "(3)", "[3]", "3L", "(3L,)"])
def test_a_single_number_is_both_sides(text):
    assert of(text).sequence("it") == (3,)
    assert of(text).pair("it", 1) == (3, 3)


@pytest.mark.parametrize("text", ["()", "[]", "", "None"])
def test_nothing_is_the_default(text):
    attrs = of(text)
    assert attrs.sequence("it") == ()
    assert attrs.pair("it", 7) == (7, 7)
    assert attrs.extent("it", 3, 1) == (1, 1, 1)
    assert attrs.numbers("it", (0.1, 0.2)) == (0.1, 0.2)


def test_entries_may_be_missing_or_fractions():
    assert of("(None, None, 1, -1)").sequence("it") == (None, None, 1, -1)
    assert of("(0.1, 1e-05, 2)").sequence("it") == (0.1, 1e-5, 2)
    assert of("[0.1,0.14]").numbers("it") == (0.1, 0.14)


@pytest.mark.parametrize(("text", "expected"), [
    ("True", True), ("true", True), ("1", True), ("False", False), ("false", False), ("0", False)])
def test_flags(text, expected):
    assert of(text).flag("it") is expected
    # as MXNet does
    assert mx.nd.ones((1, 3)).sum(axis=1, keepdims=text).ndim == (2 if expected else 1)


def test_what_is_not_set_has_the_default_that_is_asked_with():
    attrs = Attributes({"none": "None", "layout": "NCHW", "number": "3L"})
    assert not attrs.given("none")
    assert not attrs.given("missing")
    assert (attrs.text("layout"), attrs.text("none", "NHWC"), attrs["layout"]) == (
        "NCHW", "NHWC", "NCHW")
    assert (attrs.integer("number"), attrs.integer("none", 4), attrs.number("missing", 2.5)) == (
        3, 4, 2.5)
    assert attrs.flag("missing", True)
    with pytest.raises(KeyError):
        attrs["missing"]


@pytest.mark.parametrize("text", ["(a, b)", "__import__('os')", "((1, 2), (3, 4))"])
def test_what_is_no_number_is_an_error_of_value(text):
    with pytest.raises(ValueError, match="could not convert"):
        of(text).sequence("it")
    with pytest.raises(ValueError, match="could not convert"):
        of(text).numbers("it")
