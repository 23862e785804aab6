"""Properties of XMP packets: found, cut, and packets refused that are made to exhaust their reader."""

import pytest

from jobs.engine.codecs.metadata.xmp_outline import Unreadable, outline, value, values, without

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def packet(inner: str) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{inner}</rdf:RDF></x:xmpmeta>'.encode()


FORMS = {
    "attribute": '<rdf:Description rdf:about="" xmlns:a="urn:a" xmlns:b="urn:b" a:p="1" b:q="2"/>',
    "element": '<rdf:Description xmlns:a="urn:a" xmlns:b="urn:b"><a:p>1</a:p>\n <b:q>2</b:q></rdf:Description>',
    "own prefix": '<rdf:Description><z:p xmlns:z="urn:a">1</z:p><b:q xmlns:b="urn:b">2</b:q></rdf:Description>',
    "no prefix": '<rdf:Description xmlns="urn:a" xmlns:b="urn:b" b:q="2"><p>1</p></rdf:Description>',
    "single quotes": "<rdf:Description xmlns:a='urn:a' a:p = '1' xmlns:b='urn:b' b:q='2'/>",
    "array": '<rdf:Description xmlns:a="urn:a" xmlns:b="urn:b" b:q="2">'
    "<a:p><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></a:p></rdf:Description>",
    "two": '<rdf:Description xmlns:a="urn:a" a:p="1"/><rdf:Description xmlns:a="urn:b" a:q="2"/>',
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_property_is_found_by_its_namespace_and_cut_alone(form: str) -> None:
    data = packet(FORMS[form])
    assert value(data, "urn:a", "p") == "1"
    rest = without(data, lambda one: one.namespace == "urn:a")
    assert value(rest, "urn:a", "p") is None
    assert value(rest, "urn:b", "q") == "2"
    assert without(data, lambda one: False) == data


def test_the_items_of_an_array_are_read() -> None:
    inner = '<rdf:Description xmlns:a="urn:a"><a:p><rdf:Seq>' + "".join(f"<rdf:li> {i}.5 </rdf:li>" for i in range(3))
    assert values(packet(inner + "</rdf:Seq></a:p></rdf:Description>"), "urn:a", "p") == ["0.5", "1.5", "2.5"]


def test_zeros_behind_the_packet_do_no_harm() -> None:
    assert value(packet(FORMS["attribute"]) + bytes(5), "urn:a", "p") == "1"


REFUSED = {
    "empty": b"",
    "no xml": b"\0\1\2",
    "not closed": packet(FORMS["attribute"])[:-20],
    "entities": b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + packet(FORMS["attribute"]),
    "utf-16": packet(FORMS["attribute"]).decode().encode("utf-16"),
    "deep": packet("<a>" * 5000 + "</a>" * 5000),
    "many elements": packet("<rdf:Description><a>" + "<b/>" * 600_000 + "</a></rdf:Description>"),
    "many properties": packet("<rdf:Description>" + "<b/>" * 20_000 + "</rdf:Description>"),
    "many descriptions": packet("<rdf:Description/>" * 20_000),
    "many namespaces": packet("<rdf:Description " + " ".join(f'xmlns:n{i}="u{i}"' for i in range(2000)) + "/>"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_packets_that_no_honest_program_writes_are_refused(kind: str) -> None:
    with pytest.raises(Unreadable):
        outline(REFUSED[kind])
