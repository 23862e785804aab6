"""The model endpoints of the API guide."""

from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from modelstore.downloads import requests
from modelstore.errors import ImportRefused, ModelUnknown
from modelstore.imports import importing
from modelstore.models import Model
from modelstore.prefer_header import preference
from modelstore.sentences import told, unknown
from modelstore.serializers import (
    DownloadOutcomeSerializer,
    DownloadRequestSerializer,
    ImportRequestSerializer,
    ModelListSerializer,
    ModelQuerySerializer,
    ModelSerializer,
    ModelsInfoSerializer,
    mebibytes,
)
from modelstore.storage import deletion
from modelstore.storage.disk_usage import directory_info

_NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, description="Name of the model")
_PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`respond-async`: do not wait; `wait=N`: at most N seconds (RFC 7240)",
    examples=[OpenApiExample("Do not wait", "respond-async")],
)
_REQUEST = OpenApiExample(
    "The smallest",
    {"models": ["realesr-animevideov3"]},
    request_only=True,
)
_OUTCOME = OpenApiExample(
    "One of two failed",
    {
        "success": False,
        "message": "Downloaded 1 model(s)",
        "downloaded": ["RealESRGAN_x4plus"],
        "failed": ["RealESRGAN_x4plus_anime_6B"],
        "errors": {"RealESRGAN_x4plus_anime_6B": "github: Network error: Connection timeout"},
        "downloading": [],
        "notes": {},
    },
    response_only=True,
    status_codes=["200", "202"],
)


_MODEL = {
    "name": "RealESRGAN_x2plus",
    "scale": 2,
    "description": "2x upscaling",
    "available": True,
    "size_mb": 64.0,
    "size_bytes": 67061725,
    "status": "ready",
    "origin": "official",
    "architecture": "rrdbnet",
    "purpose": "upscale",
    "tiles": "blended",
    "precisions": ["fp32", "bf16", "fp16"],
    "use": "photo",
    "licence": "BSD-3-Clause",
    "non_commercial": False,
    "author": "Xintao Wang and others",
    "homepage": "https://github.com/xinntao/Real-ESRGAN",
    "example": "",
    "sha256": "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
    "supports_denoise_strength": False,
    "denoise_partner": "",
    "download": None,
    "source": "github",
    "notes": "",
    "superseded": False,
    "error": None,
    "limits": {
        "max_input_pixels": 50000000,
        "max_output_pixels": 400000000,
        "max_side": 30000,
        "max_upload_bytes": 500000000,
    },
}
_LIST = {"available_models": [_MODEL], "total_models": 1, "local_models": 1}
_INFO = {
    "models_directory": "/data/models",
    "total_size_mb": 64.0,
    "model_count": 1,
    "total_size_bytes": 67061725,
    "free_bytes": 81234567890,
}


def _example(shape: dict[str, Any]) -> list[OpenApiExample]:
    return [OpenApiExample("One model", shape, response_only=True, status_codes=["200"])]


class ModelViewSet(ViewSet):
    """Models: list, look at, bring, remove."""

    throttle_scope: str | None = "read"

    @property
    def required_scope(self) -> str:
        """The scope that an API key needs: changing what everybody uses is management."""
        return "manage" if self.action in ("create", "download", "destroy") else "upscale"

    @property
    def staff_permission(self) -> str:
        """The permission that a staff member's session needs where keys are required, as in the admin."""
        permissions = {
            "create": "modelstore.manage_model",
            "download": "modelstore.operate_model",
            "destroy": "modelstore.manage_model",
        }
        return permissions.get(self.action or "", "modelstore.view_model")

    @extend_schema(
        operation_id="models_list",
        tags=["Models"],
        summary="List models",
        parameters=[ModelQuerySerializer],
        responses=ModelListSerializer,
        examples=_example(_LIST),
    )
    def list(self, request: Request) -> Response:
        """List all models by name, those that can be downloaded included; with `use` only those for these pictures."""
        query = ModelQuerySerializer(data=request.query_params.dict())
        wrong = {name[:60]: unknown(name, query.fields) for name in request.query_params if name not in query.fields}
        if wrong:
            raise ValidationError(wrong)
        query.is_valid(raise_exception=True)
        shapes = ModelSerializer(Model.objects.listed().filter(**query.validated_data), many=True).data
        local = sum(shape["available"] for shape in shapes)
        return Response({"available_models": shapes, "total_models": len(shapes), "local_models": local})

    @extend_schema(
        operation_id="models_import",
        tags=["Models"],
        summary="Import a weights file",
        parameters=[_PREFER],
        request={"multipart/form-data": ImportRequestSerializer},
        responses={201: ModelSerializer, 202: ModelSerializer},
        examples=[OpenApiExample("A model", _MODEL, response_only=True, status_codes=["201", "202"])],
    )
    def create(self, request: Request) -> Response:
        """Import a weights file: an official one, or a network of any family that this service knows.

        It is examined in a process of its own, without executing anything in it, and measured: seconds for most
        networks, minutes for the largest. 202 while that lasts: look at the model's address. A file that is refused
        (400) leaves nothing behind.
        """
        wish = ImportRequestSerializer(data=request.data)
        wish.is_valid(raise_exception=True)
        values = wish.validated_data
        prefer = preference(request.headers.get("Prefer", ""), settings.MODEL_DOWNLOAD_WAIT_SECONDS)
        model = importing.bring(
            values["file"].chunks(),
            values.get("name", ""),
            default_name=PurePath(values["file"].name or "").stem,
            description=values["description"],
            licence=values["licence"],
            use=values["use"],
        )
        result = requests.wait_for([model.name], prefer.wait_seconds)
        if result.errors:
            refusal = result.errors[model.name]
            importing.forget_refused(model)
            raise ImportRefused(refusal)
        headers = _headers(result, prefer.applied) | {"Location": reverse("model", args=[model.name])}
        model.refresh_from_db()
        return Response(ModelSerializer(model).data, status=202 if result.downloading else 201, headers=headers)

    @extend_schema(
        operation_id="models_retrieve",
        tags=["Models"],
        summary="Get one model",
        parameters=[_NAME],
        responses=ModelSerializer,
        examples=_example(_MODEL),
    )
    def retrieve(self, _request: Request, name: str) -> Response:
        """Return one model, with the progress of its download; also one that was imported and is examined still."""
        model = Model.objects.filter(name=name).first()
        if model is None:
            raise ModelUnknown(name, known=Model.objects.listed().values_list("name", flat=True))
        return Response(ModelSerializer(model).data)

    @extend_schema(
        operation_id="models_delete",
        tags=["Models"],
        summary="Delete a model's files",
        parameters=[_NAME],
        request=None,
        responses={204: OpenApiResponse()},
    )
    def destroy(self, _request: Request, name: str) -> Response:
        """Delete a model's files, or call off its download. Refused (409) while jobs need it."""
        deletion.delete(name)
        return Response(status=204)

    @extend_schema(
        operation_id="models_download",
        tags=["Models"],
        summary="Download models",
        parameters=[_PREFER],
        request=DownloadRequestSerializer,
        responses={200: DownloadOutcomeSerializer, 202: DownloadOutcomeSerializer},
        examples=[_REQUEST, _OUTCOME],
    )
    def download(self, request: Request) -> Response:
        """Bring models and wait until they are here. 202 when some are still on their way: look at them one by one.

        A model that is here already counts as downloaded, without any traffic. Bytes are checked against the pinned
        SHA-256, so any source may serve them: when the wanted provider fails, the other follows, and `notes` says so.
        """
        wish = DownloadRequestSerializer(data=request.data)
        wish.is_valid(raise_exception=True)
        names: list[str] = wish.validated_data["models"]
        prefer = preference(request.headers.get("Prefer", ""), settings.MODEL_DOWNLOAD_WAIT_SECONDS)
        requests.order(names, wish.validated_data.get("provider", ""))
        result = requests.wait_for(names, prefer.wait_seconds)
        return Response(
            _shape(result), status=202 if result.downloading else 200, headers=_headers(result, prefer.applied)
        )


class ModelsInfoViewSet(ViewSet):
    """The models directory."""

    required_scope: str | None = "upscale"
    staff_permission = "modelstore.view_model"
    throttle_scope: str | None = "read"

    @extend_schema(
        operation_id="models_info",
        tags=["Models"],
        summary="Look at the models' directory",
        responses=ModelsInfoSerializer,
        examples=_example(_INFO),
    )
    def retrieve(self, _request: Request) -> Response:
        """Return the models directory and its size. The bundled model is part of the program: not counted."""
        info = directory_info()
        return Response(
            {
                "models_directory": str(info.path),
                "total_size_mb": mebibytes(info.total_bytes),
                "model_count": info.model_count,
                "total_size_bytes": info.total_bytes,
                "free_bytes": info.free_bytes,
            }
        )


def _shape(result: requests.DownloadsState) -> dict[str, Any]:
    if result.downloading:
        message = f"Downloaded {len(result.downloaded)} model(s), {len(result.downloading)} still downloading"
    else:
        message = f"Downloaded {len(result.downloaded)} model(s)"
    return {
        "success": not result.errors,
        "message": told(message),
        "downloaded": result.downloaded,
        "failed": list(result.errors),
        "errors": result.errors,
        "downloading": result.downloading,
        "notes": result.notes,
    }


def _headers(result: requests.DownloadsState, applied: str) -> dict[str, str]:
    headers = {"Vary": "Prefer"} | ({"Preference-Applied": applied} if applied else {})
    if result.downloading:
        one = len(result.downloading) == 1
        headers |= {
            "Location": reverse("model", args=[result.downloading[0]]) if one else reverse("models"),
            "Retry-After": "5",
        }
    return headers
