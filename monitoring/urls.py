"""Addresses of the monitoring room."""

from django.contrib import admin
from django.urls import path

from monitoring import doctor_page, metrics, operations, queues, views
from monitoring.doctor import echo

urlpatterns = [
    path("api/v1/health", views.HealthView.as_view(), name="health"),
    path("api/v1/health/live", views.LiveView.as_view(), name="health-live"),
    path("api/v1/health/ready", views.ReadyView.as_view(), name="health-ready"),
    path("api/v1/system", views.SystemView.as_view(), name="system"),
    path("api/v1/stats", views.StatsView.as_view(), name="stats"),
    path("admin/operations/", admin.site.admin_view(operations.operations), name="operations"),
    path("admin/operations/part/<slug:name>", admin.site.admin_view(operations.part), name="operations-part"),
    path("admin/operations/queue/<slug:cluster>", queues.view, name="operations-queue"),
    path("admin/doctor/", admin.site.admin_view(doctor_page.doctor), name="doctor"),
    path(echo.PATH, echo.view, name="doctor-echo"),
    path("metrics", metrics.metrics_view, name="metrics"),
]
