"""Log-in of staff by OpenID Connect: a real service, a real provider, real tokens; and a provider that lies."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.exceptions import ImproperlyConfigured

from tests.upscaler_site.provider import CLIENT, SECRET, Provider, running
from tests.upscaler_site.web.conftest import WebServer
from upscaler_site.conf import oidc

pytestmark = pytest.mark.processes

ADA = {
    "sub": "1815",
    "preferred_username": "ada",
    "email": "ada@example.org",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "groups": ["it-ops", "choir"],
}


@pytest.fixture(scope="module")
def liar() -> Iterator[Provider]:
    """The provider."""
    with running() as provider:
        yield provider


@pytest.fixture(scope="module")
def site(liar: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A service whose staff log in by the provider."""
    directory = tmp_path_factory.mktemp("oidc") / "data"
    server = WebServer(
        directory,
        {
            "OIDC_ISSUER": liar.issuer,
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET": SECRET,
            "OIDC_GROUPS": "it-ops=Operators,it-heads=Managers",
            "OIDC_SUPERUSER_GROUP": "it-root",
        },
    )
    server.start()
    try:
        yield server
        server.stop()
    finally:
        server.kill()


@pytest.fixture
def provider(liar: Provider) -> Iterator[Provider]:
    """The provider, which says the truth about Ada until it is told otherwise."""
    liar.truth()
    liar.claims = dict(ADA)
    yield liar
    liar.truth()


def begin(site: WebServer) -> httpx.Client:
    """A browser on the log-in page."""
    return httpx.Client(base_url=site.base_url, timeout=240, follow_redirects=True)


def log_in(site: WebServer, next_page: str = "/admin/") -> httpx.Response:
    """Press the button, and go where it leads."""
    with begin(site) as browser:
        page = browser.get("/admin/login/", params={"next": next_page})
        link = page.text.partition('href="/admin/oidc/authenticate/')[2].partition('"')[0]
        assert link, "no button"
        return browser.get(f"/admin/oidc/authenticate/{link.replace('&amp;', '&')}")


def account(site: WebServer, subject: str = "1815") -> dict[str, Any]:
    """The account of a subject."""
    code = (
        "import json; from jobs.models import StaffIdentity as S; "
        f"u = S.objects.get(subject={subject!r}).user; "
        "print('ACCOUNT' + json.dumps([u.username, u.email, u.is_staff, u.is_superuser, u.has_usable_password(), "
        "sorted(g.name for g in u.groups.all())]))"
    )
    words = json.loads(site.manage("shell", "-c", code).stdout.rpartition("ACCOUNT")[2])
    names = ("username", "email", "staff", "superuser", "password", "groups")
    return dict(zip(names, words, strict=True))


def refused(page: httpx.Response) -> bool:
    """Assert that the browser is on the log-in page again, and is told so."""
    assert page.url.path == "/admin/login/", page.url
    assert "single sign-on failed" in page.text
    return True


def test_a_member_of_a_named_group_comes_in_as_what_the_group_says(site: WebServer, provider: Provider) -> None:
    page = log_in(site, "/admin/jobs/job/")
    assert page.url.path == "/admin/jobs/job/"
    assert "Ada" in page.text
    assert account(site) == {
        "username": "ada",
        "email": "ada@example.org",
        "staff": True,
        "superuser": False,
        "password": False,
        "groups": ["Operators"],
    }
    entries = "from audit.models import Entry; print([str(e.actor) for e in Entry.objects.filter(action='logged_in')])"
    assert "ada" in site.manage("shell", "-c", entries).stdout


def test_groups_follow_the_provider_at_each_log_in(site: WebServer, provider: Provider) -> None:
    log_in(site)
    provider.claims["groups"] = ["it-heads"]
    log_in(site)
    assert account(site)["groups"] == ["Managers"]
    provider.claims["groups"] = ["it-root"]
    log_in(site)
    assert (account(site)["superuser"], account(site)["groups"]) == (True, [])
    provider.claims["groups"] = ["it-ops"]
    log_in(site)
    assert (account(site)["superuser"], account(site)["groups"]) == (False, ["Operators"])
    provider.claims["groups"] = ["choir"]
    assert refused(log_in(site))
    assert (account(site)["staff"], account(site)["groups"]) == (False, [])


def test_who_is_in_no_named_group_gets_no_account(site: WebServer, provider: Provider) -> None:
    provider.claims |= {"sub": "2", "groups": ["choir"], "preferred_username": "nobody"}
    assert refused(log_in(site))
    names = "from django.contrib.auth.models import User; print(list(User.objects.values_list('username', flat=True)))"
    assert "nobody" not in site.manage("shell", "-c", names).stdout


def test_a_name_that_somebody_has_is_not_taken_over(site: WebServer, provider: Provider) -> None:
    site.manage("shell", "-c", "from django.contrib.auth.models import User; User.objects.create_superuser('root')")
    provider.claims |= {"sub": "3", "preferred_username": "root", "email": "ada@example.org"}
    log_in(site)
    found = account(site, "3")
    assert (found["username"], found["superuser"]) == ("root-2", False)


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", "none", headers={"kid": "key-1"})


def by_another_key(claims: dict[str, Any]) -> str:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, other, "RS256", headers={"kid": "key-1"})


def by_the_secret(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, SECRET * 2, "HS256", headers={"kid": "key-1"})


def without_kid(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256")


Lie = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    "lie",
    [
        lambda claims: claims | {"nonce": "another"},
        lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
        lambda claims: claims | {"aud": "another-service"},
        lambda claims: {name: value for name, value in claims.items() if name != "aud"},
        lambda claims: claims | {"aud": [CLIENT, "another"], "azp": "another"},
        lambda claims: claims | {"iss": "https://evil.example"},
        lambda claims: claims | {"exp": int(time.time()) - 60},
        lambda claims: {name: value for name, value in claims.items() if name != "exp"},
        lambda claims: claims | {"iat": int(time.time()) + 3600},
        lambda claims: {name: value for name, value in claims.items() if name != "sub"},
    ],
    ids=[
        "wrong nonce", "no nonce", "wrong audience", "no audience", "another party", "wrong issuer", "expired",
        "no expiry", "of the future", "no subject",
    ],
)  # fmt: skip
def test_a_token_that_lies_is_refused(site: WebServer, provider: Provider, lie: Lie) -> None:
    provider.lie = lie
    assert refused(log_in(site))


@pytest.mark.parametrize("sign", [unsigned, by_another_key, by_the_secret, without_kid, lambda _: "no.token.atall"])
def test_a_token_that_the_provider_did_not_sign_is_refused(
    site: WebServer, provider: Provider, sign: Callable[..., str]
) -> None:
    provider.sign = sign
    assert refused(log_in(site))


def test_user_information_of_another_subject_is_refused(site: WebServer, provider: Provider) -> None:
    provider.userinfo = {"sub": "4", "groups": ["it-root"]}
    assert refused(log_in(site))


def test_a_state_of_another_browser_and_a_code_used_twice_are_refused(site: WebServer, provider: Provider) -> None:
    with begin(site) as browser:
        browser.get("/admin/login/")
        browser.follow_redirects = False
        sent = browser.get("/admin/oidc/authenticate/").headers["Location"]
        assert "code_challenge_method=S256" in sent
        back = browser.get(sent).headers["Location"]
        with begin(site) as other:
            other.follow_redirects = False
            other.get("/admin/oidc/authenticate/")  # it has begun a log-in of its own
            other.follow_redirects = True
            assert refused(other.get(back))
        assert browser.get(back).headers["Location"] == "/admin/"
        browser.follow_redirects = True
        assert "single sign-on failed" in browser.get(back).text


def test_a_next_page_elsewhere_is_not_followed(site: WebServer, provider: Provider) -> None:
    with begin(site) as browser:
        page = browser.get("/admin/oidc/authenticate/", params={"next": "https://evil.example/"})
        assert page.url.host == "127.0.0.1"
        assert page.url.path == "/admin/"


def test_passwords_still_open_the_admin_and_failures_are_recorded(site: WebServer, provider: Provider) -> None:
    entries = "from audit.models import Entry; print('@', Entry.objects.filter(action='login_failed').count())"
    before = int(site.manage("shell", "-c", entries).stdout.rpartition("@")[2])
    provider.lie = lambda claims: claims | {"nonce": "another"}
    assert refused(log_in(site))
    assert int(site.manage("shell", "-c", entries).stdout.rpartition("@")[2]) == before + 1
    made = "from django.contrib.auth.models import User; User.objects.create_superuser('eve', password='right-horse')"
    site.manage("shell", "-c", made)
    with begin(site) as browser:
        page = browser.get("/admin/login/")
        token = browser.cookies["csrftoken"]
        form = {"username": "eve", "password": "right-horse", "csrfmiddlewaretoken": token, "next": "/admin/"}
        page = browser.post("/admin/login/", data=form)
        assert page.url.path == "/admin/"


@pytest.mark.parametrize(
    ("issuer", "client", "entrants", "said"),
    [
        ("http://id.example.org", "c", "x", "https"),
        ("https://id.example.org", "", "x", "OIDC_CLIENT_ID"),
        ("https://id.example.org", "c", "", "OIDC_GROUPS"),
    ],
)
def test_a_setting_that_cannot_work_stops_the_start(issuer: str, client: str, entrants: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        oidc.check(issuer, client, entrants)


def test_groups_are_read_or_refused() -> None:
    assert oidc.groups_from(["it-ops = Operators", "a=b=Managers"]) == {"it-ops": "Operators", "a=b": "Managers"}
    with pytest.raises(ImproperlyConfigured, match="it-ops=Operators"):
        oidc.groups_from(["Operators"])


def test_without_an_issuer_there_is_no_button(client: Any, db: None, plain_static_files: None) -> None:
    page = client.get("/admin/login/").content.decode()
    assert "single sign-on" not in page
