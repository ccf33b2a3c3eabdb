"""XML of strangers: a document, or a sentence."""

from __future__ import annotations

import pytest
from ssdreg_runtime.system.xml_file import read_xml


def test_a_document(tmp_path):
    file = tmp_path / "a.xml"
    file.write_text('<?xml version="1.0"?><a><b c="1">text</b></a>')
    root = read_xml(file, 100)
    assert (root.tag, root[0].get("c"), root.findtext("b")) == ("a", "1", "text")


@pytest.mark.parametrize(("text", "reason"), [
    ("", "it is no XML, or it is truncated: no element found"),
    ("<a>", "it is no XML, or it is truncated: no element found"),
    ('<?xml version="1.0" encoding="foo"?><a/>',
     "it declares the encoding 'foo', which nobody knows"),
    ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "it declares the entity 'b', which is not read"),
    ('<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/passwd">]><a>&b;</a>', "it declares the entity 'b'"),
    ('<!DOCTYPE a [<!ENTITY % p SYSTEM "/etc/passwd"> %p;]><a/>', "it declares the entity 'p'"),
    ('<!DOCTYPE a SYSTEM "a.dtd"><a>&foo;</a>', "undefined entity &foo;"),
    ("<a>" + "b" * 100 + "</a>", "it has 107 bytes, and none of its kind has more than 100"),
])
def test_what_is_refused(tmp_path, text, reason):
    file = tmp_path / "a.xml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"^it ") as error:
        read_xml(file, 100)
    assert reason in str(error.value)
