"""A catalogue's mistakes are told by entry, key and what is expected; right entries beside them hold."""

import re
from pathlib import Path
from typing import Any

import pytest

from modelstore.catalog import OFFICIAL
from modelstore.catalogs.entry import Rules
from modelstore.catalogs.toml_file import MOST_BYTES, MOST_ENTRIES, NotACatalog, Reading, read
from modelstore.states import Use
from tests.modelstore.catalogs.listing import entry, written

RULES = Rules(most_model_bytes=1_000_000_000, allow_private=False)
OTHER = "b" * 64


def reading(*entries: dict[str, Any], rules: Rules = RULES) -> Reading:
    return read(written(*entries), rules)


def test_an_entry_is_what_the_few_lines_say() -> None:
    (listed,) = reading(
        entry(homepage="https://openmodeldb.info/models/4x-test", description="Lines stay lines", example=None)
    ).entries
    assert (listed.name, listed.use, listed.licence, listed.author) == (
        "4x-test", Use.ILLUSTRATION, "CC-BY-4.0", "Somebody",
    )  # fmt: skip
    assert listed.facts["sources"] == [["huggingface", "someone/models/resolve/main/4x-test.pth"]]
    assert listed.file_name.startswith("catalog-4x-test-")
    assert listed.file_name.endswith(".pth")


def test_sources_of_a_providers_base_address_are_told_from_others() -> None:
    official = "https://github.com/xinntao/Real-ESRGAN/releases/download/v9/x.pth"
    other = "https://github.com/somebody/else/releases/download/v1/x.pth"
    (listed,) = reading(entry(sources=[official, other])).entries
    assert listed.facts["sources"] == [["github", "v9/x.pth"], ["web", other]]


def test_the_example_of_the_documents_is_right() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    found = read(example.encode(), RULES)
    assert found.problems == ()
    assert [each.name for each in found.entries] == ["4x-Nomos8kSC", "2x-AnimeSharpV3"]


def test_an_empty_file_lists_nothing() -> None:
    assert read(b"# nothing yet\n", RULES) == Reading()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"licens": "MIT", "licence": None}, '"licens" is no key of an entry; did you mean "licence"?'),
        ({"qqq": 1}, '"qqq" is no key of an entry; known are name, sources'),
        ({"sha256": None}, "sha256 is missing: the SHA-256 digest of the file, 64 hexadecimal digits"),
        ({"author": None}, "author is missing: the name of who made the weights"),
        ({"name": "a+b"}, "name: 'a+b' cannot be the name of a model"),
        ({"name": 7}, "name must be a text of letters, digits, dots, hyphens and underscores, not 7"),
        ({"name": "RealESRGAN_x4plus"}, "name: RealESRGAN_x4plus is a model that the service knows already"),
        ({"name": "bundled-compact-x4"}, "is a model that the service knows already"),
        ({"sha256": OFFICIAL["RealESRGAN_x2plus"].sha256}, "that is the official RealESRGAN_x2plus"),
        ({"sha256": "abc"}, "sha256 must be the SHA-256 digest of the file, 64 hexadecimal digits, not 'abc' of 3"),
        ({"sha256": "g" * 64}, "sha256 must be the SHA-256 digest"),
        ({"size": "67 MB"}, "size must be the bytes of the file, as a whole number, not '67 MB'"),
        ({"size": True}, "size must be the bytes of the file"),
        ({"size": -1}, "size must be the bytes of the file"),
        ({"size": 1_000_000_001}, "size is 1.0 GB; the limit is 1.0 GB (MAX_MODEL_UPLOAD_MB)"),
        ({"use": "fotos"}, '"photo", "illustration", "text", "restore", not \'fotos\'; did you mean "photo"?'),
        ({"licence": " "}, "licence must be the name of the licence of the weights"),
        ({"licence": "x" * 101}, "licence has 101 characters; the limit is 100"),
        ({"description": "a\\nb"}, "description holds line breaks or control characters"),
        ({"sources": []}, "sources must be a list of 1 to 8 https addresses of the file, not []"),
        ({"sources": "https://a.example/x"}, "sources must be a list of 1 to 8 https addresses of the file"),
        ({"sources": ["https://a.example/x"] * 9}, "sources must be a list of 1 to 8"),
        ({"sources": ["http://a.example/x"]}, "sources must begin with https://, not 'http://a.example/x' (MODEL"),
        ({"sources": ["ftp://a.example/x"]}, "the URL must begin with http:// or https://"),
        ({"sources": ["https://10.1.2.3/x"]}, "sources: 10.1.2.3 is a private address (MODEL_ALLOW_PRIVATE=1"),
        ({"sources": ["https://[::1]/x"]}, "::1 is a private address"),
        ({"sources": ["https://169.254.169.254/x"]}, "169.254.169.254 is a private address"),
        ({"sources": ["https://localhost/x"]}, "localhost is a private address"),
        ({"sources": ["https://user:pw@a.example/x"]}, "must not contain a user name or password"),
        ({"sources": ["https://huggingface.co/a/%2e%2e/%2E./admin"]}, "leads through a folder above"),
        ({"homepage": "javascript:alert(1)"}, "the URL must begin with http:// or https://"),
        ({"example": 3}, "example must be the https address of a picture or page that shows what it does, not 3"),
        ({"example": "https://a.example/" + "x" * 300}, "example has 318 characters; the limit is 300"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_and_costs_its_entry_alone(changes: dict[str, Any], said: str) -> None:
    found = reading(entry(**changes), entry(name="right", sha256=OTHER))
    assert [each.name for each in found.entries] == ["right"]
    assert any(said in problem for problem in found.problems), found.problems
    assert all(problem.startswith("Entry 1") for problem in found.problems)


def test_all_mistakes_of_an_entry_are_told_at_once_with_its_name() -> None:
    problems = reading(entry(size=0, use=None, sizes=1)).problems
    assert len(problems) == 3
    assert all(problem.startswith('Entry 1 ("4x-test"): ') for problem in problems)


def test_doubles_are_told_and_the_first_one_holds() -> None:
    found = reading(entry(), entry(sha256=OTHER), entry(name="again"))
    assert [each.name for each in found.entries] == ["4x-test"]
    assert found.problems == (
        'Entry 2 ("4x-test"): name: an entry before it is called 4x-test, too',
        'Entry 3 ("again"): sha256: 4x-test has this digest, too',
    )


def test_the_operator_may_allow_private_addresses_and_plain_http() -> None:
    allowed = Rules(RULES.most_model_bytes, allow_private=True)
    (listed,) = reading(entry(sources=["http://10.1.2.3:8080/x.safetensors"]), rules=allowed).entries
    assert listed.facts["sources"] == [["web", "http://10.1.2.3:8080/x.safetensors"]]
    assert listed.file_name.endswith(".safetensors")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!doctype html><html>", "it is not TOML: "),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"model = " + b"[" * 5000, "nested too deeply|not TOML"),
        (b"model = " + b"9" * 5000, "it is not TOML: "),
        (b"[model]\nname = 'x'", r"begins with \[\[model\]\], in two brackets"),
        (b"model = 3", "two brackets"),
        (b"[[models]]\nname = 'x'", r'"models"; did you mean "model"\?, and may hold nothing but'),
        (b"#" * (MOST_BYTES + 1), "it has 500 kB; the limit is 500 kB"),
        (b"[[model]]\n" * (MOST_ENTRIES + 1), "it has 501 entries; the limit is 500"),
    ],
)
def test_what_is_no_catalogue_is_refused_as_a_whole(data: bytes, said: str) -> None:
    with pytest.raises(NotACatalog, match=said):
        read(data, RULES)


def test_entries_that_are_no_tables_are_told() -> None:
    assert read(b"model = [1, 'x']", RULES).problems == (
        "Entry 1: it must be a table that begins with [[model]]",
        "Entry 2: it must be a table that begins with [[model]]",
    )
