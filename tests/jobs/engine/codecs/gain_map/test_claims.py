"""Claims in XMP that more lies in the file: removed whatever their form, written so that readers find the map."""

import pytest

from jobs.engine.codecs.gain_map.claims import removed, with_gain_map
from jobs.engine.codecs.metadata.xmp_outline import Unreadable, outline, value
from tests.jobs.engine.codecs.gain_map import files

KEPT = '<rdf:Description rdf:about="" xmlns:d="urn:d" d:kept="yes"/>'
H, C = files.HDRGM, files.CONTAINER
CAMERA = "http://ns.google.com/photos/1.0/camera/"
FORMS = {
    "attribute": f'<rdf:Description xmlns:hdrgm="{H}" hdrgm:Version="1.0"/>',
    "element": f'<rdf:Description xmlns:hdrgm="{H}"><hdrgm:Version>1.0</hdrgm:Version></rdf:Description>',
    "another prefix": f'<rdf:Description xmlns:zz="{H}" zz:Version="1.0"/>',
    "a default namespace": f'<rdf:Description xmlns="{H}"><Version>1.0</Version></rdf:Description>',
    "a directory": files.claim(100),
    "a directory by other prefixes": files.claim(100, "a", "b"),
    "among others": f'<rdf:Description xmlns:d="urn:d" xmlns:g="{H}" d:a="1" g:Version="1.0" d:b="2"/>',
    "Apple's": '<rdf:Description xmlns:a="http://ns.apple.com/HDRGainMap/1.0/" a:HDRGainMapVersion="65536"/>',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_claim_goes_and_the_rest_stays(form: str) -> None:
    found = removed(files.packet(FORMS[form] + KEPT))
    assert found.gain_map
    assert not found.video
    assert found.xmp is not None
    assert value(found.xmp, "urn:d", "kept") == "yes"
    for word in (b"hdr-gain-map", b"HDRGainMap", b"photos/1.0/container", b"Version="):
        assert word not in found.xmp
    assert removed(found.xmp).xmp == found.xmp


def test_a_motion_photos_video_is_told_apart() -> None:
    inner = f'<rdf:Description xmlns:c="{CAMERA}" c:MotionPhoto="1" c:MotionPhotoVersion="1" c:Other="stays"/>'
    found = removed(files.packet(inner + KEPT))
    assert (found.gain_map, found.video) == (False, True)
    assert found.xmp is not None
    assert value(found.xmp, CAMERA, "Other") == "stays"
    assert value(found.xmp, CAMERA, "MotionPhoto") is None
    inner = files.claim(100).replace(f'xmlns:hdrgm="{H}"', "").replace('hdrgm:Version="1.0"', "")
    found = removed(files.packet(inner.replace("GainMap", "MotionPhoto")))
    assert (found.gain_map, found.video) == (False, True)


def test_packets_without_a_claim_stay_byte_for_byte() -> None:
    for xmp in (files.packet(KEPT), b"no xml at all", b""):
        assert removed(xmp).xmp == xmp


@pytest.mark.parametrize(
    "xmp",
    [
        files.packet(FORMS["attribute"])[:-10],
        b"<!DOCTYPE a>" + files.packet(FORMS["attribute"]),
        f'<x xmlns:h="{H}" h:Version="1.0"/>'.encode(),
        files.packet(f'<rdf:Description><a><b xmlns="{H}"/></a></rdf:Description>'),
    ],
    ids=["cut off", "with entities", "no RDF", "too deep"],
)
def test_a_claim_that_cannot_be_cut_out_takes_the_packet_with_it(xmp: bytes) -> None:
    found = removed(xmp)
    assert (found.xmp, found.gain_map) == (None, True)


@pytest.mark.parametrize("xmp", [None, files.packet(KEPT), files.packet(""), files.packet(KEPT) + bytes(3)])
def test_a_written_claim_names_the_maps_length(xmp: bytes | None) -> None:
    made = with_gain_map(xmp, 12345)
    assert value(made, H, "Version") == "1.0"
    assert b'hdrgm:Version="1.0"' in made  # some readers know no other prefix
    assert b'<Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="12345"/>' in made
    assert made.index(b'"Primary"') < made.index(b'"GainMap"')
    if xmp and KEPT.encode() in xmp:
        assert value(made, "urn:d", "kept") == "yes"
    assert removed(made).gain_map


def test_all_descriptions_are_about_the_same() -> None:
    made = with_gain_map(files.packet('<rdf:Description rdf:about="uuid:1" xmlns:d="urn:d" d:a="b"/>'), 1)
    assert {each.about.strip() for each in outline(made).descriptions} == {b'rdf:about="uuid:1"'}


@pytest.mark.parametrize("xmp", [b"<x/>", b"no xml", files.packet("").replace(b"></rdf:RDF>", b"/>")])
def test_a_packet_without_a_place_for_the_claim_is_refused(xmp: bytes) -> None:
    with pytest.raises(Unreadable):
        with_gain_map(xmp, 1)
