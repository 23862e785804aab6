"""One file from untrusted sources: every lie is noticed, every break is healed where it can be."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from modelstore.downloads.download import Bounds, Fetched, Source, fetch
from modelstore.errors import DownloadFailed, DownloadStopped
from tests.modelstore import liar as lies
from tests.modelstore.liar import Liar

CONTENT = bytes(range(256)) * 1200  # 307,200 bytes: several blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BOUNDS = Bounds(total_seconds=60, stall_seconds=30, retries=2, connect_seconds=10, first_pause_seconds=0.01)


def bring(
    sources: Sequence[str],
    directory: Path,
    *,
    bounds: Bounds = BOUNDS,
    token: str = "one",
    stop: threading.Event | None = None,
) -> Fetched:
    return fetch(
        [Source(f"source {number}", url) for number, url in enumerate(sources, start=1)],
        directory / "model.pth",
        size_bytes=len(CONTENT),
        sha256=SHA256,
        bounds=bounds,
        token=token,
        on_progress=lambda here: None,
        stopped=stop or threading.Event(),
    )


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_genuine_file_arrives_and_nothing_else_is_left(liar: Liar, tmp_path: Path) -> None:
    fetched = bring([liar.put("/m", CONTENT)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["model.pth"]
    assert fetched.received_bytes == len(CONTENT)
    assert fetched.notes == ()


def test_the_real_weights_arrive_byte_for_byte(liar: Liar, tmp_path: Path, real_weights: Path) -> None:
    content = real_weights.read_bytes()
    from modelstore.catalog import OFFICIAL

    entry = OFFICIAL["realesr-animevideov3"]
    fetch(
        [Source("here", liar.put("/real", content, lies.truncated(1_000_000), lies.good))],
        tmp_path / entry.file_name,
        size_bytes=entry.size_bytes,
        sha256=entry.sha256,
        bounds=BOUNDS,
        token="one",
        on_progress=lambda here: None,
        stopped=threading.Event(),
    )
    assert (tmp_path / entry.file_name).read_bytes() == content


def test_progress_grows_to_the_full_size(liar: Liar, tmp_path: Path) -> None:
    seen: list[int] = []
    fetch(
        [Source("s", liar.put("/m", CONTENT))],
        tmp_path / "model.pth",
        size_bytes=len(CONTENT),
        sha256=SHA256,
        bounds=BOUNDS,
        token="one",
        on_progress=seen.append,
        stopped=threading.Event(),
    )
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert len(seen) > 2


def test_a_truncated_answer_is_resumed_with_a_range(liar: Liar, tmp_path: Path) -> None:
    fetched = bring([liar.put("/m", CONTENT, lies.truncated(100_000), lies.good)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert [request.headers.get("range") for request in liar.requests] == [None, "bytes=100000-"]
    assert fetched.received_bytes == len(CONTENT)


def test_breaks_that_bring_progress_do_not_use_up_the_tries(liar: Liar, tmp_path: Path) -> None:
    bring(
        [liar.put("/m", CONTENT, *[lies.truncated(50_000)] * 6, lies.good)], tmp_path, bounds=replace(BOUNDS, retries=1)
    )
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(liar: Liar, tmp_path: Path) -> None:
    fetched = bring([liar.put("/m", CONTENT, lies.truncated(100_000), lies.without_ranges)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert fetched.received_bytes == len(CONTENT) + 100_000


def test_an_answer_with_another_range_is_not_appended(liar: Liar, tmp_path: Path) -> None:
    url = liar.put("/m", CONTENT, lies.wrong_range, lies.wrong_range, lies.good)
    bring([url], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert [request.headers.get("range") for request in liar.requests] == [None, f"bytes={len(CONTENT) // 2}-", None]


def test_a_silent_server_is_given_up_and_resumed(liar: Liar, tmp_path: Path) -> None:
    url = liar.put("/m", CONTENT, lies.stalled(100_000), lies.good)
    bring([url], tmp_path, bounds=replace(BOUNDS, stall_seconds=2))
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert liar.requests[-1].headers["range"] == "bytes=100000-"


def test_a_server_that_stays_silent_fails_with_a_reason(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="Network error: the server fell silent after 0 of 307200 bytes"):
        bring(
            [liar.put("/m", CONTENT, lies.stalled(0))], tmp_path, bounds=replace(BOUNDS, stall_seconds=0.3, retries=1)
        )
    assert liar.asked("/m") == 2
    assert files(tmp_path) == []


def test_a_trickle_ends_when_the_time_is_up(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="not finished within 1 s"):
        bring([liar.put("/m", CONTENT, lies.trickle(100, 0.05))], tmp_path, bounds=replace(BOUNDS, total_seconds=1))
    assert not (tmp_path / "model.pth").exists()


def test_wrong_bytes_of_the_right_length_are_refused_and_deleted(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="wrong bytes: the SHA-256"):
        bring([liar.put("/m", CONTENT, lies.other_bytes)], tmp_path)
    assert liar.asked("/m") == 1  # no use in asking again
    assert files(tmp_path) == []


def test_a_mirror_with_the_wrong_file_falls_to_the_next_and_says_so(liar: Liar, tmp_path: Path) -> None:
    fetched = bring([liar.put("/bad", CONTENT, lies.other_bytes), liar.put("/good", CONTENT)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert fetched.source.label == "source 2"
    assert len(fetched.notes) == 1
    assert fetched.notes[0].startswith("source 1: wrong bytes")


def test_wrong_bytes_of_a_broken_mirror_do_not_spoil_the_next(liar: Liar, tmp_path: Path) -> None:
    """The first source sends wrong bytes and dies; the second goes on after them, notices, and sends the whole."""

    def broken(handler: lies.Handler, content: bytes) -> None:
        lies.truncated(50_000)(handler, bytes(len(content)))

    bad = liar.put("/bad", CONTENT, broken, lies.status(503))
    fetched = bring([bad, liar.put("/good", CONTENT)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert fetched.source.label == "source 2"


@pytest.mark.parametrize("length", [1000, len(CONTENT) - 1, len(CONTENT) + 1, 10**15])
def test_a_lie_about_the_length_is_refused_before_a_byte_is_read(liar: Liar, tmp_path: Path, length: int) -> None:
    with pytest.raises(DownloadFailed, match=f"the server announces {length} bytes"):
        bring([liar.put("/m", CONTENT, lies.announcing(length))], tmp_path)
    assert files(tmp_path) == []


def test_an_endless_answer_is_cut_at_the_size(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="more than the 307200 bytes"):
        bring([liar.put("/m", CONTENT, lies.endless)], tmp_path)
    assert files(tmp_path) == []


def test_a_login_page_is_not_a_model(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="announces 26 bytes"):
        bring([liar.put("/m", CONTENT, lies.login_page)], tmp_path)


def test_an_encoded_answer_is_refused(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="encoded the file"):
        bring([liar.put("/m", CONTENT, lies.gzipped)], tmp_path)
    assert liar.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(liar: Liar, tmp_path: Path, code: int) -> None:
    fetched = bring([liar.put("/no", CONTENT, lies.status(code)), liar.put("/yes", CONTENT)], tmp_path)
    assert liar.asked("/no") == 1
    assert fetched.notes == (f"source 1: HTTP {code}",)


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_a_server_error_is_asked_again(liar: Liar, tmp_path: Path, code: int) -> None:
    bring([liar.put("/m", CONTENT, lies.status(code), lies.status(code), lies.good)], tmp_path)
    assert liar.asked("/m") == 3


def test_a_server_that_keeps_failing_is_left_after_the_retries(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed) as failure:
        bring([liar.put("/a", CONTENT, lies.status(500)), liar.put("/b", CONTENT, lies.status(403))], tmp_path)
    assert failure.value.failures == ("source 1: HTTP 500", "source 2: HTTP 403")
    assert liar.asked("/a") == 3


def test_retry_after_is_honoured(liar: Liar, tmp_path: Path) -> None:
    """The server asks for an hour, so the time of the download runs out in that pause."""
    url = liar.put("/m", CONTENT, lies.status(503, Retry_After="3600"))
    with pytest.raises(DownloadFailed):
        bring([url], tmp_path, bounds=replace(BOUNDS, total_seconds=1, retries=100))
    assert liar.asked("/m") <= 2  # with the short pause it would have been asked a hundred times


def test_redirects_are_followed(liar: Liar, tmp_path: Path) -> None:
    target = liar.put("/target", CONTENT)
    bring([liar.put("/m", b"", lies.redirect(target))], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


def test_a_redirect_loop_is_refused(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="redirects"):
        bring([liar.put("/loop", b"", lies.redirect(f"{liar.url}/loop"))], tmp_path)


def test_a_redirect_to_a_file_is_refused(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        bring([liar.put("/m", b"", lies.redirect("file:///etc/passwd"))], tmp_path)
    assert files(tmp_path) == []


def test_nobody_listening_is_a_clear_failure(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"source 1: Network error: cannot connect to 127\.0\.0\.1") as failure:
        bring(["http://127.0.0.1:1/m"], tmp_path)
    assert failure.value.unreachable


def test_a_server_that_cannot_be_reached_is_not_tried_for_its_other_sources(liar: Liar, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed) as failure:
        bring(["http://127.0.0.1:1/m", "http://127.0.0.1:1/n", f"{liar.url}/none"], tmp_path)
    assert [note.split(":")[0] for note in failure.value.failures] == ["source 1", "source 3"]
    assert not failure.value.unreachable


def test_a_stopped_download_keeps_what_it_has_and_the_next_goes_on(liar: Liar, tmp_path: Path) -> None:
    stop, gate = threading.Event(), threading.Event()
    url = liar.put("/m", CONTENT, lies.gated(100_000, gate), lies.good)

    def stop_when_some_is_here(here: int) -> None:
        if here >= 100_000:
            stop.set()
            gate.set()

    with pytest.raises(DownloadStopped):
        fetch(
            [Source("s", url)],
            tmp_path / "model.pth",
            size_bytes=len(CONTENT),
            sha256=SHA256,
            bounds=BOUNDS,
            token="one",
            on_progress=stop_when_some_is_here,
            stopped=stop,
        )
    assert files(tmp_path) == ["model.pth.one.part"]
    kept = (tmp_path / "model.pth.one.part").stat().st_size
    assert kept >= 100_000
    fetched = bring([url], tmp_path, token="two")
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["model.pth"]
    assert fetched.received_bytes == len(CONTENT) - kept
    assert liar.requests[-1].headers["range"] == f"bytes={kept}-"


def test_a_left_part_that_is_complete_needs_no_request(liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "model.pth.old.part").write_bytes(CONTENT)
    fetched = bring([liar.put("/m", CONTENT)], tmp_path)
    assert fetched.received_bytes == 0
    assert liar.requests == []


def test_a_left_part_with_wrong_bytes_costs_one_more_download(liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "model.pth.old.part").write_bytes(b"\0" * 50_000)
    bring([liar.put("/m", CONTENT)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["model.pth"]


def test_a_left_part_that_is_too_long_is_thrown_away(liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "model.pth.old.part").write_bytes(CONTENT + b"more")
    bring([liar.put("/m", CONTENT)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["model.pth"]


def test_a_failed_download_leaves_the_old_file_alone(liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"old")
    with pytest.raises(DownloadFailed):
        bring([liar.put("/m", CONTENT, lies.other_bytes)], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == b"old"


def test_no_source_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="no source"):
        bring([], tmp_path)


def test_proxy_variables_are_honoured(liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host does not exist: only the proxy (our server, which sees the absolute address) can answer."""
    liar.put("http://models.invalid/m", CONTENT)
    monkeypatch.setenv("HTTP_PROXY", liar.url)
    monkeypatch.setenv("http_proxy", liar.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    bring(["http://models.invalid/m"], tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert liar.requests[0].path == "http://models.invalid/m"
