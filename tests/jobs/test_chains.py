"""The text of a chain: what it may look like, and who of its members gets the denoise strength."""

import pytest

from jobs import chains
from jobs.errors import ChainRefused
from modelstore.errors import DenoiseUnsupported


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("RealESRGAN_x4plus", ("RealESRGAN_x4plus",)),
        ("denoise+RealESRGAN_x4plus", ("denoise", "RealESRGAN_x4plus")),
        ("a+b+c", ("a", "b", "c")),
        ("a+a", ("a", "a")),
        ("", ("",)),  # no model has that name, as always
        ("a\uff0bb", ("a\uff0bb",)),
        ("a b", ("a b",)),
    ],
)
def test_a_chain_is_names_with_plus_between(text: str, names: tuple[str, ...]) -> None:
    assert chains.parse(text) == chains.split(text) == names


@pytest.mark.parametrize("text", ["a+", "+a", "a++b", "+", "++", "a+b+"])
def test_each_side_of_a_plus_has_a_name(text: str) -> None:
    with pytest.raises(ChainRefused, match="lacks the name of a model"):
        chains.parse(text)


@pytest.mark.parametrize("count", [4, 200])
def test_a_chain_has_three_members_at_most(count: int) -> None:
    with pytest.raises(ChainRefused, match=f"^{count} models are named; a chain has at most 3$"):
        chains.parse("+".join(["a"] * count))


def test_the_longest_chain_fits_into_its_column() -> None:
    assert len("+".join(["m" * 100] * 3)) == chains.LONGEST


def look(name: str, strength: float | None) -> str:
    if strength is not None and not name.endswith("pair"):
        raise DenoiseUnsupported(name)
    return f"{name} {strength}"


def test_the_strength_goes_to_the_members_that_have_one() -> None:
    assert chains.resolved(("a", "pair", "b"), 0.5, look) == ("a None", "pair 0.5", "b None")
    assert chains.resolved(("pair", "pair"), 0.5, look) == ("pair 0.5", "pair 0.5")
    assert chains.resolved(("a", "pair"), None, look) == ("a None", "pair None")


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_a_strength_that_no_member_has_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DenoiseUnsupported, match=r"^a(\+b)? has no denoise strength"):
        chains.resolved(names, 0.5, look)
