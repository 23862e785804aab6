"""The address book of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from upscaler_site import pages
from upscaler_site.api import pages as api_pages

handler400 = "upscaler_site.api.error_pages.bad_request"
handler403 = "upscaler_site.api.error_pages.permission_denied"
handler404 = "upscaler_site.api.error_pages.not_found"
handler500 = "upscaler_site.api.error_pages.server_error"

urlpatterns = [
    path("", pages.index, name="page"),
    path("manifest.webmanifest", pages.manifest, name="manifest"),
    path("favicon.ico", pages.favicon, name="favicon"),
    path("jsi18n", pages.texts, name="jsi18n"),
    path(
        "", include("monitoring.urls")
    ),  # before the admin: it has /admin/operations/, and the admin answers all of /admin/
    *([path("admin/oidc/", include("mozilla_django_oidc.urls"))] if settings.OIDC_ISSUER else []),
    path("admin/", admin.site.urls),
    path("api/schema", api_pages.schema, name="schema"),
    path("api/docs", api_pages.swagger, name="docs"),
    path("api/redoc", api_pages.redoc, name="redoc"),
    path("api/redoc.js", api_pages.redoc_script, name="redoc-script"),
    path("api/v1/", include("modelstore.urls")),
    path("api/v1/", include("jobs.api.urls")),
]
