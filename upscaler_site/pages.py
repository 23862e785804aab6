"""The page at ``/``: a template with the operator's limits in it. All it does, it does through the API."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from jobs import chains
from upscaler_site.presets import PRESETS

SCALES = (2, 3, 4, 6, 8)


def _is_staff(request: HttpRequest) -> bool:
    """Return True if the session alone authenticates its user (jobs.auth.authentication.StaffAuthentication)."""
    return bool(request.user.is_active and request.user.is_staff)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Render the upscaling page."""
    *before, default_model = chains.split(settings.DEFAULT_MODEL)
    return render(
        request,
        "page/index.html",
        {
            "default_model": default_model,
            "default_restorer": before[-1] if before else "",
            "scales": SCALES,
            "presets": PRESETS,
            "url_import": ", ".join(settings.IMAGE_URL_HOSTS),
            "strip_default": settings.STRIP_METADATA_DEFAULT,
            "max_upload_mb": settings.MAX_UPLOAD_MB,
            "max_megapixels": settings.MAX_INPUT_PIXELS // 1_000_000,
            "page_config": {
                "api": reverse("health").removesuffix("/health"),
                "needsKey": settings.REQUIRE_API_KEY and not _is_staff(request),
                "maxUploadBytes": settings.MAX_UPLOAD_BYTES,
                # Where keys are required a staff member's session authenticates too; Django then wants a CSRF token.
                "csrfToken": get_token(request),
            },
        },
    )
