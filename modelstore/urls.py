"""Addresses of the model endpoints, below /api/v1/. No trailing slashes: the guide has none."""

from django.urls import path
from rest_framework.parsers import MultiPartParser

from modelstore.views import ModelsInfoViewSet, ModelViewSet

urlpatterns = [
    path(
        "models",
        ModelViewSet.as_view({"get": "list", "post": "create"}, parser_classes=[MultiPartParser]),
        name="models",
    ),
    path("models/download", ModelViewSet.as_view({"post": "download"}), name="models-download"),
    path("models/<str:name>", ModelViewSet.as_view({"get": "retrieve", "delete": "destroy"}), name="model"),
    path("models-info", ModelsInfoViewSet.as_view({"get": "retrieve"}), name="models-info"),
]
