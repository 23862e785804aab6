"""Addresses of the jobs' endpoints, below /api/v1/. No trailing slashes: the guide has none."""

from django.urls import path

from jobs.api.views.archive import ArchiveViewSet
from jobs.api.views.batches import BatchViewSet
from jobs.api.views.cleanup import CleanupViewSet
from jobs.api.views.estimates import EstimateViewSet
from jobs.api.views.events import EventViewSet
from jobs.api.views.jobs import JobsViewSet, JobViewSet
from jobs.api.views.links import LinkViewSet
from jobs.api.views.pyramids import PyramidViewSet
from jobs.api.views.results import PictureViewSet
from jobs.api.views.rights import RightsViewSet
from jobs.api.views.submit import SubmitBatchViewSet, SubmitViewSet
from jobs.api.views.usage import UsageViewSet

urlpatterns = [
    path("upscale", SubmitViewSet.as_view({"post": "upscale"}), name="upscale"),
    path("upscale-batch", SubmitBatchViewSet.as_view({"post": "create"}), name="upscale-batch"),
    path("estimate", EstimateViewSet.as_view({"get": "retrieve"}), name="estimate"),
    path("jobs", JobsViewSet.as_view({"get": "list", "post": "create"}), name="jobs"),
    path("jobs/archive", ArchiveViewSet.as_view({"get": "retrieve"}), name="jobs-archive"),
    path("jobs/archive/links", LinkViewSet.as_view({"post": "archive"}), name="jobs-archive-links"),
    path("jobs/<str:job_id>", JobViewSet.as_view({"get": "retrieve", "delete": "destroy"}), name="job"),
    path("jobs/<str:job_id>/cancel", JobViewSet.as_view({"post": "cancel"}), name="job-cancel"),
    path("jobs/<str:job_id>/retry", JobViewSet.as_view({"post": "retry"}), name="job-retry"),
    path("jobs/<str:job_id>/result", PictureViewSet.as_view({"get": "result"}), name="job-result"),
    path("jobs/<str:job_id>/preview", PictureViewSet.as_view({"get": "preview"}), name="job-preview"),
    path("jobs/<str:job_id>/input", PictureViewSet.as_view({"get": "input"}), name="job-input"),
    path("jobs/<str:job_id>/pyramid", PyramidViewSet.as_view({"get": "retrieve"}), name="job-pyramid"),
    path("jobs/<str:job_id>/pyramid/tile", PyramidViewSet.as_view({"get": "tile"}), name="job-tile"),
    path("jobs/<str:job_id>/events", EventViewSet.as_view({"get": "stream"}), name="job-events"),
    path("jobs/<str:job_id>/links", LinkViewSet.as_view({"post": "create"}), name="job-links"),
    path("batches/<str:batch_id>", BatchViewSet.as_view({"get": "retrieve"}), name="batch"),
    path("batches/<str:batch_id>/links", LinkViewSet.as_view({"post": "batch"}), name="batch-links"),
    path("batches/<str:batch_id>/results", BatchViewSet.as_view({"get": "results"}), name="batch-results"),
    path("usage", UsageViewSet.as_view({"get": "retrieve"}), name="usage"),
    path("erasure", RightsViewSet.as_view({"post": "erase"}), name="erasure"),
    path("export", RightsViewSet.as_view({"get": "export"}), name="export"),
    path("cleanup", CleanupViewSet.as_view({"post": "create"}), name="cleanup"),
]
