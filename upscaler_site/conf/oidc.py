"""The settings of the log-in by OpenID Connect, checked at the start."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

#: Where a provider may be reached without TLS: on this very machine.
_HERE = ("localhost", "127.0.0.1", "::1")


def groups_from(words: list[str]) -> dict[str, str]:
    """Return our group by the provider's: ``it-ops=Operators`` says that members of it-ops are Operators.

    :raises ImproperlyConfigured: a word has no such form.
    """
    rules = {}
    for word in words:
        theirs, _, ours = (part.strip() for part in word.rpartition("="))
        if not theirs or not ours:
            raise ImproperlyConfigured(f"OIDC_GROUPS has {word!r}; it must be like it-ops=Operators")
        rules[theirs] = ours
    return rules


def check(issuer: str, client_id: str, entrants: object) -> None:
    """Check what must be there when an issuer is named.

    :raises ImproperlyConfigured: naming the variable, or the package that is missing.
    """
    address = urlsplit(issuer)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _HERE):
        raise ImproperlyConfigured(f"OIDC_ISSUER is {issuer!r}; it must be an https address")
    if not client_id:
        raise ImproperlyConfigured("OIDC_ISSUER is set, and OIDC_CLIENT_ID is not")
    if not entrants:
        raise ImproperlyConfigured(
            "OIDC_ISSUER is set, and neither OIDC_GROUPS nor OIDC_SUPERUSER_GROUP says who may enter"
        )
    if find_spec("mozilla_django_oidc") is None:
        raise ImproperlyConfigured(
            "OIDC_ISSUER needs a package: pip install -r requirements-oidc.txt, or upscaler[oidc]"
        )
