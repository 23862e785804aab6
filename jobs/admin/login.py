"""The log-in page: Django's form, which tells who tries too often to wait."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import ngettext

from jobs.auth.login_throttling import Attempt


class LoginForm(AdminAuthenticationForm):
    """Account and password, counted by account and address."""

    @property
    def single_sign_on(self) -> bool:
        """True where staff may log in by a provider of identities, too."""
        return bool(settings.OIDC_ISSUER)

    def clean(self) -> dict[str, Any]:
        """Check the password unless there were too many attempts.

        :raises ValidationError: it is wrong, or how long to wait.
        """
        account = self.cleaned_data.get("username")
        if self.request is None or not account or not self.cleaned_data.get("password"):
            return super().clean()
        attempt = Attempt.of(self.request, account)
        seconds = attempt.wait_seconds()
        if seconds:
            raise ValidationError(
                ngettext(
                    "Too many attempts to log in. Try again in %(seconds)d second.",
                    "Too many attempts to log in. Try again in %(seconds)d seconds.",
                    seconds,
                )
                % {"seconds": seconds},
                code="throttled",
            )
        try:
            cleaned = super().clean()
        except ValidationError:
            attempt.failed()
            raise
        attempt.succeeded()
        return cleaned


admin.site.login_form = LoginForm
