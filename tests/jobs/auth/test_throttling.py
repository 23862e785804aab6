"""Rate limits: off by default, right across threads and processes, told in the standard headers."""

import re
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.auth.client_ip import client_address
from jobs.models import ApiKey, Job
from jobs.models.rate_limit import RateBucket
from tests.together import together

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]


@pytest.mark.django_db
def test_nothing_is_counted_by_default(client: Client) -> None:
    response = client.get("/api/v1/jobs")
    assert "RateLimit" not in response.headers
    assert not RateBucket.objects.exists()


@pytest.mark.django_db
def test_beyond_the_limit_calls_get_429_with_the_standard_headers(client: Client, settings: Settings) -> None:
    settings.RATE_LIMIT_READ = (3, 3600)
    for left in (2, 1, 0):
        response = client.get("/api/v1/jobs")
        assert response.status_code == 200
        assert response.headers["RateLimit-Policy"] == '"read";q=3;w=3600'
        assert re.fullmatch(rf'"read";r={left};t=[0-9]+', response.headers["RateLimit"])
    refused = client.get("/api/v1/jobs")
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert 1 <= int(refused.headers["Retry-After"]) <= 1200
    assert refused.headers["RateLimit"].startswith('"read";r=0;')
    assert client.get("/api/v1/health").status_code == 200, "health checks are never refused"


@pytest.mark.django_db
def test_submissions_are_counted_apart_from_reading(client: Client, settings: Settings) -> None:
    settings.RATE_LIMIT_UPSCALE = (1, 3600)
    settings.RATE_LIMIT_READ = (1000, 3600)
    assert client.post("/api/v1/jobs").status_code == 422
    assert client.post("/api/v1/upscale").status_code == 429
    assert client.get("/api/v1/jobs").status_code == 200


@pytest.mark.django_db
def test_each_key_and_each_address_has_its_own_limit(client: Client, settings: Settings, make_key: MakeKey) -> None:
    settings.RATE_LIMIT_READ = (1, 3600)
    _, first = make_key()
    _, second = make_key()
    for headers in (first, second, {}):
        assert client.get("/api/v1/jobs", headers=headers).status_code == 200
        assert client.get("/api/v1/jobs", headers=headers).status_code == 429
    assert client.get("/api/v1/jobs", REMOTE_ADDR="198.51.100.9").status_code == 200


@pytest.mark.django_db
def test_refused_calls_count_as_well(client: Client, settings: Settings, make_key: MakeKey) -> None:
    settings.RATE_LIMIT_READ = (5, 3600)
    settings.REQUIRE_API_KEY = True
    wrong = {"Authorization": f"Bearer ups_abcdefgh_{'x' * 43}"}
    assert [client.get("/api/v1/jobs", headers=wrong).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    late = client.get("/api/v1/jobs", headers=wrong)
    assert (late.json()["code"], late.headers["RateLimit"].split(";")[1]) == ("throttled", "r=0")
    assert int(late.headers["Retry-After"]) >= 1
    assert client.get("/api/v1/jobs").status_code == 429, "no key at all comes from the same address"
    assert client.get("/api/v1/health/live", headers=wrong).status_code == 200
    _, right = make_key()
    assert client.get("/api/v1/jobs", headers=right).status_code == 200, "a right key has a limit of its own"


@pytest.mark.django_db
def test_a_wrong_key_counts_also_where_submissions_have_no_limit(client: Client, settings: Settings) -> None:
    settings.RATE_LIMIT_READ = (3, 3600)
    settings.REQUIRE_API_KEY = True
    wrong = {"Authorization": f"Bearer ups_abcdefgh_{'x' * 43}"}
    codes = [
        client.post(f"/api/v1/{path}", headers=wrong).status_code for path in ("jobs", "upscale", "upscale", "jobs")
    ]
    assert codes == [401, 401, 401, 429]


@pytest.mark.django_db
def test_a_call_that_lacks_a_scope_counts_against_its_key(
    client: Client, settings: Settings, make_key: MakeKey
) -> None:
    settings.RATE_LIMIT_READ = (2, 3600)
    settings.REQUIRE_API_KEY = True
    _, headers = make_key("upscale")
    codes = [client.post("/api/v1/cleanup", headers=headers).status_code for _ in range(3)]
    assert codes == [403, 403, 429]
    assert client.get("/api/v1/jobs", headers=headers).status_code == 429


@pytest.mark.django_db
def test_a_signed_link_that_is_wrong_counts(client: Client, settings: Settings, make_job: Callable[..., Job]) -> None:
    settings.RATE_LIMIT_READ = (2, 3600)
    settings.REQUIRE_API_KEY = True
    address = f"/api/v1/jobs/{make_job().pk}/result?signature=1.abcdefgh.x"
    assert [client.get(address).status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.django_db
def test_a_forged_forwarded_header_wins_no_new_limit(client: Client, settings: Settings) -> None:
    settings.RATE_LIMIT_READ = (1, 3600)
    settings.TRUSTED_PROXIES = 1
    through_proxy = "6.6.6.{}, 198.51.100.9"
    assert client.get("/api/v1/jobs", headers={"X-Forwarded-For": through_proxy.format(1)}).status_code == 200
    assert client.get("/api/v1/jobs", headers={"X-Forwarded-For": through_proxy.format(2)}).status_code == 429
    settings.TRUSTED_PROXIES = 0
    assert client.get("/api/v1/jobs", headers={"X-Forwarded-For": "6.6.6.1"}).status_code == 200
    assert client.get("/api/v1/jobs", headers={"X-Forwarded-For": "6.6.6.2"}).status_code == 429


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.1", "192.0.2.10"),
        (1, "", "192.0.2.10"),
        (1, "203.0.113.1", "203.0.113.1"),
        (1, "1.1.1.1, 203.0.113.1", "203.0.113.1"),
        (2, "1.1.1.1, 203.0.113.1, 10.0.0.2", "203.0.113.1"),
        (2, "203.0.113.1", "192.0.2.10"),
        (1, "203.0.113.1:4711", "203.0.113.1"),
        (1, "[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.1", "203.0.113.1"),
        (1, "unknown", ""),
    ],
)
def test_the_callers_address_behind_proxies(proxies: int, forwarded: str, address: str, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "192.0.2.10", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(request) == address


@pytest.mark.django_db(transaction=True)
def test_many_callers_at_once_get_exactly_the_limit() -> None:
    """Each thread has its own connection, as processes have: the count lives in the database alone."""

    def call(_: int) -> Counter[bool]:
        return Counter(RateBucket.objects.take("read:test", count=25, period=86_400)[0] for _ in range(10))

    assert sum(together(8, call), Counter()) == {True: 25, False: 55}


@pytest.mark.django_db
def test_what_is_given_back_can_be_taken_again() -> None:
    def take() -> bool:
        return RateBucket.objects.take("k", count=2, period=100)[0]

    assert [take(), take(), take()] == [True, True, False]
    RateBucket.objects.give_back("k", count=2, period=100)
    assert [take(), take()] == [True, False]


@pytest.mark.django_db
def test_the_bucket_refills_evenly_and_never_beyond_its_size() -> None:
    def take() -> bool:
        return RateBucket.objects.take("k", count=10, period=100)[0]

    def let_pass(seconds: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jobs_ratebucket SET full_at = full_at - make_interval(secs => %s)", [seconds])

    assert [take() for _ in range(11)] == [True] * 10 + [False]
    let_pass(20)
    assert [take() for _ in range(3)] == [True, True, False]
    let_pass(100_000)
    assert [take() for _ in range(11)] == [True] * 10 + [False]
    let_pass(100_000)
    assert RateBucket.objects.forget() == 1
