"""Log-in of staff by OpenID Connect, where OIDC_ISSUER is set: mozilla-django-oidc, with the checks that it leaves out.

The library does the code flow with state, nonce and PKCE, and verifies signatures. It does not look at the token's
audience, issuer and times, nor whether the user information is the token's own subject: that is done here, and every
refusal becomes an ordinary failed log-in. Imported where OIDC_ISSUER is set only (requirements-oidc.txt).
"""

import logging
import time
from typing import Any

import jwt
import requests
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from jobs.models.staff_identity import StaffIdentity

logger = logging.getLogger(__name__)

#: Seconds that the clocks of provider and service may differ.
_LEEWAY = 30
#: Seconds for which the provider's addresses are remembered.
_REMEMBERED = 600.0

_found: dict[str, tuple[float, dict[str, Any]]] = {}


def provider() -> dict[str, Any]:
    """Return the provider's own description (OpenID Connect Discovery 1.0).

    :raises requests.RequestException: it cannot be had. :raises SuspiciousOperation: it is another issuer's.
    """
    issuer = str(settings.OIDC_ISSUER)
    at, known = _found.get(issuer, (0.0, {}))
    if known and time.monotonic() - at < _REMEMBERED:
        return known
    answer = requests.get(
        f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=settings.OIDC_TIMEOUT, allow_redirects=False
    )
    answer.raise_for_status()
    described: dict[str, Any] = answer.json()
    if described.get("issuer") != issuer:
        raise SuspiciousOperation(f"the provider calls itself {described.get('issuer')}")
    _found[issuer] = (time.monotonic(), described)
    return described


class StaffBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Finds or makes the account of whoever the provider names, in the groups that the provider says."""

    # The library's own asks for addresses that are known after discovery only, and is called with every request.
    def __init__(self) -> None:
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID
        self.OIDC_RP_CLIENT_SECRET = settings.OIDC_RP_CLIENT_SECRET
        self.OIDC_RP_SIGN_ALGO = settings.OIDC_RP_SIGN_ALGO
        self.OIDC_RP_IDP_SIGN_KEY = None
        self.UserModel = get_user_model()

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> User | None:
        """Return the account of a callback with a good code; None for what is no callback.

        :raises PermissionDenied: the log-in failed, for a reason that the log has.
        """
        if request is None or "nonce" not in kwargs:
            return None
        try:
            described = provider()
            self.OIDC_OP_TOKEN_ENDPOINT = described["token_endpoint"]
            self.OIDC_OP_USER_ENDPOINT = described.get("userinfo_endpoint")
            self.OIDC_OP_JWKS_ENDPOINT = described["jwks_uri"]
            user: User | None = super().authenticate(request, **kwargs)
        except (
            SuspiciousOperation,
            jwt.PyJWTError,
            requests.RequestException,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            logger.warning("single sign-on failed reason=%s: %s", type(error).__name__, error)
            raise PermissionDenied from error
        if user is None:
            raise PermissionDenied
        return user

    def _verify_jws(self, payload: str, key: Any) -> dict[str, Any]:
        """Return the claims of a token that is signed, of this provider, for this service, and of now.

        :raises jwt.PyJWTError: it is not. :raises SuspiciousOperation: it was given to another party.
        """
        claims: dict[str, Any] = jwt.decode(
            payload,
            key,
            algorithms=[self.OIDC_RP_SIGN_ALGO],
            audience=self.OIDC_RP_CLIENT_ID,
            issuer=settings.OIDC_ISSUER,
            leeway=_LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        if claims.get("azp", self.OIDC_RP_CLIENT_ID) != self.OIDC_RP_CLIENT_ID:
            raise SuspiciousOperation("the token was issued to another party")
        return claims

    def get_userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the token's claims, and beside them what the provider tells of the same subject."""
        if not self.OIDC_OP_USER_ENDPOINT:
            return payload
        told = super().get_userinfo(access_token, id_token, payload)
        if told.get("sub") != payload["sub"]:
            raise SuspiciousOperation("the user information is another subject's")
        return {**told, **payload}

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User | None:
        """Return the subject's account, made if need be; None for who belongs to no group that may enter."""
        claims = self.get_userinfo(access_token, id_token, payload)
        given = claims.get(settings.OIDC_GROUPS_CLAIM, [])
        theirs = {str(each) for each in (given if isinstance(given, list) else [given])}
        rules: dict[str, str] = settings.OIDC_GROUPS
        names = {ours for their, ours in rules.items() if their in theirs}
        superuser = bool(settings.OIDC_SUPERUSER_GROUP) and settings.OIDC_SUPERUSER_GROUP in theirs
        with transaction.atomic():
            found = StaffIdentity.objects.select_related("user").select_for_update(of=("self",))
            identity = found.filter(issuer=settings.OIDC_ISSUER, subject=claims["sub"]).first()
            if identity is None and not names and not superuser:
                logger.warning("single sign-on refused: in none of the groups of OIDC_GROUPS")
                return None
            user = identity.user if identity else _make(claims)
            self._settle(user, claims, staff=bool(names) or superuser, superuser=superuser)
            managed = Group.objects.filter(name__in=set(rules.values()))
            user.groups.remove(*managed.exclude(name__in=names))
            user.groups.add(*managed.filter(name__in=names))
        return user if user.is_staff else None

    def _settle(self, user: User, claims: dict[str, Any], *, staff: bool, superuser: bool) -> None:
        user.is_staff, user.is_superuser = staff, superuser
        user.email = str(claims.get("email") or "")[:254]
        user.first_name = str(claims.get("given_name") or "")[:150]
        user.last_name = str(claims.get("family_name") or "")[:150]
        user.save(update_fields=["is_staff", "is_superuser", "email", "first_name", "last_name"])


def _make(claims: dict[str, Any]) -> User:
    """Make an account without a password, under a name that nobody has yet."""
    wanted = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
    base = "".join(c for c in wanted if c.isalnum() or c in "@.+-_")[:140] or "staff"
    name, number = base, 1
    while User.objects.filter(username=name).exists():
        number += 1
        name = f"{base}-{number}"
    user = User.objects.create_user(name)
    StaffIdentity.objects.create(user=user, issuer=settings.OIDC_ISSUER, subject=claims["sub"])
    return user


class Begin(OIDCAuthenticationRequestView):  # type: ignore[misc]  # as above
    """Sends the browser to the provider."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(OIDCAuthenticationRequestView, self).__init__(*args, **kwargs)  # the library's asks for the address
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID

    def get(self, request: HttpRequest) -> HttpResponse:
        """Redirect, or say that the provider does not answer."""
        try:
            self.OIDC_OP_AUTH_ENDPOINT = provider()["authorization_endpoint"]
        except (SuspiciousOperation, requests.RequestException, KeyError, ValueError) as error:
            logger.warning("single sign-on: no provider reason=%s: %s", type(error).__name__, error)
            messages.error(request, _("The single sign-on does not answer; try again soon."))
            return _to_the_login_page()
        response: HttpResponse = super().get(request)
        return response


class Callback(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # as above
    """Takes the browser back from the provider."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Log in, or tell on the log-in page that it failed."""
        try:
            response: HttpResponse = super().get(request)
        except SuspiciousOperation as error:
            logger.warning("single sign-on failed reason=%s", error)
            return self.login_failure()
        return response

    def login_failure(self) -> HttpResponse:
        """Go back to the log-in page."""
        text = _("The single sign-on failed. You may not have access here; whoever runs the service can tell.")
        messages.error(self.request, text)
        return _to_the_login_page()


def _to_the_login_page() -> HttpResponse:
    return redirect("admin:login")
