"""The address book of the site."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("modelstore.urls")),
    path("api/v1/", include("jobs.urls")),
    path("", include("monitoring.urls")),
]
