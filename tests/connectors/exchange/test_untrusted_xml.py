"""Reading untrusted XML: names, refused documents, and limits on length and depth."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import Malformed
from entrenous.connectors.exchange.untrusted_pages import XML_DEPTH_MAX, read_xml
from entrenous.stop.exchange_nouns import BadXml, TooLong

BILLION_LAUGHS = b"""<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>"""


def test_xml_names_have_no_namespace() -> None:
    root = read_xml(b'<a xmlns="urn:x" xmlns:y="urn:y"><y:b id="1">t&amp;u</y:b><b/></a>', 1000)
    inside = root.descendant("b")
    assert inside is not None
    assert (root.name, inside.attributes, inside.text) == ("a", {"id": "1"}, "t&u")
    assert len(list(root.children_named("b"))) == 2
    assert root.descendant("b", "c") is None


@pytest.mark.parametrize(
    "xml",
    [
        BILLION_LAUGHS,
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<!DOCTYPE a><a/>",
        b"",
        b"<a>",
        b"<a/><b/>",
        b"<a>&nbsp;</a>",
        b"\xff\xfe<\0a\0/\0>\0",
        b"<a>\0</a>",
        b"<a>" * (XML_DEPTH_MAX + 1) + b"</a>" * (XML_DEPTH_MAX + 1),
    ],
)
def test_malformed_or_risky_xml_is_refused(xml: bytes) -> None:
    with pytest.raises(BadXml):
        read_xml(xml, 10_000)


def test_xml_of_the_maximum_depth_is_accepted() -> None:
    read_xml(b"<a>" * XML_DEPTH_MAX + b"</a>" * XML_DEPTH_MAX, 10_000)


def test_xml_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TooLong):
        read_xml(b"<a/>", 3)


@given(st.binary(max_size=200) | st.text(alphabet="<>/a&;!=\"' [", max_size=60).map(str.encode))
def test_random_bytes_as_xml_raise_only_malformed(random_bytes: bytes) -> None:
    with suppress(Malformed):
        read_xml(random_bytes, 1000)
