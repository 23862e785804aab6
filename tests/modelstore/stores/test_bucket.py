"""A store in an object storage: against servers of other people, in good and bad weather."""

import io
import os
import time
import zipfile
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from modelstore.errors import StorageUnavailable
from modelstore.stores import bucket as bucket_module
from modelstore.stores import s3_client
from modelstore.stores.bucket import MARKER, Bucket
from tests.modelstore.stores.conftest import MakeBucket, client_for
from tests.modelstore.stores.servers import S3Server
from tests.modelstore.stores.weather import Weather


def put(store: Bucket, name: str, data: bytes) -> None:
    draft = store.draft(f"{name}.part")
    draft.write_bytes(data)
    store.put(draft, name)


def anywhere(_: str) -> bool:
    return True


def test_what_is_put_can_be_read_from_any_place_borrowed_listed_and_deleted(make_bucket: MakeBucket) -> None:
    store = make_bucket()
    data = os.urandom(700_001)
    put(store, "results/ab/one.png", data)
    store.write("previews/ab/one.jpg", b"small")
    store.write("results/cd/empty.png", b"")
    with store.open("results/ab/one.png") as file:
        assert file.size == len(data)
        assert file.read(10) == data[:10]
        file.seek(600_000)
        assert file.read() == data[600_000:]
        file.seek(0)
        assert file.read() == data
    with store.open("results/cd/empty.png") as file:
        assert file.read() == b""
    with store.local("results/ab/one.png") as path:
        assert path.read_bytes() == data
        assert path.suffix == ".png"
    assert not path.exists()
    found = dict(store.list("results/", anywhere))
    assert {name: stat.bytes for name, stat in found.items()} == {
        "results/ab/one.png": 700_001,
        "results/cd/empty.png": 0,
    }
    assert abs(found["results/ab/one.png"].changed - time.time()) < 100
    assert [name for name, _ in store.list("results/ab/on", anywhere)] == ["results/ab/one.png"]
    assert [name for name, _ in store.list("results/", lambda part: part == "cd")] == ["results/cd/empty.png"]
    names = ("results/ab/one.png", "results/ab/none.png", "previews/ab/one.jpg")
    assert store.present(names) == {names[0], names[2]}
    assert store.delete(names) == {names[0]: 700_001, names[1]: 0, names[2]: 5}
    assert store.stat(names[0]) is None
    with pytest.raises(FileNotFoundError):
        store.open(names[0])
    with pytest.raises(FileNotFoundError), store.local(names[0]):
        pass


def test_a_large_file_goes_up_in_parts(make_bucket: MakeBucket, weather: Weather) -> None:
    store = make_bucket(url=weather.url)
    data = os.urandom(2 * bucket_module.PART_BYTES + 5)
    put(store, "inputs/aa/large.tif", data)
    assert sum(b"partNumber=" in line for line in weather.seen) == 3
    with store.open("inputs/aa/large.tif") as file:
        assert file.read() == data


def test_a_copy_is_made_by_the_storage_and_outlives_its_source(make_bucket: MakeBucket, weather: Weather) -> None:
    store = make_bucket(url=weather.url)
    put(store, "results/aa/one.png", b"picture" * 1000)
    weather.seen.clear()
    store.copy("results/aa/one.png", "results/bb/two.png")
    assert not any(line.startswith(b"GET") for line in weather.seen)
    store.delete(["results/aa/one.png"])
    with store.open("results/bb/two.png") as file:
        assert file.read() == b"picture" * 1000
    with pytest.raises(FileNotFoundError):
        store.copy("results/aa/one.png", "results/cc/three.png")


def test_a_zip_file_is_read_where_it_lies(make_bucket: MakeBucket, weather: Weather) -> None:
    store = make_bucket(url=weather.url)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for number in range(100):
            made.writestr(str(number), os.urandom(50_000))
    put(store, "pyramids/aa/one.zip", archive.getvalue())
    with store.open("pyramids/aa/one.zip") as file, zipfile.ZipFile(file) as read:
        assert len(read.read("50")) == 50_000
    assert sum(line.startswith(b"GET /") and b"one.zip" in line for line in weather.seen) < 6


def test_a_line_that_breaks_again_and_again_still_brings_the_whole_file(
    make_bucket: MakeBucket, weather: Weather
) -> None:
    data = os.urandom(1_000_000)
    put(make_bucket(), "results/aa/one.png", data)
    store = make_bucket(url=weather.url)
    weather.rule = lambda head: "cut" if head.startswith(b"GET") and b"one.png" in head else ""
    with store.open("results/aa/one.png") as file:
        assert file.read() == data
    with store.local("results/aa/one.png") as path:
        assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("rule", "advice"),
    [("refuse", "does not answer"), ("stall", "does not answer"), ("deny", "policy"), ("skew", "clock")],
)
def test_every_verb_tells_in_bounded_time_what_is_wrong(
    make_bucket: MakeBucket, weather: Weather, settings: Settings, rule: str, advice: str
) -> None:
    put(make_bucket(), "results/aa/one.png", b"picture")
    if rule == "stall":
        settings.STORAGE_TIMEOUT_SECONDS = 2
    store = make_bucket(url=weather.url)
    assert store.check() == "writable"
    weather.rule = lambda _: rule
    for call in (
        lambda: put(store, "inputs/aa/two.png", b"second"),
        lambda: store.write("previews/aa/two.png", b"second"),
        lambda: store.open("results/aa/one.png"),
        lambda: store.local("results/aa/one.png").__enter__(),
        lambda: store.copy("results/aa/one.png", "results/bb/one.png"),
        lambda: store.present(["results/aa/one.png"]),
        lambda: list(store.list("results/", anywhere)),
    ):
        asked = len(weather.seen)
        with pytest.raises(StorageUnavailable) as raised:
            call()
        assert len(weather.seen) - asked <= (1 if rule == "deny" else 3), "it is asked again and again"
        if rule != "skew" or "403 RequestTimeTooSkewed" in raised.value.cause:  # HEAD answers have no code
            assert advice in raised.value.advice
    assert store.delete(["results/aa/one.png"]) == {"results/aa/one.png": None}
    weather.rule = lambda _: ""
    assert store.present(["results/aa/one.png", "inputs/aa/two.png"]) == {"results/aa/one.png"}


def test_a_silent_storage_is_asked_once_for_all_that_is_to_be_deleted(
    make_bucket: MakeBucket, weather: Weather, settings: Settings
) -> None:
    put(make_bucket(), "results/aa/one.png", b"picture")
    settings.STORAGE_TIMEOUT_SECONDS = 2
    store = make_bucket(url=weather.url)
    store.check()
    weather.rule = lambda _: "stall"
    asked = len(weather.seen)
    for _ in range(3):
        assert store.delete(["results/aa/one.png"]) == {"results/aa/one.png": None}
        with pytest.raises(StorageUnavailable):
            list(store.list("results/aa/o", anywhere))
    assert len(weather.seen) - asked == 1


@pytest.mark.parametrize("half", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys_is_told_in_words(
    make_bucket: MakeBucket, settings: Settings, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    monkeypatch.setattr(s3_client, "_clients", {})  # this process has one with the whole pair
    setattr(settings, half, "")
    store = make_bucket()
    with pytest.raises(StorageUnavailable) as raised:
        store.check()
    assert raised.value.for_operators().startswith("There are no credentials of the object storage: set AWS_ACCESS")
    assert store.delete(["results/aa/one.png"]) == {"results/aa/one.png": None}


def test_a_full_storage_is_an_error_of_a_full_disk(make_bucket: MakeBucket, weather: Weather) -> None:
    store = make_bucket(url=weather.url)
    store.check()
    weather.rule = lambda head: "full" if head.startswith(b"PUT") else ""
    with pytest.raises(OSError, match="full") as raised:
        put(store, "inputs/aa/two.png", b"second")
    assert raised.value.errno == 28


def test_a_storage_that_says_stored_and_did_not_is_found_out(make_bucket: MakeBucket, weather: Weather) -> None:
    store = make_bucket(url=weather.url)
    store.check()
    weather.rule = lambda head: "lie" if head.startswith(b"PUT") else ""
    with pytest.raises(StorageUnavailable) as raised:
        put(store, "inputs/aa/two.png", b"second")
    assert "did not store it whole" in raised.value.advice


def test_a_storage_that_refuses_deletions_says_so_and_keeps_nothing_else(
    make_bucket: MakeBucket, weather: Weather
) -> None:
    store = make_bucket(url=weather.url)
    weather.rule = lambda head: "deny" if head.startswith(b"DELETE") else ""
    put(store, "results/aa/one.png", b"picture")
    assert store.check() == "writable, but deletions are refused: old pictures stay"
    assert store.delete(["results/aa/one.png", "results/aa/none.png"]) == {
        "results/aa/one.png": None,
        "results/aa/none.png": 0,
    }


def test_a_bucket_that_is_not_there_is_told_with_what_to_do(make_bucket: MakeBucket) -> None:
    store = make_bucket(bucket="there-is-no-such-bucket")
    with pytest.raises(StorageUnavailable) as raised:
        store.check()
    assert "create it, or correct STORAGE" in raised.value.advice


def test_two_services_on_one_place_are_refused_and_hosts_of_one_are_not(
    make_bucket: MakeBucket, server: S3Server, bucket_name: str
) -> None:
    first, same, other = make_bucket(), make_bucket(), make_bucket(owner="another")
    put(first, "results/aa/one.png", b"picture")
    assert same.check() == "writable"
    for call in (
        other.check,
        lambda: put(other, "results/aa/two.png", b"x"),
        lambda: list(other.list("results/", anywhere)),
    ):
        with pytest.raises(StorageUnavailable) as raised:
            call()
        assert "belongs to another service" in raised.value.advice
    assert other.delete(["results/aa/one.png"]) == {"results/aa/one.png": None}
    assert first.stat("results/aa/one.png") is not None
    assert make_bucket(owner="another", prefix="there/").check() == "writable"
    client_for(server.url).delete_object(Bucket=bucket_name, Key=f"here/{MARKER}")
    assert other.check() == "writable"
    with pytest.raises(StorageUnavailable):
        first.check()


def test_encryption_by_a_key_of_the_operators_is_asked_for_with_every_write(
    server: S3Server, bucket_name: str, make_bucket: MakeBucket, weather: Weather
) -> None:
    heads: list[bytes] = []
    weather.rule = lambda head: heads.append(head) or ""  # type: ignore[func-returns-value]  # notes, then forwards
    plain = make_bucket(url=weather.url)
    from dataclasses import replace

    store = Bucket(replace(plain.address, kms_key="key-1"), plain._scratch.root, lambda: "me")
    put(store, "results/aa/one.png", b"picture")
    store.write("previews/aa/one.png", b"small")
    store.copy("results/aa/one.png", "results/bb/one.png")
    writes = [head.lower() for head in heads if head.startswith(b"PUT")]
    assert len(writes) == 4  # the marker is one
    assert all(b"x-amz-server-side-encryption: aws:kms" in head for head in writes)
    assert all(b"x-amz-server-side-encryption-aws-kms-key-id: key-1" in head for head in writes)


def test_what_a_kill_leaves_in_the_scratch_directory_goes_and_what_is_not_ours_stays(
    make_bucket: MakeBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelstore.stores import scratch

    monkeypatch.setattr(scratch, "_LEFT_SECONDS", -1.0)
    root = tmp_path / "scratch-me"
    old = root / "fetched" / f"{'a' * 32}.fetched.png"
    note = root / "results" / "README"
    for path in (old, note):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    make_bucket().draft("inputs/one.part")
    assert not old.exists()
    assert note.exists()


def test_a_host_without_room_does_not_fetch(make_bucket: MakeBucket, settings: Settings) -> None:
    store = make_bucket()
    put(store, "results/aa/one.png", b"picture")
    settings.MIN_FREE_DISK_MB = 10**9
    with pytest.raises(StorageUnavailable) as raised, store.local("results/aa/one.png"):
        pass
    assert "make room" in raised.value.advice
