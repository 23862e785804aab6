"""The address book of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog

from upscaler_site import pages

urlpatterns = [
    path("", pages.index, name="page"),
    path("jsi18n", cache_control(max_age=3600)(JavaScriptCatalog.as_view()), name="jsi18n"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("modelstore.urls")),
    path("api/v1/", include("jobs.urls")),
    path("", include("monitoring.urls")),
]
