"""The page at ``/``: a template with the operator's limits in it, and what a phone needs to install it.

All that the page does, it does through the API.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_safe
from django.views.i18n import JavaScriptCatalog

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


@require_safe
@cache_control(max_age=3600)
def manifest(_request: HttpRequest) -> JsonResponse:
    """Answer the web app manifest, by which phones and desktops install the page."""
    icons = [("icon.svg", "any", "any"), ("icon-192.png", "192x192", "any"), ("icon-512.png", "512x512", "any")]
    icons.append(("icon-maskable.png", "512x512", "maskable"))
    return JsonResponse(
        {
            "name": gettext("Upscaler"),
            "short_name": gettext("Upscaler"),
            "description": gettext("Makes pictures larger, and sharper"),
            "id": reverse("page"),
            "start_url": reverse("page"),
            "scope": reverse("page"),
            "display": "standalone",
            "background_color": "#f6f7fb",
            "theme_color": "#3a4fd8",
            "icons": [
                {
                    "src": static(f"page/{name}"),
                    "sizes": sizes,
                    "type": "image/svg+xml" if name.endswith("svg") else "image/png",
                    "purpose": purpose,
                }
                for name, sizes, purpose in icons
            ],
        },
        content_type="application/manifest+json",
    )


@require_safe
@cache_control(max_age=86_400)
def favicon(_request: HttpRequest) -> HttpResponseRedirect:
    """Point to the icon: browsers ask for it at this address on pages that name none."""
    return HttpResponseRedirect(static("page/icon.svg"))


#: The page's texts for its scripts, in the visitor's language. Asked for anew at each visit, and answered 304 while
#: they are the same: after an upgrade new scripts must not speak with old texts.
texts = conditional_page(cache_control(no_cache=True)(JavaScriptCatalog.as_view(packages=["jobs"])))
